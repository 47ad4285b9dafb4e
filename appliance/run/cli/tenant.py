"""`pillarbox tenant`: the customers or teams of the box. Suspended, never deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from appliance.run.cli.output import Table, ago, when
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.run.cli.output import Part
    from appliance.tenancy import TenantRecord

command = group("tenant", "Customers or teams that send through the box.")


@command.command()
@click.argument("name")
@click.option(
    "--weight", default=1, show_default=True, help="Share of the egress when others wait."
)
@click.option("--recipients-per-day", default=0, help="Daily limit of recipients; 0 is none.")
@pass_session
def create(session: Session, *, name: str, weight: int, recipients_per_day: int) -> None:
    """Add a tenant."""
    made = session.box.ask(
        lambda rooms: rooms.tenants.create(
            rooms.scope, name=name, weight=weight, recipients_per_day=recipients_per_day
        )
    )
    session.out.show(
        made,
        [
            f"tenant {made.name} is ready",
            f"next: pillarbox domain create DOMAIN --tenant {made.name}",
        ],
    )


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
        ("TENANT", "STATE", "WEIGHT", "PER DAY", "CREATED"),
        [
            (
                one.name,
                f"suspended {ago(one.suspended_at, now)}: {one.suspended_reason}"
                if one.suspended
                else "active",
                str(one.weight),
                f"{one.recipients_per_day:,}" if one.recipients_per_day else "no limit",
                when(one.created_at),
            )
            for one in found
        ],
        empty="there is no tenant yet: pillarbox tenant create NAME",
    )


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
