"""kill -9 at any moment: what was acknowledged is there, what was not is whole or not there at all."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest

from mta.spool.store import Cursor
from mta.status import Status
from tests.support.spool_ledger import content_of, people_of
from tests.support.spools import Spool
from tests.support.way import backend_at

ROOT = Path(__file__).parents[4]
SECONDS = 30


class Ledger:
    """What the child said was durable."""

    def __init__(self) -> None:
        self.accepted: set[int] = set()
        self.settled: dict[tuple[int, int], str] = {}

    def take(self, lines: list[str]) -> None:
        """What one life of the child said."""
        for line in lines:
            kind, number, *rest = line.split()
            if kind == "A":
                assert int(number) not in self.accepted, "an id was given out twice"
                self.accepted.add(int(number))
            else:
                self.settled[int(number), int(rest[0])] = rest[1]


class Lives:
    """Children one after the other, each killed at its time."""

    def __init__(self, where: str) -> None:
        command = [sys.executable, "-m", "tests.support.spool_ledger", where]
        self._parent = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.communicate(timeout=SECONDS)

    def one(self, seed: int, after: float) -> list[str]:
        """Let one work for so many seconds behind its first word, and kill it; what it said."""
        print(seed, file=self._parent.stdin, flush=True)
        pid, said = int(self._line().removeprefix("P ")), [self._line()]
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
        while not (line := self._line()).startswith("E "):
            said.append(line)
        assert line == f"E {signal.SIGKILL:d}", "it ended by itself"
        return said

    def _line(self) -> str:
        assert self._parent.stdout is not None
        line = self._parent.stdout.readline()
        assert line, "the parent of the children is gone"
        return line.rstrip("\n")


def check(spool: Spool, ledger: Ledger) -> None:
    stored = {row[0] for row in spool.rows("SELECT id FROM message")}
    assert ledger.accepted <= stored, "an acknowledged message is gone"
    standing = {
        (number, n): (status, attempts)
        for number, n, status, attempts in spool.rows(
            "SELECT message_id, n, status, attempts FROM recipient"
        )
    }
    for place, status in ledger.settled.items():
        assert standing[place] == (status, 1), "an acknowledged outcome is gone"
    assert set(standing) == {(m, n) for m in stored for n in range(people_of(m))}
    check_contents(spool, stored, standing)
    check_events(spool, stored, standing)
    check_waiting(spool, standing)


def check_contents(spool, stored, standing):
    """A message with an open recipient has its content, whole; one without has none."""
    opens = dict.fromkeys(stored, 0)
    for (number, _), (status, _attempts) in standing.items():
        opens[number] += not Status(status).is_final
    assert dict(spool.rows("SELECT id, open FROM message")) == opens
    kept = {number for number, count in opens.items() if count}
    assert {row[0] for row in spool.rows("SELECT message_id FROM content")} == kept
    for number in kept:
        assert spool.store.content(number) == content_of(number)


def check_events(spool, stored, standing):
    """The outbox has no gap, and tells of everything that is so and nothing else."""
    rows = spool.rows("SELECT seq, message_id, n, kind FROM outbox ORDER BY seq")
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    told = {(number, n): kind for _, number, n, kind in rows}
    assert len(told) == len(rows)
    wanted = {(number, -1): "accepted" for number in stored}
    wanted |= {place: status for place, (status, attempts) in standing.items() if attempts}
    assert told == wanted


def check_waiting(spool, standing):
    """Everything without a final outcome is queued again."""
    waiting = {place for place, (status, _) in standing.items() if Status(status).is_waiting}
    found, cursor = set(), Cursor()
    keys = [entry.key for entry in spool.store.waiting()]
    while keys and (page := spool.store.due(keys[0], 1 << 50, cursor, 1000)):
        found |= {(r.message_id, r.n) for r in page}
        cursor = Cursor(page[-1].due_at, page[-1].message_id, page[-1].n)
    assert found == waiting


@pytest.mark.parametrize("seed", [1])
def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(location, seed):
    backend = backend_at(location)
    is_file = isinstance(location, Path)
    where = str(location.parent / "spool-0.db") if is_file else location
    dice, ledger, said = random.Random(seed), Ledger(), 0
    life, least = 0, 25 if is_file else 6
    # A busy machine gets less done in each life: it lives more often until enough was at stake.
    with Lives(where) as lives:
        while life < least or (life < 4 * least and (said <= 500 or len(ledger.settled) <= 100)):
            lines = lives.one(seed + life, dice.uniform(0, 0.12))
            ledger.take(lines)
            said, life = said + len(lines), life + 1
            spool = Spool(backend)
            try:
                check(spool, ledger)
            finally:
                spool.store.close()
    assert said > 100, "the child got nothing done: nothing was tested"
    assert len(ledger.settled) > 20
