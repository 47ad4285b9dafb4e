"""Trial: one sender for so many days in the world of one seed; what came of it, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.shaping.book import shipped_book
from mta.warmup.day import next_day
from mta.warmup.model import OTHER
from mta.warmup.schedule import SHIPPED, load_schedule
from warmup.figures import drawn
from warmup.naive import Naive
from warmup.ours import Ours
from warmup.tally import COLUMNS, Audit, Tally
from warmup.world import World

if TYPE_CHECKING:
    from warmup.figures import Figures

SENDERS: Final = ("ours", "naive")


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a sender reached. Lists have an entry a day."""

    sender: str
    seed: int
    days: dict[str, dict[str, list[int]]]  # by provider, then column of the tally
    totals: dict[str, int]
    blocks: int  # times that a receiver blocked an address
    done_on: int  # day on which the last that was never tried went, 0 = some are left
    budget: dict[str, list[int]] = field(default_factory=dict)  # of all addresses, by provider
    used: dict[str, list[int]] = field(default_factory=dict)
    stages: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # lowest and highest
    audit: dict[str, int] = field(default_factory=dict)

    def sum_of(self, column: str) -> list[int]:
        """Over all providers."""
        return [
            sum(day) for day in zip(*(each[column] for each in self.days.values()), strict=True)
        ]

    def days_shown(self) -> list[list[int]]:
        """What the picture has a line for, of every provider."""
        columns = ("delivered", "deferred", "blocked")
        counts = [each[column] for each in self.days.values() for column in columns]
        return [*counts, *self.budget.values()]

    def plain(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def providers_of(figures: Figures, schedule: str) -> dict[str, str]:
    """The warmup provider of each receiver."""
    own = load_schedule(SHIPPED / f"{schedule}.toml").providers
    return {one.name: one.name if one.name in own else OTHER for one in figures.receiver}


async def ours(base: Figures, seed: int, days: int, schedule: str) -> Outcome:
    """The product."""
    figures, path = drawn(base, seed), SHIPPED / f"{schedule}.toml"
    world, tally, audit = World(figures, seed), Tally(figures.start), None
    sender = Ours(figures, seed, world, tally, book=shipped_book(), schedule=load_schedule(path))
    audit = Audit(world, path)
    tick, done_on = figures.run.tick_seconds * clock.SECOND, 0
    for now in range(figures.start, figures.start + days * clock.DAY, tick):
        await sender.tick(now)
        audit.look(sender.stages(), now // clock.DAY)
        if not done_on and not sender.waiting:
            done_on = (now - figures.start) // clock.DAY + 1
    await sender.judge(figures.start + days * clock.DAY + clock.HOUR)
    found = _outcome("ours", seed, figures, providers_of(base, schedule), tally, days)
    found.blocks, found.done_on = sum(world.blocks.values()), done_on
    found.audit = {
        "checked": audit.checked,
        "exceeded": audit.exceeded,
        "budgets": audit.budgets,
        "filled": audit.filled(),
    }
    _add_budgets(found, sender, figures, days)
    return found


def naive(base: Figures, seed: int, days: int, schedule: str) -> Outcome:
    """The table; `schedule` only says how receivers are grouped."""
    figures = drawn(base, seed)
    world, tally = World(figures, seed), Tally(figures.start)
    table = load_schedule(SHIPPED / f"{figures.naive.schedule}.toml").volumes[OTHER]
    sender = Naive(figures, seed, world, tally, table)
    tick, done_on = figures.run.tick_seconds * clock.SECOND, 0
    for now in range(figures.start, figures.start + days * clock.DAY, tick):
        sender.tick(now)
        if not done_on and not sender.waiting:
            done_on = (now - figures.start) // clock.DAY + 1
    found = _outcome("naive", seed, figures, providers_of(base, schedule), tally, days)
    found.blocks, found.done_on = sum(world.blocks.values()), done_on
    return found


def _outcome(
    sender: str, seed: int, figures: Figures, groups: dict[str, str], tally: Tally, days: int
) -> Outcome:
    found = {name: {c: [0] * days for c in COLUMNS} for name in dict.fromkeys(groups.values())}
    for (receiver, day, column), count in tally.counts.items():
        if day < days:
            found[groups[receiver]][column][day] += count
    totals = {c: sum(sum(each[c]) for each in found.values()) for c in COLUMNS}
    return Outcome(sender=sender, seed=seed, days=found, totals=totals, blocks=0, done_on=0)


def _add_budgets(found: Outcome, sender: Ours, figures: Figures, days: int) -> None:
    for provider in found.days:
        rows = []
        for number in range(days):
            day = next_day(figures.run.start, number)
            rows.append(
                [r for (_, p, d), r in sender.days.history.items() if (p, d) == (provider, day)]
            )
        found.budget[provider] = [sum(r.budget for r in row) for row in rows]
        found.used[provider] = [sum(r.used for r in row) for row in rows]
        found.stages[provider] = [
            (min(r.stage for r in row), max(r.stage for r in row)) for row in rows
        ]
