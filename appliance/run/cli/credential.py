"""`pillarbox credential`: SMTP logins of tenants. A password is shown once and stored nowhere."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock
from appliance.core.errors import NotRunningError, UsageError
from appliance.run.cli.output import Table, ago, when
from appliance.run.cli.policy_options import policy_of, policy_options
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.credentials import CredentialRecord, IssuedLogin, Policy
    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms

command = group("credential", "SMTP logins, and what each may do.")

_tenant = click.option("--tenant", metavar="NAME", help="Whose, when several have the name.")


@command.command()
@click.option("--tenant", required=True, metavar="NAME", help="Whose login it is.")
@click.option("--name", required=True, help="What it is for, such as web-app.")
@policy_options
@pass_session
def create(session: Session, /, *, tenant: str, name: str, **given: Any) -> None:
    """Make a login and show its password, this once."""
    policy = policy_of(given)

    async def work(rooms: Rooms) -> tuple[IssuedLogin, str]:
        owner = await rooms.tenants.get(rooms.scope, tenant)
        await _check_pool(rooms, policy, owner.id)
        made = await rooms.credentials.create(rooms.scope, owner, name=name, policy=policy)
        return made, await _sender(rooms, owner.id)

    issued, sender = session.box.ask(work)
    _show_issued(session, issued, tenant, sender)


async def _check_pool(rooms: Rooms, policy: Policy, tenant_id: int) -> None:
    """A pool that is misspelt would be passed over in silence when mail is sent."""
    if policy.pool:
        await rooms.pools.usable(rooms.scope, policy.pool, tenant_id)


async def _sender(rooms: Rooms, tenant_id: int) -> str:
    """An address that the login can send from, for the example."""
    found = await rooms.domains.list(rooms.scope)
    usable = [one.name for one in found if one.tenant_id == tenant_id and one.verified]
    return f"you@{usable[0] if usable else 'YOUR-DOMAIN'}"


def _show_issued(session: Session, issued: IssuedLogin, tenant: str, sender: str) -> None:
    server, port = _submission(session)
    line = swaks(server, port, issued.username, issued.password, sender)
    shown = {
        "id": issued.credential.id,
        "name": issued.credential.name,
        "tenant": tenant,
        "username": issued.username,
        "password": issued.password,
        "server": server,
        "port": port,
    }
    session.out.show(shown, _issued(issued, server, port, line))


def _issued(issued: IssuedLogin, server: str, port: int, line: str) -> Iterator[Part]:
    yield f"username  {issued.username}"
    yield f"password  {issued.password}"
    yield f"server    {server} port {port}"
    yield ""
    yield "The password is shown this once. Try it:"
    yield f"  {line}"


def swaks(server: str, port: int, username: str, password: str, sender: str) -> str:
    """A command line that sends a test through the login."""
    place = f"[{server}]:{port}" if ":" in server else f"{server}:{port}"
    words = ["swaks", "--server", place, "--tls", "--auth", "PLAIN"]
    words += ["--auth-user", username, "--auth-password", password]
    return shlex.join([*words, "--from", sender, "--to", "SOMEBODY@EXAMPLE.COM"])


def _submission(session: Session) -> tuple[str, int]:
    """Where clients connect: as the box listens now, else as configured."""
    from appliance.run.sockets import published

    box = session.box
    configured = box.settings.listeners.submission
    try:
        address, port = published(box.home)["submission"]
    except (NotRunningError, KeyError):
        address, port = configured.address, configured.port
    return (box.settings.box.hostname if configured.address == "::" else address), port


@command.command("list")
@click.option("--tenant", metavar="NAME", help="Only this tenant's.")
@click.option("--all", "revoked_too", is_flag=True, help="Revoked ones too.")
@pass_session
def list_(session: Session, *, tenant: str | None, revoked_too: bool) -> None:
    """Show the logins."""

    async def work(rooms: Rooms) -> tuple[list[CredentialRecord], dict[int, str]]:
        owner = await rooms.tenant_id(tenant)
        every = await rooms.credentials.list(rooms.scope)
        wanted = [one for one in every if owner in (0, one.tenant_id)]
        found = [one for one in wanted if revoked_too or not one.revoked_at]
        return found, await rooms.tenant_names()

    found, names = session.box.ask(work)
    session.out.show([_row(one, names) for one in found], _listing(found, names))


def _row(one: CredentialRecord, names: dict[int, str]) -> dict[str, object]:
    """A credential as programs see it: without the hashes."""
    return {
        "id": one.id,
        "name": one.name,
        "tenant": names.get(one.tenant_id),
        "policy": one.policy,
        "logins": [
            {
                "username": login.username,
                "created_at": login.created_at,
                "expires_at": login.expires_at,
            }
            for login in one.logins
        ],
        "created_at": one.created_at,
        "revoked_at": one.revoked_at,
        "last_used_at": one.last_used_at,
        "last_used_from": one.last_used_from,
    }


def _listing(found: list[CredentialRecord], names: dict[int, str]) -> Iterator[Part]:
    now = clock.now_ms()
    yield Table(
        ("ID", "NAME", "TENANT", "USERNAME", "FROM", "STATE", "LAST USED"),
        [
            (
                str(one.id),
                one.name,
                names.get(one.tenant_id, "?"),
                ", ".join(_login(login.username, login.expires_at) for login in one.logins),
                ", ".join(sorted(one.policy.allowed_from)) or one.policy.from_policy,
                f"revoked {ago(one.revoked_at, now)}" if one.revoked_at else "valid",
                _last_used(one, now),
            )
            for one in found
        ],
        empty="there is no login yet: pillarbox credential create --tenant NAME --name NAME",
    )


def _login(username: str, expires_at: int) -> str:
    return f"{username} (until {when(expires_at)})" if expires_at else username


def _last_used(one: CredentialRecord, now: int) -> str:
    if not one.last_used_at:
        return "never"
    return f"{ago(one.last_used_at, now)} from {one.last_used_from}"


@command.command()
@click.argument("name")
@_tenant
@policy_options
@pass_session
def update(session: Session, /, *, name: str, tenant: str | None, **given: Any) -> None:
    """Change what a login (name, user name or id) may do; what is not said stays as it is."""

    async def work(rooms: Rooms) -> tuple[CredentialRecord, dict[int, str]]:
        found = await rooms.credential(name, tenant)
        policy = policy_of(given, found.policy)
        if policy.pool != found.policy.pool:
            await _check_pool(rooms, policy, found.tenant_id)
        done = await rooms.credentials.set_policy(rooms.scope, found.id, policy)
        return done, await rooms.tenant_names()

    done, names = session.box.ask(work)
    session.out.show(_row(done, names), [f"credential {done.id} ({done.name}) is changed"])


@command.command()
@click.argument("name")
@_tenant
@pass_session
def revoke(session: Session, *, name: str, tenant: str | None) -> None:
    """Refuse a login (name, user name or id) from now on, open sessions included."""

    async def work(rooms: Rooms) -> tuple[CredentialRecord, dict[int, str]]:
        found = await rooms.credential(name, tenant)
        return await rooms.credentials.revoke(rooms.scope, found.id), await rooms.tenant_names()

    done, names = session.box.ask(work)
    session.out.show(_row(done, names), [f"credential {done.id} ({done.name}) is revoked"])


@command.command()
@click.argument("name")
@_tenant
@click.option(
    "--overlap", default=24.0, show_default=True, help="Hours the old password still works."
)
@pass_session
def rotate(session: Session, *, name: str, tenant: str | None, overlap: float) -> None:
    """Make a new password; the old one works for a while, so that nothing stops."""
    if not 0 <= overlap <= 24 * 365:
        raise UsageError(f"an overlap of {overlap:g} hours: give 0 to 8760")

    async def work(rooms: Rooms) -> tuple[IssuedLogin, str, str]:
        found = await rooms.credential(name, tenant)
        owner = (await rooms.tenant_names())[found.tenant_id]
        record = await rooms.tenants.get(rooms.scope, owner)
        issued = await rooms.credentials.rotate(
            rooms.scope, record, found.id, overlap=int(overlap * clock.HOUR)
        )
        return issued, owner, await _sender(rooms, found.tenant_id)

    issued, owner, sender = session.box.ask(work)
    _show_issued(session, issued, owner, sender)
