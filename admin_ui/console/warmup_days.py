"""Warmup days: what a page tells of one warmup: its chart, its next days, what was decided and why. Pure.

A day's mark is what the day before led to: a day that was held runs on the budget of the day before it. Next
days suppose that each goes well; a warmup that is held stays where it is until tomorrow is over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Final

from admin_ui.console.charts import Chart, Kind, Mark, Plot, Series, Tone, draw
from admin_ui.console.words import number, percent
from mta.warmup.day import day_of, days_between, next_day
from mta.warmup.decide import Kind as Became
from mta.warmup.model import OTHER, WarmupState, volume_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from appliance.warmup import DayRecord, WarmupRecord
    from mta.warmup.schedule import Rates

DRAWN: Final = 28  # days behind today
AHEAD: Final = 2
NEXT: Final = 4
_STAYS: Final = frozenset({Became.HOLD, Became.STEP_BACK})
_MARKS: Final = {
    Became.HOLD: Mark.HELD,
    Became.PAUSE: Mark.HELD,
    Became.STEP_BACK: Mark.STEPPED_BACK,
}

Badge = tuple[str, str, str]
"""Word, kind, icon."""

BECAME: Final[Mapping[str, Badge]] = {
    Became.ADVANCE: ("Moved on", "good", "check"),
    Became.HOLD: ("Held", "look", "pause"),
    Became.STEP_BACK: ("Stepped back", "bad", "arrow-down"),
    Became.PAUSE: ("Paused", "bad", "circle-pause"),
    Became.RESTART: ("Begun anew", "way", "rotate-ccw"),
    Became.FINISH: ("Warm", "good", "check"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One of yesterday's shares, beside the limit from which the stage is held."""

    label: str
    figure: str
    limit: str
    is_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One warmup as a page shows it."""

    record: WarmupRecord
    title: str  # of the provider
    used: int  # in the window that runs
    today: str
    begun: str  # its first day
    days: Mapping[str, DayRecord]  # by day

    @property
    def number(self) -> int:
        """Which day of the warmup it is, from 1."""
        return days_between(self.begun, self.today) + 1

    @property
    def is_warming(self) -> bool:
        """Whether today has a budget."""
        return self.record.state is WarmupState.WARMING

    @property
    def is_held(self) -> bool:
        """Whether yesterday's judgement, or a person, keeps it where it is."""
        return self.record.state is WarmupState.PAUSED or (
            self.is_warming and self._became(next_day(self.today, -1)) in _STAYS
        )

    @property
    def held_days(self) -> int:
        """For how many days in a row, today with them."""
        day, count = next_day(self.today, -1), 0
        while self._became(day) in (Became.HOLD, Became.PAUSE):
            count, day = count + 1, next_day(day, -1)
        return count

    @property
    def badge(self) -> Badge:
        """How it stands."""
        if self.record.state is WarmupState.WARM:
            return BECAME[Became.FINISH]
        if self.record.state is WarmupState.PAUSED:
            return "Paused", "bad" if self.record.paused_until else "off", "circle-pause"
        if not self.is_held:
            is_first = self.record.stage <= 0
            return ("Begun", "way", "flame") if is_first else BECAME[Became.ADVANCE]
        if self._became(next_day(self.today, -1)) == Became.STEP_BACK:
            return BECAME[Became.STEP_BACK]
        return f"Held, day {self.held_days}", "look", "pause"

    @property
    def span(self) -> str:
        """What the budget is of."""
        return "this hour" if self.record.course.is_hourly else "today"

    @property
    def chart(self) -> Chart:
        """The plan against what was sent."""
        first = max(1, self.number - DRAWN)
        numbers = range(first, self.number + AHEAD + 1)
        days = {n: next_day(self.begun, n - 1) for n in numbers}
        held = any(self._mark(day) for day in days.values())
        sent = [self._sent(day) for day in days.values()]
        outline = [
            self.record.limit if n == self.number and self.is_warming else None for n in numbers
        ]
        marks = tuple(self._mark(day) for day in days.values())
        return draw(
            Plot(
                finding=self._finding(held=held),
                labels=tuple(str(n) for n in numbers),
                names=tuple(f"Day {n}, {words_of(day)}" for n, day in days.items()),
                column="Day",
                now=self.number - first,
                now_word="today",
                height=130,
                series=(
                    Series(
                        name="Plan",
                        kind=Kind.STEP,
                        tone=Tone.PLAN,
                        values=tuple(
                            float(volume_of(self.record.course.volumes, n - 1)) for n in numbers
                        ),
                    ),
                    Series(name="Sent", tone=Tone.DONE, values=tuple(sent), marks=marks),
                    Series(
                        name="Today's budget",
                        kind=Kind.OUTLINE,
                        tone=Tone.DONE,
                        values=tuple(outline),
                    ),
                ),
            )
        )

    def stage_on(self, ahead: int) -> int:
        """The stage so many days from now, if each goes well."""
        return self.record.stage + max(0, ahead - self.is_held)

    def budget_on(self, ahead: int) -> int | None:
        """Its budget; None when it is warm by then."""
        if self.record.state is WarmupState.WARM or self.stage_on(ahead) >= self.record.stages:
            return None
        if self._is_paused_on(ahead):
            return 0
        return volume_of(self.record.course.volumes, self.stage_on(ahead))

    @property
    def warm_on(self) -> str:
        """The first day without a budget, if every day goes well; "" when nobody knows."""
        record = self.record
        if record.state is WarmupState.PAUSED and not record.paused_until:
            return ""
        return next_day(self.today, record.stages - record.stage + self.is_held)

    @property
    def planned(self) -> str:
        """The day that was meant when it began."""
        return next_day(self.begun, self.record.stages)

    @property
    def shares(self) -> tuple[Share, ...]:
        """Yesterday's, beside what holds a stage."""
        found = self.days.get(next_day(self.today, -1))
        health = self.record.course.health
        if found is None:
            return ()
        tried = found.delivered + found.deferred + found.bounced
        return (
            _share("Deferred", found.deferred, tried, health.deferred, 1),
            _share("Blocked", found.blocked, tried, health.blocked, 1),
            _share("Complaints", found.complained, found.delivered, health.complained, 2),
        )

    def _is_paused_on(self, ahead: int) -> bool:
        """A pause with an end is over by tomorrow but one at the latest: it lasts a day."""
        record = self.record
        return record.state is WarmupState.PAUSED and (not record.paused_until or ahead < 1)

    def _became(self, day: str) -> str:
        found = self.days.get(day)
        return found.decision if found else ""

    def _mark(self, day: str) -> Mark | None:
        return (
            _MARKS.get(Became(before))
            if (before := self._became(next_day(day, -1))) and day <= self.today
            else None
        )

    def _sent(self, day: str) -> float | None:
        if day == self.today:
            return float(self.used)
        found = self.days.get(day)
        return float(found.used) if found and found.decision else None

    def _finding(self, *, held: bool) -> str:
        stands = self.badge[0].lower() if not held else f"{self.badge[0].lower()} after a setback"
        limit = f"of {number(self.record.limit)} " if self.is_warming else ""
        return f"{self.title}: {number(self.used)} {limit}sent {self.span}; {stands}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What followed from a day, for a provider or several alike."""

    day: int  # that began with it
    is_today: bool
    titles: tuple[str, ...]
    badge: Badge
    why: str
    before: int
    after: int | None  # None: no limit any more
    is_hourly: bool


