"""The control path: what a hundred tenants, and changes of them, cost the messages.

    .venv/bin/python bench/control_path.py --json control.json --markdown control.md     about 10 minutes
    .venv/bin/python bench/control_path.py --only effect,rebuild --domains 1000

    rate        messages a second and CPU a message of a box with a crowd of tenants, without changes and with one
                each second, beside a box with one tenant, in turns (relay/generator.py and Postfix's smtp-sink; without it this part is left out)
    statements  of SQL on control.db that a message costs
    effect      of a change: from its commit to the first client or receiver that sees it
    rebuild     of the directory after a change: how long, and how late the event loop comes meanwhile

Boxes are made and configured as in production, below a temporary directory that goes at the end; nothing
is left running.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from control import effect, rate, rebuild, report, statements
from control.box import Box
from control.people import Crowd, fill
from relay.base import BenchError, program
from relay.ours import Pillarbox, make_home
from relay_job import machine

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS: Final = ("rate", "statements", "effect", "rebuild")


def main() -> int:
    """Measure what the options say; returns the exit code."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    logging.disable(logging.INFO)
    work = Path(tempfile.mkdtemp(prefix="control-path-", dir=options.work))
    try:
        result = Job(options, work).run()
    except BenchError as error:
        print(f"control_path: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    words = report.text(result)
    print(words)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(words + "\n")
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--credentials", type=int, default=1000)
    parser.add_argument("--domains", default="1000,10000", help="of the rebuild; the first of all")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma-separated")
    parser.add_argument("--messages", type=int, default=5000, help="of a run")
    parser.add_argument("--reps", type=int, default=3, help="turns of the two boxes")
    parser.add_argument("--changes", type=int, default=20, help="of each kind")
    parser.add_argument("--work", default="/var/tmp", help="where to work: a real disk")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--markdown", type=Path, help="write the tables there")
    options = parser.parse_args()
    options.domains = [int(word) for word in options.domains.split(",")]
    options.only = options.only.split(",")
    if unknown := [word for word in options.only if word not in PARTS]:
        parser.error(f"--only {unknown[0]}: there are {', '.join(PARTS)}")
    if any(count % options.tenants for count in (options.credentials, *options.domains)):
        parser.error("every tenant has as many credentials, and as many domains, as the others")
    if options.changes >= options.credentials:
        parser.error("each revocation needs a credential of its own, and one is kept")
    return options


class Job:
    """All measurements of one call."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self._options, self._work = options, work
        self._crowd = self._crowd_with(options.domains[0])

    def run(self) -> dict[str, Any]:
        """Every part that is wanted."""
        parts: dict[str, Callable[[], Any]] = {
            "rate": self._rate,
            "statements": self._statements,
            "effect": self._effect,
            "rebuild": self._rebuild,
        }
        result: dict[str, Any] = {
            "when": time.strftime("%FT%TZ", time.gmtime()),
            "machine": machine(),
        }
        for name in self._options.only:
            print(f"{name} ...", file=sys.stderr, flush=True)
            found = parts[name]()
            if found is not None:
                result[name] = found
        return result

    def _rate(self) -> dict[str, Any] | None:
        try:
            program("smtp-sink")
        except BenchError as error:
            print(f"rate is not measured: {error}", file=sys.stderr)
            return None
        options = self._options
        return rate.measure(self._work, self._crowd, options.messages, options.reps)

    def _statements(self) -> dict[str, Any]:
        place = self._work / "statements"
        place.mkdir()
        return asyncio.run(statements.measure(place, self._crowd, self._options.messages))

    def _effect(self) -> dict[str, Any]:
        box = Box(self._work / "effect", self._crowd)
        try:
            box.start()
            return dict(asyncio.run(effect.measure(box, self._options.changes)))
        finally:
            box.stop()

    def _rebuild(self) -> dict[str, Any]:
        return {str(domains): self._rebuilt(domains) for domains in self._options.domains}

    def _rebuilt(self, domains: int) -> dict[str, Any]:
        place = self._work / f"rebuild-{domains}"
        place.mkdir()
        box = Pillarbox(place)
        settings = box.settings()

        async def work() -> dict[str, Any]:
            await make_home(box.home, settings)
            await fill(box.home, settings, self._crowd_with(domains))
            return await rebuild.measure(box.home, settings, self._options.changes)

        return asyncio.run(work())

    def _crowd_with(self, domains: int) -> Crowd:
        options = self._options
        return Crowd(tenants=options.tenants, credentials=options.credentials, domains=domains)


if __name__ == "__main__":
    sys.exit(main())
