"""Warmup simulation: four new addresses with a backlog, for thirty days, in a world of receivers.

    .venv/bin/python bench/warmup_sim.py --json sim.json --markdown sim.md --plot docs/pictures/warmup.svg
    .venv/bin/python bench/warmup_sim.py --seeds 1 --days 5

Ours is the product's own planner, flows, throttles, warmup and judge (`warmup/ours.py`); beside it a sender
that follows a published table and never slows down (`warmup/naive.py`). Both meet the same receivers of the
same seed (`warmup/world.toml` says what they tolerate and where each figure comes from). Time is virtual.

The receivers count what reaches them; one recipient over a budget of warmup ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from pathlib import Path

import msgspec
from warmup import figures, plot, report, trial

from appliance.core.errors import ConfigError


def main() -> int:
    """Simulate what the options say; returns the exit code."""
    options = parse()
    logging.disable(logging.WARNING)  # every decision of a day is logged
    world = figures.load(options.world)
    if options.backlog:
        run = msgspec.structs.replace(world.run, backlog=options.backlog)
        world = msgspec.structs.replace(world, run=run)
    outcomes: list[trial.Outcome] = []
    for seed in range(options.first, options.first + options.seeds):
        started = time.monotonic()
        outcomes.append(asyncio.run(trial.ours(world, seed, options.days, options.schedule)))
        outcomes.append(trial.naive(world, seed, options.days, options.schedule))
        shown = [f"{one.sender} {one.totals['delivered']:,}" for one in outcomes[-2:]]
        print(
            f"seed {seed}: {', '.join(shown)} in {time.monotonic() - started:.0f} s",
            file=sys.stderr,
        )
    return finish(outcomes, world, options)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--schedule", default="standard", help="of ours, with volumes a day")
    parser.add_argument("--backlog", type=int, default=0, help="recipients, instead of the world's")
    parser.add_argument("--world", type=Path, default=figures.FILE, help="another world.toml")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--markdown", type=Path, help="write the tables there")
    parser.add_argument("--plot", type=Path, help="write an SVG there")
    options = parser.parse_args()
    if min(options.seeds, options.days) < 1:
        parser.error("give it at least one seed and one day")
    return options


def finish(
    outcomes: list[trial.Outcome], world: figures.Figures, options: argparse.Namespace
) -> int:
    """Print and write the results; 1 when a budget did not hold."""
    full = world.run.full_volume
    tables = [report.summary(outcomes, full), report.audit(outcomes)]
    print("\n\n".join(tables))
    if options.json:
        options.json.write_text(json.dumps([one.plain() for one in outcomes]), "utf-8")
    if options.markdown:
        first = report.daily(outcomes[0], outcomes[1])
        text = "\n\n".join([*tables, f"Seed {options.first}, day by day:", first])
        options.markdown.write_text(text + "\n", "utf-8")
    if options.plot:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        options.plot.write_text(plot.svg(outcomes), "utf-8")
    exceeded = sum(one.audit.get("exceeded", 0) for one in outcomes)
    if exceeded:
        print(f"warmup_sim: {exceeded} recipients over a budget", file=sys.stderr)
    return 1 if exceeded else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ConfigError as error:
        sys.exit(f"warmup_sim: {error}")