def decisions(ways: Sequence[Way]) -> list[Decided]:
    """Newest day first; what needs a look before what went well."""
    found = [
        (_effective(way, day), BECAME[day.decision][1] == "good", way, day)
        for way in ways
        for day in way.days.values()
        if day.decision in BECAME
    ]
    found.sort(key=lambda one: (-one[0], one[1], one[2].title))
    alike: dict[tuple[object, ...], Decided] = {}
    for _, _, way, day in found:
        one = _decided(way, day)
        key = (one.day, one.badge, one.why, one.before, one.after)
        before = alike.get(key)
        alike[key] = replace(before, titles=before.titles + one.titles) if before else one
    return list(alike.values())


def _effective(way: Way, day: DayRecord) -> int:
    return days_between(way.begun, day.day) + 2


def _decided(way: Way, day: DayRecord) -> Decided:
    return Decided(
        day=_effective(way, day),
        is_today=next_day(day.day) == way.today,
        titles=(way.title,),
        badge=BECAME[day.decision],
        why=day.reason,
        before=day.budget,
        after=_after(way.record, day),
        is_hourly=way.record.course.is_hourly,
    )


def _after(record: WarmupRecord, day: DayRecord) -> int | None:
    """The budget that the decision led to."""
    stages = {
        Became.ADVANCE: day.stage + 1,
        Became.STEP_BACK: day.stage - 1,
        Became.RESTART: 0,
    }
    match day.decision:
        case Became.FINISH:
            return None
        case Became.PAUSE:
            return 0
        case _:
            return volume_of(record.course.volumes, stages.get(Became(day.decision), day.stage))


def _share(label: str, count: int, of: int, rates: Rates, digits: int) -> Share:
    return Share(
        label=f"{label}, yesterday",
        figure=percent(count, of, digits),
        limit=f"limit {100 * rates.hold:.{digits}f} %",
        is_over=bool(of) and count / of >= rates.hold,
    )


def ways_of(
    records: Sequence[WarmupRecord],
    used: Sequence[int],
    history: Sequence[DayRecord],
    titles: Mapping[str, str],
    now: int,
    zone: tzinfo,
) -> tuple[Way, ...]:
    """Each warmup of an address with its days; receivers without a name come last."""
    days: dict[str, dict[str, DayRecord]] = {}
    for one in history:
        days.setdefault(one.provider, {})[one.day] = one
    ways = [
        Way(
            record=record,
            title=title_of(record.provider, titles),
            used=count,
            today=day_of(now, zone),
            begun=min(day_of(record.started_at, zone), day_of(now, zone)),
            days=days.get(record.provider, {}),
        )
        for record, count in zip(records, used, strict=True)
    ]
    return tuple(sorted(ways, key=lambda way: (way.record.provider == OTHER, way.title)))


def title_of(provider: str, titles: Mapping[str, str]) -> str:
    """As people call it."""
    return "Others" if provider == OTHER else titles.get(provider, provider)


def words_of(day: str) -> str:
    """20 Nov."""
    found = date.fromisoformat(day)
    return f"{found.day} {found:%b}"
