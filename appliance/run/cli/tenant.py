"""`pillarbox tenant`: the customers or teams of the box. Suspended, never deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.core.scope import BOX
from appliance.run.cli.output import Table, ago, when
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms
    from appliance.tenancy import TenantRecord

command = group("tenant", "Customers or teams that send through the box.")

_POOLS = (
    click.option("--pool", help="Egress pool of its mail; '' is the default one."),
    click.option("--bulk-pool", help="Another pool for bulk mail; '' is none."),
    click.option("--transactional-pool", help="Another pool for transactional mail; '' is none."),
)


def _pool_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_POOLS):
        function = option(function)
    return function


@command.command()
@click.argument("name")
@click.option(
    "--weight", default=1, show_default=True, help="Share of the egress when others wait."
)
@click.option("--recipients-per-day", default=0, help="Daily limit of recipients; 0 is none.")
@_pool_options
@pass_session
def create(
    session: Session, /, *, name: str, weight: int, recipients_per_day: int, **given: str | None
) -> None:
    """Add a tenant."""
    chosen = {option: pool for option, pool in given.items() if pool}

    async def work(rooms: Rooms) -> TenantRecord:
        await _check_pools(rooms, chosen, BOX)  # of its own it has none yet
        made = await rooms.tenants.create(
            rooms.scope, name=name, weight=weight, recipients_per_day=recipients_per_day
        )
        return await rooms.tenants.set_pools(rooms.scope, made.name, **chosen) if chosen else made

    made = session.box.ask(work)
    session.out.show(
        made,
        [
            f"tenant {made.name} is ready",
            f"next: pillarbox domain create DOMAIN --tenant {made.name}",
        ],
    )


@command.command()
@click.argument("name")
@_pool_options
@pass_session
def pools(session: Session, /, *, name: str, **given: str | None) -> None:
    """Choose the egress pools that its mail leaves from."""

    async def work(rooms: Rooms) -> TenantRecord:
        found = await rooms.tenants.get(rooms.scope, name)
        await _check_pools(rooms, given, found.id)
        return await rooms.tenants.set_pools(rooms.scope, found.name, **given)

    done = session.box.ask(work)
    session.out.show(done, _listing((done,)))


async def _check_pools(rooms: Rooms, given: Mapping[str, str | None], tenant_id: int) -> None:
    """A pool that is misspelt would be passed over in silence when mail is sent."""
    for pool in filter(None, given.values()):
        await rooms.pools.usable(rooms.scope, pool, tenant_id)


@command.command("list")
@pass_session
def list_(session: Session) -> None:
    """Show the tenants."""
    found = session.box.ask(lambda rooms: rooms.tenants.list(rooms.scope))
    session.out.show(found, _listing(found))


def _listing(found: tuple[TenantRecord, ...]) -> Iterator[Part]:
    from appliance.core import clock

    now = clock.now_ms()
    yield Table(
        ("TENANT", "STATE", "WEIGHT", "PER DAY", "POOLS", "CREATED"),
        [
            (
                one.name,
                f"suspended {ago(one.suspended_at, now)}: {one.suspended_reason}"
                if one.suspended
                else "active",
                str(one.weight),
                f"{one.recipients_per_day:,}" if one.recipients_per_day else "no limit",
                _pools(one),
                when(one.created_at),
            )
            for one in found
        ],
        empty="there is no tenant yet: pillarbox tenant create NAME",
    )


def _pools(one: TenantRecord) -> str:
    chosen = (
        ("", one.pool),
        ("bulk ", one.bulk_pool),
        ("transactional ", one.transactional_pool),
    )
    return ", ".join(f"{words}{pool}" for words, pool in chosen if pool) or "-"


@command.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; its clients are told.")
@pass_session
def suspend(session: Session, *, name: str, reason: str) -> None:
    """Refuse its mail from now on. What is queued stays."""
    done = session.box.ask(lambda rooms: rooms.tenants.suspend(rooms.scope, name, reason=reason))
    session.out.show(
        done, [f"tenant {done.name} is suspended; its mail is refused within a second"]
    )


@command.command()
@click.argument("name")
@pass_session
def resume(session: Session, *, name: str) -> None:
    """Let a suspended tenant send again."""
    done = session.box.ask(lambda rooms: rooms.tenants.resume(rooms.scope, name))
    session.out.show(done, [f"tenant {done.name} may send"])


@command.command()
@click.argument("name")
@click.option("--weight", type=int, help="Share of the egress when others wait.")
@click.option("--recipients-per-day", type=int, help="Daily limit of recipients; 0 is none.")
@pass_session
def limits(
    session: Session, *, name: str, weight: int | None, recipients_per_day: int | None
) -> None:
    """Change its share or its daily limit."""
    done = session.box.ask(
        lambda rooms: rooms.tenants.set_limits(
            rooms.scope, name, weight=weight, recipients_per_day=recipients_per_day
        )
    )
    session.out.show(done, _listing((done,)))
