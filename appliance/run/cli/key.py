"""`pillarbox key`: API keys of the box and of tenants. A token is shown once, when its key is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock
from appliance.core.scope import BOX
from appliance.rights import BOX_ROLES, GRANTS, Right, Role
from appliance.run.cli.output import Table, ago, when
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from appliance.keys import ApiKey, IssuedKey
    from appliance.run.cli.rooms import Rooms

command = group("key", "Keys of the HTTP API, for programs.")


@command.command()
@click.argument("name")
@click.option("--tenant", help="Whose it is; without, it is the box's and sees every tenant.")
@click.option(
    "--right", "rights", multiple=True, help="What it may do, such as messages.send; several."
)
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    help="All that people with this role may do.",
)
@click.option(
    "--days", default=0, type=click.IntRange(0, 3650), help="Valid so long; 0 is for ever."
)
@click.option("--sandbox", is_flag=True, help="What it sends is accepted and delivered to nobody.")
@pass_session
def create(session: Session, /, *, name: str, **given: Any) -> None:
    """Make a key; its token is shown this once."""
    from appliance.keys import Wish

    tenant = given["tenant"]
    wish = Wish(
        name=name,
        rights=_rights(given["rights"], given["role"]),
        expires_at=clock.now_ms() + given["days"] * clock.DAY if given["days"] else 0,
        sandboxed=given["sandbox"],
    )

    async def work(rooms: Rooms) -> IssuedKey:
        owner = (await rooms.tenants.get(rooms.scope, tenant)).id if tenant else None
        held = GRANTS[Role.ADMIN]
        return await rooms.keys.create(rooms.scope, wish, held=held, tenant_id=owner)

    issued = session.box.ask(work)
    shown = {"id": issued.key.id, "name": issued.key.name, "token": issued.token}
    session.out.show(
        shown | {"tenant": tenant or "", "rights": sorted(issued.key.rights)},
        [
            f"key {issued.key.id} ({issued.key.name}) is ready; its token is shown only now:",
            issued.token,
        ],
    )


def _rights(words: tuple[str, ...], role: str | None) -> frozenset[Right]:
    try:
        found = frozenset(map(Right, words))
    except ValueError as error:
        known = ", ".join(Right)
        raise click.UsageError(f"{error}; there are {known}") from error
    if not role:
        return found
    # What is sent has a tenant: an admin's key gets all but that.
    never = {Right.MESSAGES_SEND} if Role(role) in BOX_ROLES else frozenset()
    return found | (GRANTS[Role(role)] - never)


@command.command("list")
@click.option("--tenant", help="Only those of this tenant.")
@pass_session
def list_(session: Session, *, tenant: str | None) -> None:
    """Show the keys, revoked ones too."""

    async def work(rooms: Rooms) -> tuple[tuple[ApiKey, ...], dict[int, str]]:
        scope = rooms.scope
        if tenant:
            owner = await rooms.tenants.get(scope, tenant)
            scope = scope.within(owner.id)
        return await rooms.keys.list(scope, limit=1000), await rooms.tenant_names()

    found, names = session.box.ask(work)
    now = clock.now_ms()
    table = Table(
        ("id", "name", "tenant", "state", "rights", "last used"),
        [
            (
                str(key.id),
                key.name,
                names.get(key.tenant_id, "?") if key.tenant_id != BOX else "-",
                _state(key, now),
                _few(sorted(key.rights)),
                ago(key.last_used_at, now) if key.last_used_at else "never",
            )
            for key in found
        ],
        "there are no keys: `pillarbox key create` makes one",
        frozenset({"id"}),
    )
    session.out.show([_row(key, names) for key in found], [table])


@command.command()
@click.argument("key_id", type=int, metavar="ID")
@pass_session
def revoke(session: Session, *, key_id: int) -> None:
    """Refuse a key from now on."""

    async def work(rooms: Rooms) -> tuple[ApiKey, dict[int, str]]:
        return await rooms.keys.revoke(rooms.scope, key_id), await rooms.tenant_names()

    key, names = session.box.ask(work)
    session.out.show(_row(key, names), [f"key {key.id} ({key.name}) is revoked"])


def _row(key: ApiKey, names: dict[int, str]) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "tenant": names.get(key.tenant_id, "") if key.tenant_id != BOX else "",
        "rights": sorted(key.rights),
        "sandboxed": key.sandboxed,
        "by": key.by,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "last_used_from": key.last_used_from,
    }


def _state(key: ApiKey, now: int) -> str:
    if key.revoked_at:
        return "revoked"
    if not key.is_valid(now):
        return "expired"
    if key.expires_at:
        return f"until {when(key.expires_at)}"
    return "sandbox" if key.sandboxed else "valid"


def _few(words: list[str]) -> str:
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
