"""Report: medians and worst of the seeds, and the days of one of them, as Markdown. Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warmup.trial import Outcome


def per_thousand(one: Outcome, column: str) -> float:
    """How many of a column for each thousand that were taken."""
    return 1000 * one.totals[column] / max(1, one.totals["delivered"])


def reached(one: Outcome, volume: int) -> int:
    """The first day with so many deliveries; one behind the last if there is none."""
    delivered = one.sum_of("delivered")
    return next((n for n, count in enumerate(delivered, 1) if count >= volume), len(delivered) + 1)


def summary(outcomes: Sequence[Outcome], full: int) -> str:
    """The table of all seeds: median, worst."""
    figures: list[tuple[str, Callable[[Outcome], float], bool]] = [
        ("delivered", lambda one: one.totals["delivered"], True),
        ("deferred, of 1,000 delivered", lambda one: per_thousand(one, "deferred"), False),
        ("refused by a block, of 1,000 delivered", lambda one: per_thousand(one, "blocked"), False),
        ("bounced for it", lambda one: one.totals["lost"], False),
        ("blocks of an address", lambda one: one.blocks, False),
        (f"first day with {full:,} delivered", lambda one: reached(one, full), False),
    ]
    senders = list(dict.fromkeys(one.sender for one in outcomes))
    heads = [f"{sender}, {what}" for sender in senders for what in ("median", "worst")]
    lines = [f"| | {' | '.join(heads)} |", f"| --- |{' --- |' * len(heads)}"]
    for title, value, more_is_better in figures:
        cells = []
        for sender in senders:
            values = [value(one) for one in outcomes if one.sender == sender]
            worst = min(values) if more_is_better else max(values)
            cells += [_shown(statistics.median(values)), _shown(worst)]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def audit(outcomes: Sequence[Outcome]) -> str:
    """What the receivers counted against the budgets."""
    found = [one.audit for one in outcomes if one.audit]
    total = {name: sum(one[name] for one in found) for name in found[0]}
    return (
        f"Budgets, counted by the receivers: {total['checked']:,} recipients in"
        f" {total['budgets']:,} budgets of a day, {total['filled']:,} of them used to the last one,"
        f" {total['exceeded']:,} recipients too many."
    )


def daily(ours: Outcome, naive: Outcome) -> str:
    """Every day of one seed, by provider."""
    lines = [
        "| day | provider | stage | used of budget | delivered | deferred | blocked"
        " | naive: delivered | deferred | blocked |",
        "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for number in range(len(ours.sum_of("sent"))):
        for name, mine in ours.days.items():
            low, high = ours.stages[name][number]
            stage = f"{low + 1}" if low == high else f"{low + 1}-{high + 1}"
            used = f"{ours.used[name][number]:,} of {ours.budget[name][number]:,}"
            columns = ("delivered", "deferred", "blocked")
            counts = [mine[c][number] for c in columns]
            counts += [naive.days[name][c][number] for c in columns]
            cells = " | ".join(f"{count:,}" for count in counts)
            lines.append(f"| {number + 1} | {name} | {stage} | {used} | {cells} |")
    return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:,.1f}" if 0 < value < 100 and value != int(value) else f"{value:,.0f}"
