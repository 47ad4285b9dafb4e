"""Processes that accept and settle without end and say on stdout what was acknowledged.

For each seed on stdin one is forked (what it imports takes longer than it lives) and works until it is
killed. Lines: "P pid" before everything, "A id" after a message was acknowledged, "S id n status" after
an outcome was, "E signal" behind everything. The content of a message follows from its id, so that
whoever reads the spool later can tell whether it is whole.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from appliance.core import clock
from mta.spool.backend import Backend, PostgresBackend, SqliteBackend
from mta.spool.shard import Shard
from mta.status import Status
from tests.support.recipients import admitted, recipient, settlement

SESSIONS = 10


def content_of(message_id: int) -> bytes:
    """1 to 60 KB, the same for the same id."""
    return b"Subject: %d\r\n\r\n" % message_id + b"%d " % message_id * (message_id // 3 % 4000)


def people_of(message_id: int) -> int:
    """How many recipients the message has."""
    return 1 + message_id % 3


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def session(shard: Shard, dice: random.Random) -> None:
    """One client after the other, with outcomes that come later."""
    while True:
        now = clock.now_ms()
        number = shard.new_id(now)
        people = tuple(recipient(number, n, due_at=now) for n in range(people_of(number)))
        await shard.accept(admitted(number, *people, content=content_of(number)))
        say("A", number)
        for who in people:
            status = dice.choice([Status.DELIVERED, Status.BOUNCED, Status.DEFERRED, None])
            if status is not None:
                settle(shard, who, status)
        await asyncio.sleep(dice.choice([0, 0, 0.001]))


def settle(shard: Shard, who: object, status: Status) -> None:
    outcome = settlement(who, status, due_at=0 if status.is_final else who.due_at)  # type: ignore[attr-defined, arg-type] # a Recipient
    told = outcome.recipient
    shard.settle([outcome], [], lambda _: say("S", told.message_id, told.n, status))


async def main(location: str, seed: int) -> None:
    backend: Backend
    if location.startswith("postgresql"):
        backend = PostgresBackend(location)
    else:
        backend = SqliteBackend(Path(location))
    shard = await Shard.open(backend, 0, on_fatal=lambda: os._exit(3))
    dice = random.Random(seed)
    async with asyncio.TaskGroup() as group:
        for _ in range(SESSIONS):
            group.create_task(session(shard, dice))


def live(location: str, seed: int) -> None:
    """One life, told from its beginning to its end."""
    pid = os.fork()
    if not pid:
        say("P", os.getpid())
        asyncio.run(main(location, seed))
        os._exit(4)
    _, status = os.waitpid(pid, 0)
    say("E", os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


if __name__ == "__main__":
    for line in sys.stdin:
        live(sys.argv[1], int(line))
