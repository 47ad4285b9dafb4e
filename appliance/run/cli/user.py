"""`pillarbox user`: the people who sign in to the console, what they are, and links for those who cannot.

Links are one-time; they are shown to whoever types the command, which is why only the box's own user can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock
from appliance.core.errors import ConflictError, StoreError
from appliance.run.cli.output import Table, ago, counted, when
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from appliance.people import Invitation, User
    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms

command = group("user", "People who sign in to the console.")

_MANY = 1000
_email = click.argument("email")
_tenant = click.option("--tenant", metavar="NAME", help="In this tenant; without it, of the box.")


@command.command("first-admin")
@pass_session
def first_admin(session: Session) -> None:
    """Make a one-time link for the first admin. Earlier ones are worth nothing then."""
    from appliance.people import first_admin_link

    async def work(rooms: Rooms) -> str | None:
        return await first_admin_link(rooms.engine, rooms.public_url)

    url = session.box.ask(work)
    if url is None:
        raise ConflictError(
            "the box has an admin: `pillarbox user list` shows who, `pillarbox user reset-link` lets"
            " them choose a new password"
        )
    session.out.show({"url": url}, welcome_lines(url))


def welcome_lines(url: str) -> Iterator[Part]:
    """How the first admin comes in."""
    yield "Become the box's admin with this link; it works once, for seven days:"
    yield f"  {url}"


@command.command("list")
@click.option("--tenant", metavar="NAME", help="Only this tenant's.")
@click.option("--after", default=0, metavar="ID", help="Only those behind this id.")
@pass_session
def list_(session: Session, *, tenant: str | None, after: int) -> None:
    """Show the users, a thousand at most."""

    async def work(rooms: Rooms) -> tuple[tuple[User, ...], dict[int, str]]:
        scope = await rooms.scope_of(tenant) if tenant else rooms.scope
        found = await rooms.people.users.list(scope, after=after, limit=_MANY)
        return found, await rooms.tenant_names()

    found, names = session.box.ask(work)
    session.out.show([_row(one, names) for one in found], _listing(found, names))


@command.command()
@_email
@click.option(
    "--role", required=True, help="owner, manager, sender or viewer; of the box: admin or support."
)
@_tenant
@click.option(
    "--link", "as_link", is_flag=True, help="Show the link, to hand it over by other means."
)
@pass_session
def invite(
    session: Session, /, *, email: str, role: str, tenant: str | None, as_link: bool
) -> None:
    """Ask somebody in by a letter with a one-time link, good for seven days."""

    async def work(rooms: Rooms) -> tuple[Invitation, str, str]:
        from mta.policy.refusal import Refused

        invitations = rooms.people.invitations
        made, url = await invitations.link(
            rooms.scope, email=email, role=role, tenant_id=await rooms.tenant_id(tenant)
        )
        if as_link:
            return made, url, ""
        try:
            await invitations.send(made, url)
        except (StoreError, Refused) as error:
            return made, url, f"no letter could be sent ({error}): hand the link over yourself"
        return made, "", ""

    made, url, problem = session.box.ask(work)
    if problem:
        session.out.note(problem)
    shown = {
        "id": made.id,
        "email": made.email,
        "role": made.role,
        "expires_at": made.expires_at,
        "url": url,
    }
    lines = [f"{made.email} is invited as {made.role}, until {when(made.expires_at)}"]
    session.out.show(shown, [*lines, *([f"  {url}"] if url else [])])


@command.command()
@pass_session
def invitations(session: Session) -> None:
    """Show the invitations that nobody has accepted yet."""

    async def work(rooms: Rooms) -> tuple[tuple[Invitation, ...], dict[int, str]]:
        return await rooms.people.invitations.list(rooms.scope), await rooms.tenant_names()

    found, names = session.box.ask(work)
    table = Table(
        ("ID", "EMAIL", "ROLE", "IN", "BY", "UNTIL"),
        [
            (
                str(one.id),
                one.email,
                one.role,
                names.get(one.tenant_id, "?"),
                one.by,
                when(one.expires_at),
            )
            for one in found
        ],
        "no invitation is open",
    )
    rows = [
        {
            "id": one.id,
            "email": one.email,
            "role": one.role,
            "tenant": names.get(one.tenant_id, "?"),
            "by": one.by,
            "created_at": one.created_at,
            "expires_at": one.expires_at,
        }
        for one in found
    ]
    session.out.show(rows, [table])


@command.command()
@click.argument("invitation_id", type=int, metavar="ID")
@pass_session
def withdraw(session: Session, *, invitation_id: int) -> None:
    """Take an invitation back."""

    async def work(rooms: Rooms) -> None:
        await rooms.people.invitations.withdraw(rooms.scope, invitation_id)

    session.box.ask(work)
    session.out.show({"id": invitation_id}, ["the invitation is worth nothing any more"])


@command.command()
@_email
@click.argument("role")
@_tenant
@pass_session
def role(session: Session, *, email: str, role: str, tenant: str | None) -> None:
    """Change what somebody is. Their sessions end."""

    async def work(rooms: Rooms) -> tuple[User, dict[int, str]]:
        users = rooms.people.users
        found = await users.find(rooms.scope, email)
        tenant_id = await rooms.tenant_id(tenant)
        done = await users.set_role(rooms.scope, found.id, role, tenant_id=tenant_id)
        return done, await rooms.tenant_names()

    done, names = session.box.ask(work)
    session.out.show(_row(done, names), [f"{done.email} is {_roles(done, names)}"])


@command.command()
@_email
@click.option("--tenant", metavar="NAME", help="Only out of this tenant.")
@pass_session
def remove(session: Session, *, email: str, tenant: str | None) -> None:
    """Remove an account, or somebody out of one tenant. The audit log keeps what they did."""

    async def work(rooms: Rooms) -> User:
        users = rooms.people.users
        found = await users.find(rooms.scope, email)
        if tenant:
            tenant_id = await rooms.tenant_id(tenant)
            await users.take_role(rooms.scope, found.id, tenant_id=tenant_id)
        else:
            await users.remove(rooms.scope, found.id)
        return found

    done = session.box.ask(work)
    where = f"out of {tenant}" if tenant else "with everything but what the audit log says"
    session.out.show({"id": done.id, "email": done.email}, [f"{done.email} is removed {where}"])


@command.command()
@_email
@pass_session
def disable(session: Session, *, email: str) -> None:
    """Let somebody not sign in any more, from now on."""

    async def work(rooms: Rooms) -> tuple[User, dict[int, str]]:
        users = rooms.people.users
        found = await users.find(rooms.scope, email)
        return await users.disable(rooms.scope, found.id), await rooms.tenant_names()

    done, names = session.box.ask(work)
    session.out.show(_row(done, names), [f"{done.email} is signed out and may not sign in"])


@command.command()
@_email
@pass_session
def enable(session: Session, *, email: str) -> None:
    """Let a disabled user sign in again."""

    async def work(rooms: Rooms) -> tuple[User, dict[int, str]]:
        users = rooms.people.users
        found = await users.find(rooms.scope, email)
        return await users.enable(rooms.scope, found.id), await rooms.tenant_names()

    done, names = session.box.ask(work)
    session.out.show(_row(done, names), [f"{done.email} may sign in"])


@command.command("reset-link")
@_email
@pass_session
def reset_link(session: Session, *, email: str) -> None:
    """Make a one-time link to a new password, good for an hour."""

    async def work(rooms: Rooms) -> str:
        found = await rooms.people.users.find(rooms.scope, email)
        return await rooms.people.password_links.link_for(rooms.scope, found.id)

    url = session.box.ask(work)
    session.out.show(
        {"url": url}, ["A new password may be chosen here, once, within an hour:", f"  {url}"]
    )


@command.command("end-sessions")
@_email
@pass_session
def end_sessions(session: Session, *, email: str) -> None:
    """Sign somebody out everywhere."""

    async def work(rooms: Rooms) -> int:
        found = await rooms.people.users.find(rooms.scope, email)
        return await rooms.people.users.end_sessions(rooms.scope, found.id)

    count = session.box.ask(work)
    session.out.show({"ended": count}, [f"{counted(count, 'session')} ended"])


@command.command("drop-second-factor")
@_email
@pass_session
def drop_second_factor(session: Session, *, email: str) -> None:
    """For somebody who lost the device and the recovery codes. Make sure that it is them."""

    async def work(rooms: Rooms) -> tuple[User, dict[int, str]]:
        users = rooms.people.users
        found = await users.find(rooms.scope, email)
        done = await users.drop_second_factor(rooms.scope, found.id)
        return done, await rooms.tenant_names()

    done, names = session.box.ask(work)
    session.out.show(_row(done, names), [f"{done.email} signs in with the password alone now"])


def _row(one: User, names: Mapping[int, str]) -> dict[str, Any]:
    return {
        "id": one.id,
        "email": one.email,
        "name": one.name,
        "role": one.box_role or "",
        "tenants": {names.get(member.tenant_id, "?"): member.role for member in one.memberships},
        "has_password": one.has_password,
        "has_second_factor": one.has_second_factor,
        "created_at": one.created_at,
        "disabled_at": one.disabled_at,
        "signed_in_at": one.signed_in_at,
    }


def _roles(one: User, names: Mapping[int, str]) -> str:
    of_tenants = [f"{each.role} of {names.get(each.tenant_id, '?')}" for each in one.memberships]
    return ", ".join([*([f"{one.box_role} of the box"] if one.box_role else []), *of_tenants])


def _listing(found: Sequence[User], names: Mapping[int, str]) -> Iterator[Part]:
    now = clock.now_ms()
    yield Table(
        ("ID", "EMAIL", "NAME", "ROLES", "STATE", "SIGNED IN"),
        [
            (
                str(one.id),
                one.email,
                one.name,
                _roles(one, names),
                f"disabled {ago(one.disabled_at, now)}" if one.disabled_at else "active",
                ago(one.signed_in_at, now),
            )
            for one in found
        ],
        empty="nobody can sign in yet: pillarbox user first-admin",
        right=frozenset({"ID"}),
    )
