"""Words of `pillarbox warmup`: rows for programs, tables and bars for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.run.cli.output import Table, ahead
from mta.warmup.model import WarmupState, volume_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from appliance.run.cli.output import Part
    from appliance.warmup import DayRecord, WarmupRecord
    from mta.warmup.schedule import Schedule

_BAR: Final = 10  # characters


def warmup_row(one: WarmupRecord, used: int | None = None) -> dict[str, object]:
    """A warmup as programs see it; stages are counted from 1."""
    known = {} if used is None else {"used": used}
    return {
        "egress": one.egress,
        "provider": one.provider,
        "state": one.state,
        "stage": one.stage + 1,
        "stages": one.stages,
        "limit": one.limit,
        **known,
        "period": "hour" if one.course.is_hourly else "day",
        "schedule": one.schedule,
        "target": one.target,
        "reason": one.reason,
        "started_at": one.started_at,
        "changed_at": one.changed_at,
        "resumes_at": one.paused_until,
    }


def listing(found: Iterable[tuple[WarmupRecord, int]], now: int) -> Iterator[Part]:
    """Every warmup, with how much of its budget is used."""
    yield Table(
        ("EGRESS", "PROVIDER", "STATE", "STAGE", "USED", "SCHEDULE", "REASON"),
        [
            (
                one.egress,
                one.provider,
                _state(one, now),
                f"{one.stage + 1} of {one.stages}",
                _used(one, used),
                f"{one.schedule} to {one.target:,}" if one.target else one.schedule,
                one.reason,
            )
            for one, used in found
        ],
        empty="nothing is warmed up: `pillarbox warmup start EGRESS` begins",
    )


def _state(one: WarmupRecord, now: int) -> str:
    if one.state is WarmupState.PAUSED and one.paused_until:
        return f"paused, goes on {ahead(one.paused_until, now)}"
    return one.state


def _used(one: WarmupRecord, used: int) -> str:
    if one.state is WarmupState.WARM:
        return "-"
    span = "this hour" if one.course.is_hourly else "today"
    return f"{bar(used, one.limit)} {used:,} / {one.limit:,} {span}"


def bar(used: int, limit: int) -> str:
    """How full it is; the last piece is drawn only when it is full."""
    full = min(_BAR, used * _BAR // max(1, limit))
    return "█" * full + "░" * (_BAR - full)


def stages_lines(found: Iterable[WarmupRecord]) -> Iterator[str]:
    """The volumes of all stages, once for providers that go together; in brackets where they stand."""
    together: dict[tuple[tuple[int, ...], int], list[str]] = {}
    for one in found:
        stage = one.stages if one.state is WarmupState.WARM else one.stage
        together.setdefault((one.course.volumes, stage), []).append(one.provider)
    for (volumes, stage), providers in together.items():
        shown = [f"[{each:,}]" if n == stage else f"{each:,}" for n, each in enumerate(volumes)]
        if stage < 0:
            shown.insert(0, f"[{volume_of(volumes, stage):,}]")
        yield f"{', '.join(providers)}: {' '.join(shown)}"


def moved(one: WarmupRecord, done: str) -> str:
    """What became of a warmup by hand."""
    if one.state is WarmupState.WARM:
        return f"{one.egress} is warm for {one.provider}: no budget any more"
    span = "an hour" if one.course.is_hourly else "a day"
    stage = f"stage {one.stage + 1} of {one.stages}, {one.limit:,} {span}"
    return f"warmup of {one.egress} for {one.provider} {done}: {stage}"


def days_table(found: Sequence[DayRecord]) -> Table:
    """History, newest first."""
    return Table(
        (
            *("DAY", "PROVIDER", "STAGE", "USED", "DELIVERED", "DEFERRED", "BOUNCED"),
            *("BLOCKED", "COMPLAINTS", "DECISION", "REASON"),
        ),
        [
            (
                one.day,
                one.provider,
                str(one.stage + 1) if one.decision else "-",
                f"{one.used:,} / {one.budget:,}" if one.budget else "-",
                f"{one.delivered:,}",
                f"{one.deferred:,}",
                f"{one.bounced:,}",
                f"{one.blocked:,}",
                f"{one.complained:,}",
                one.decision or "not yet",
                one.reason or "-",
            )
            for one in found
        ],
        empty="no day of it is over yet",
    )


def schedules_table(found: Sequence[Schedule]) -> Table:
    """Sound schedules."""
    return Table(
        ("SCHEDULE", "STAGES", "PER", "FROM", "TO", "DESCRIPTION"),
        [
            (
                one.name,
                _stages(one),
                "hour" if one.is_hourly else "day",
                *_ends(one),
                one.description,
            )
            for one in sorted(found, key=lambda one: one.name)
        ],
        empty="no schedule is sound",
    )


def _stages(one: Schedule) -> str:
    lengths = {len(way) for way in (one.percents or one.volumes).values()}
    shortest, longest = min(lengths), max(lengths)
    return f"{shortest}-{longest}" if shortest < longest else str(longest)


def _ends(one: Schedule) -> tuple[str, str]:
    if one.needs_target:
        return f"{min(way[0] for way in one.percents.values()):g} %", "100 %"
    ways = one.volumes.values()
    return f"{min(way[0] for way in ways):,}", f"{max(way[-1] for way in ways):,}"
