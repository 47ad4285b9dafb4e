"""`pillarbox warmup`: addresses that are new to receivers, and how much each may send today.

Schedules are those that come with the box and <home>/warmup/*.toml. A change takes effect within a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock
from appliance.core.errors import ConfigError, NotFoundError, UsageError
from appliance.run.cli.output import counted, when
from appliance.run.cli.session import Session, group, pass_session
from appliance.run.cli.warmup_words import (
    days_table,
    listing,
    moved,
    schedules_table,
    stages_lines,
    warmup_row,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import tzinfo

    from appliance.run.cli.rooms import Rooms
    from appliance.warmup import DayRecord, WarmupRecord
    from mta.warmup.eta import Source
    from mta.warmup.schedule import Schedule

command = group("warmup", "Warm new addresses up: a little more to each provider day by day.")

_providers = click.option(
    "--provider", "providers", multiple=True, help="Only for this one; again for more."
)
_MAX_ETA = 1_000_000_000


# -- looking -----------------------------------------------------------------


@command.command("list")
@click.argument("egress", default="")
@pass_session
def list_(session: Session, *, egress: str) -> None:
    """Show every warmup, or those of EGRESS: stage, what was used, and why it stands there."""
    from appliance.run.cli.warmup_facts import require_egress, used_now

    async def work(rooms: Rooms) -> list[tuple[WarmupRecord, int]]:
        every = await rooms.warmups.list(rooms.scope, egress)
        if egress and not every:
            await require_egress(rooms, session.box.settings, egress)
        return [(one, await used_now(rooms, one, zone)) for one in every]

    zone = _zone(session)
    found = session.box.ask(work)
    rows = [warmup_row(one, used) for one, used in found]
    session.out.show(rows, listing(found, clock.now_ms()))


@command.command()
@click.argument("egress")
@pass_session
def show(session: Session, *, egress: str) -> None:
    """Show the warmups of EGRESS with all their stages, and its last week."""
    from appliance.run.cli.warmup_facts import used_now

    async def work(rooms: Rooms) -> tuple[list[tuple[WarmupRecord, int]], Sequence[DayRecord]]:
        every = await rooms.warmups.list(rooms.scope, egress)
        found = [(one, await used_now(rooms, one, zone)) for one in every]
        return found, await rooms.warmups.history(rooms.scope, egress, days=7)

    zone = _zone(session)
    found, days = session.box.ask(work)
    if not found:
        raise NotFoundError(f"{egress} has no warmup: `pillarbox warmup list` shows what there is")
    rows = [{**warmup_row(one, used), "volumes": one.course.volumes} for one, used in found]
    session.out.show(
        {"warmups": rows, "days": days},
        [
            *listing(found, clock.now_ms()),
            "",
            *stages_lines(one for one, _ in found),
            "",
            days_table(days),
        ],
    )


@command.command()
@click.argument("egress")
@_providers
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 400))
@pass_session
def history(session: Session, *, egress: str, providers: tuple[str, ...], days: int) -> None:
    """Show what the days of EGRESS brought, and what followed from each."""
    from appliance.run.cli.warmup_facts import require_egress

    async def work(rooms: Rooms) -> Sequence[DayRecord]:
        every = await rooms.warmups.history(rooms.scope, egress, days=days)
        if not every:
            await require_egress(rooms, session.box.settings, egress)
        return [one for one in every if not providers or one.provider in providers]

    found = session.box.ask(work)
    session.out.show(found, [days_table(found)])


@command.command()
@click.argument("provider")
@click.argument("recipients", type=click.IntRange(0, _MAX_ETA))
@click.option("--egress", "egresses", multiple=True, help="Of these addresses only; else all.")
@pass_session
def eta(session: Session, *, provider: str, recipients: int, egresses: tuple[str, ...]) -> None:
    """Tell when the last of so many RECIPIENTS at PROVIDER leaves, by the plan."""
    from appliance.run.cli.warmup_facts import enabled, require_egress, require_providers, sources
    from mta.warmup.eta import eta as plan

    require_providers(session, [provider])
    zone, settings = _zone(session), session.box.settings

    async def work(rooms: Rooms) -> list[Source]:
        for name in egresses:
            await require_egress(rooms, settings, name)
        return await sources(rooms, egresses or await enabled(rooms, settings), provider, zone)

    going = session.box.ask(work)
    found = plan(recipients, going, clock.now_ms(), zone)
    shown = {"best_at": found.at_best or 0, "held_at": found.if_held or 0}
    ways = "one address" if len(going) == 1 else f"{len(going)} addresses"
    session.out.show(
        {"provider": provider, "recipients": recipients, **shown},
        [
            f"{counted(recipients, 'recipient')} at {provider}, from {ways}:",
            f"  if every day goes well    {_date(found.at_best)}",
            f"  if no stage advances      {_date(found.if_held)}",
        ],
    )


def _date(at: int | None) -> str:
    return "not within a year" if at is None else when(at)


# -- acting ------------------------------------------------------------------


@command.command()
@click.argument("egress")
@click.option("--schedule", "name", default="standard", show_default=True, help="By which plan.")
@_providers
@click.option("--target", default=0, help="Volume to reach, for a schedule in percent.")
@pass_session
def start(
    session: Session, *, egress: str, name: str, providers: tuple[str, ...], target: int
) -> None:
    """Warm EGRESS up: for the providers named, else for all receivers."""
    from appliance.run.cli.warmup_facts import require_egress, require_providers

    schedule, settings = _schedule(session, name), session.box.settings
    require_providers(session, providers)

    async def work(rooms: Rooms) -> tuple[WarmupRecord, ...]:
        await require_egress(rooms, settings, egress)
        return await rooms.warmups.start(
            rooms.scope, egress, schedule, providers=providers, target=target
        )

    _show_moved(session, session.box.ask(work), "is started")


@command.command()
@click.argument("egress")
@_providers
@click.option("--reason", required=True, help="Why; whoever finds it later will ask.")
@click.option("--hours", default=0.0, help="For so long; else until it is resumed.")
@pass_session
def pause(
    session: Session, *, egress: str, providers: tuple[str, ...], reason: str, hours: float
) -> None:
    """Send nothing of its budget. Mail goes from other addresses, or waits."""
    if hours < 0:
        raise UsageError("give --hours a number above 0")
    until = clock.now_ms() + int(hours * clock.HOUR) if hours else 0
    found = session.box.ask(
        lambda rooms: rooms.warmups.pause(
            rooms.scope, egress, providers, reason=reason, until=until
        )
    )
    _show_moved(session, found, f"is paused until {when(until) if until else 'it is resumed'}")


@command.command("step-back")
@click.argument("egress")
@_providers
@click.option("--reason", required=True, help="Why; whoever finds it later will ask.")
@pass_session
def step_back(session: Session, *, egress: str, providers: tuple[str, ...], reason: str) -> None:
    """Go back to the stage before; below the first there are smaller ones."""
    found = session.box.ask(
        lambda rooms: rooms.warmups.step_back(rooms.scope, egress, providers, reason=reason)
    )
    _show_moved(session, found, "is a stage back")


def _register(action: str, done: str, help_text: str) -> None:
    """Four commands that differ in a word."""

    @command.command(action, help=help_text)
    @click.argument("egress")
    @_providers
    @click.option("--yes", is_flag=True, help="Do not ask, however many it concerns.")
    @pass_session
    def act(session: Session, *, egress: str, providers: tuple[str, ...], yes: bool) -> None:
        if not providers:
            every = session.box.ask(lambda rooms: rooms.warmups.list(rooms.scope, egress))
            question = f"{action.capitalize()} the warmup of {egress} for {len(every)} providers?"
            session.confirm(question, concerned=len(every), yes=yes)
        found = session.box.ask(
            lambda rooms: _action(rooms, action)(rooms.scope, egress, providers)
        )
        _show_moved(session, found, done)


def _action(rooms: Rooms, action: str) -> Callable[..., Any]:
    of = rooms.warmups
    return {"resume": of.resume, "skip": of.skip, "finish": of.finish, "restart": of.restart}[
        action
    ]


_register("resume", "goes on", "Go on after a pause, with the same stage.")
_register("skip", "is a stage further", "Go to the next stage now; behind the last one it is warm.")
_register("finish", "is warm", "Call it warm: no budget any more.")
_register("restart", "begins anew", "Begin anew with the first stage.")


def _show_moved(session: Session, found: Iterable[WarmupRecord], done: str) -> None:
    every = list(found)
    session.out.show([warmup_row(one) for one in every], [moved(one, done) for one in every])


# -- schedules ---------------------------------------------------------------


@command.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@pass_session
def check(session: Session, *, file: Path | None) -> None:
    """Tell every mistake in FILE, else in all schedules; show those that are sound."""
    from mta.warmup.schedule import SHIPPED, load_schedule

    folders = (SHIPPED, session.home.path / "warmup")
    paths = [file] if file else [path for one in folders for path in sorted(one.glob("*.toml"))]
    sound: list[Schedule] = []
    errors: list[str] = []
    for path in paths:
        try:
            sound.append(load_schedule(path))
        except ConfigError as error:
            errors += str(error).splitlines()
    errors += _strangers(session, sound)
    shown = [{"name": one.name, "description": one.description} for one in sound]
    value = {"ok": not errors, "errors": errors, "schedules": shown}
    session.out.show(value, [*errors, schedules_table(sound)])
    if errors:
        raise click.exceptions.Exit(ConfigError.exit_code)


def _strangers(session: Session, schedules: Iterable[Schedule]) -> list[str]:
    from appliance.run.cli.warmup_facts import known_providers

    known = known_providers(session)
    return [
        f"schedule {one.name}: no section of shaping.toml is named {name!r}"
        for one in schedules
        for name in one.providers
        if name not in known
    ]


def _schedule(session: Session, name: str) -> Schedule:
    from mta.warmup.schedule import SHIPPED, load_schedules

    found = load_schedules([SHIPPED, session.home.path / "warmup"])
    if name not in found:
        raise NotFoundError(f"no schedule is named {name!r}; there are {', '.join(sorted(found))}")
    return found[name]


def _zone(session: Session) -> tzinfo:
    from mta.warmup.day import zone_of

    return zone_of(session.box.settings.warmup.timezone)
