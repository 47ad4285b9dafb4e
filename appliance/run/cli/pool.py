"""`pillarbox pool`: groups of egress addresses, shared or one tenant's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from appliance.core.errors import UsageError
from appliance.run.cli.output import Table
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appliance.egress import PoolRecord
    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms
    from mta.egress import Member

command = group("pool", "Groups of egress addresses, with weights and a fallback.")

_Named = tuple["PoolRecord", dict[int, str]]


@command.command("list")
@pass_session
def list_(session: Session) -> None:
    """Show the pools."""

    async def work(rooms: Rooms) -> tuple[tuple[PoolRecord, ...], dict[int, str]]:
        return await rooms.pools.list(rooms.scope), await rooms.tenant_names()

    found, names = session.box.ask(work)
    session.out.show([_row(one, names) for one in found], _listing(found, names))


@command.command("set")
@click.argument("name")
@click.option(
    "--member",
    "members",
    multiple=True,
    metavar="EGRESS[=WEIGHT]",
    help="Address of the pool, with its share; give all of them.",
)
@click.option("--fallback", metavar="POOL", help="Takes what this one cannot send; '' is none.")
@click.option("--tenant", metavar="NAME", help="Only this tenant's mail; '' shares it.")
@click.option(
    "--default/--no-default", "is_default", default=None, help="For all who choose no pool."
)
@pass_session
def set_(
    session: Session,
    *,
    name: str,
    members: tuple[str, ...],
    fallback: str | None,
    tenant: str | None,
    is_default: bool | None,
) -> None:
    """Make a pool, or change what is given of it: members (with weights), fallback, whose it is."""
    wanted = members_of(members) if members else None

    async def work(rooms: Rooms) -> _Named:
        from appliance.egress import PoolChange

        change = PoolChange(
            members=wanted,
            fallback=fallback,
            tenant_id=None if tenant is None else await rooms.tenant_id(tenant),
            is_default=is_default,
        )
        return await rooms.pools.set(rooms.scope, name, change), await rooms.tenant_names()

    _show(session, session.box.ask(work))


@command.command()
@click.argument("name")
@click.argument("members", nargs=-1, required=True, metavar="EGRESS[=WEIGHT]...")
@pass_session
def add(session: Session, *, name: str, members: tuple[str, ...]) -> None:
    """Add addresses to a pool, or change the weight of those it has."""
    wanted = members_of(members)

    async def work(rooms: Rooms) -> _Named:
        return await rooms.pools.add(rooms.scope, name, wanted), await rooms.tenant_names()

    _show(session, session.box.ask(work))


@command.command()
@click.argument("name")
@click.argument("egresses", nargs=-1, required=True, metavar="EGRESS...")
@pass_session
def remove(session: Session, *, name: str, egresses: tuple[str, ...]) -> None:
    """Take addresses out of a pool."""

    async def work(rooms: Rooms) -> _Named:
        return await rooms.pools.remove(rooms.scope, name, egresses), await rooms.tenant_names()

    _show(session, session.box.ask(work))


@command.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Even if a tenant, a login or a pool refers to it.")
@pass_session
def delete(session: Session, *, name: str, force: bool) -> None:
    """Forget a pool; its addresses stay."""

    async def work(rooms: Rooms) -> _Named:
        done = await rooms.pools.delete(rooms.scope, name, force=force)
        return done, await rooms.tenant_names()

    done, names = session.box.ask(work)
    session.out.show(_row(done, names), [f"pool {done.name} is gone"])


def members_of(words: Iterable[str]) -> tuple[Member, ...]:
    """The members that were typed, as out1 or out1=3."""
    return tuple(_member(word) for word in words)


def _member(word: str) -> Member:
    from mta.egress import Member

    name, equals, weight = word.partition("=")
    if equals and not weight.isdecimal():
        raise UsageError(f"{word!r}: write a member as out1, or as out1=3 with its weight")
    return Member(egress=name, weight=int(weight) if equals else 1)


def _show(session: Session, found: _Named) -> None:
    made, names = found
    session.out.show(_row(made, names), _listing((made,), names))


def _row(one: PoolRecord, names: dict[int, str]) -> dict[str, object]:
    """A pool as programs see it."""
    return {
        "name": one.name,
        "tenant": names.get(one.tenant_id) if one.tenant_id else None,
        "members": {member.egress: member.weight for member in one.members},
        "fallback": one.fallback or None,
        "default": one.is_default,
        "created_at": one.created_at,
    }


def _listing(found: Iterable[PoolRecord], names: dict[int, str]) -> Iterator[Part]:
    yield Table(
        ("POOL", "FOR", "MEMBERS", "FALLBACK"),
        [
            (
                f"{one.name} (default)" if one.is_default else one.name,
                names.get(one.tenant_id, "?") if one.tenant_id else "everybody",
                ", ".join(f"{member.egress}={member.weight}" for member in one.members) or "-",
                one.fallback or "-",
            )
            for one in found
        ],
        empty="there is no pool: mail leaves from every enabled egress in equal shares",
    )
