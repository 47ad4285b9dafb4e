"""Spools to be damaged: a store with known content, where each message lies in the file, and what befalls it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from appliance.core.ids import IdMaker
from mta.message import Recipient
from mta.spool import tables as t
from mta.spool.salvage import Logged, LoggedRecipient, shapes, wal
from mta.spool.salvage.pages import Pages
from mta.spool.salvage.walk import Walk
from mta.status import Status
from tests.support.recipients import NOW, admitted, recipient, settlement
from tests.support.spools import Spool
from tests.support.way import backend_at

PAGE = 16384


@dataclass
class Sent:
    """What was accepted, and how each recipient stands."""

    content: bytes
    people: list[Recipient]
    status: dict[int, Status] = field(default_factory=dict)

    @property
    def waiting(self) -> set[int]:
        return {n for n, status in self.status.items() if not status.is_final}


def fill(folder: Path, seed: int, messages: int = 150, purged: int = 25) -> dict[int, Sent]:
    """A store as it is after some life: many sizes, outcomes, keys, free pages, events half shipped."""
    dice, maker, truth = random.Random(seed), IdMaker(0), dict[int, Sent]()
    spool = Spool(backend_at(folder / "spool-0.db"))
    for i in range(messages + purged):
        number = maker.make(NOW + 10 * i)
        people = [
            recipient(number, n, address=f"u{number}-{n}@example.net", due_at=NOW + i)
            for n in range(dice.choice([1, 1, 1, 2, 5, 40]))
        ]
        content = dice.randbytes(dice.choice([200, 3000, 3000, 20_000, 20_000, 150_000]))
        key = f"key {i}" if i % 3 == 0 else ""
        spool.write(admitted(number, *people, content=content, idempotency_key=key))
        sent = truth[number] = Sent(content, people, {one.n: one.status for one in people})
        ended = people if i < purged else dice.sample(people, dice.choice([0, 0, 0, 1]))
        for one in ended:
            status = dice.choice([Status.DELIVERED, Status.BOUNCED])
            sent.status[one.n] = status
            spool.write(settle=(settlement(one, status),))
    with spool.store.transaction():
        spool.store.purge(NOW, NOW, 10_000)
        spool.store.acknowledge(messages // 2)
    spool.store.close()
    return truth


def places(path: Path) -> dict[int, set[int]]:
    """The pages that a message lies in; page 1 is everybody's."""
    found: dict[int, set[int]] = {}
    with Pages(path) as pages:
        for page in Walk(pages).found():
            for cell in page.page.cells:
                shape = shapes.shape_of(cell, page.page.kind)
                if shape is None or shape.table not in (t.message, t.recipient, t.content):
                    continue
                row = shapes.row_of(shape, cell, pages.chain, 0)
                mine = found.setdefault(row[0], set())
                mine.add(page.number)
                mine |= _overflow(pages, cell.overflow)
    return found


def _overflow(pages: Pages, number: int) -> set[int]:
    found = set()
    while number:
        found.add(number)
        number = int.from_bytes(pages.read(number)[:4])
    return found


Hurt = Callable[[Path, random.Random], set[int]]
"""Damages a file and returns the pages that are not what they were."""


def destroyed(share: float, how: str) -> Hurt:
    """So many of the pages, of whatever they are."""

    def hurt(path: Path, dice: random.Random) -> set[int]:
        data = bytearray(path.read_bytes())
        count = len(data) // PAGE
        hit = dice.sample(range(count), max(1, round(count * share)))
        for index in hit:
            start = index * PAGE
            data[start : start + PAGE] = _ruined(bytes(data[start : start + PAGE]), how, dice)
        path.write_bytes(data)
        return {index + 1 for index in hit}

    return hurt


def _ruined(page: bytes, how: str, dice: random.Random) -> bytes:
    if how == "random":
        return dice.randbytes(len(page))
    if how == "zero":
        return bytes(len(page))
    if how == "sector":  # one of the page's disk blocks
        start = dice.randrange(0, len(page), 4096)
        return page[:start] + dice.randbytes(4096) + page[start + 4096 :]
    flipped = bytearray(page)
    for _ in range(3):
        flipped[dice.randrange(len(page))] ^= 1 << dice.randrange(8)
    return bytes(flipped)


def cut_off(path: Path, dice: random.Random) -> set[int]:
    """The tail is gone, in the middle of a page."""
    size = path.stat().st_size
    kept = int(size * dice.uniform(0.85, 0.99))
    with path.open("rb+") as file:
        file.truncate(kept)
    return set(range(kept // PAGE + 1, size // PAGE + 1))


def no_header(path: Path, dice: random.Random) -> set[int]:
    """The first page is garbage: no header, no schema, no list of free pages."""
    with path.open("rb+") as file:
        file.write(dice.randbytes(PAGE))
    return set()  # nobody's rows lie in it


class Log:
    """An event log in memory (mta.spool.salvage.Witness); it knows what `truth` says."""

    def __init__(self, truth: dict[int, Sent], *, is_readable: bool = True) -> None:
        self._truth, self._is_readable = truth, is_readable

    def can_tell(self, message_id: int) -> bool:
        return self._is_readable

    def story(self, message_id: int) -> Logged | None:
        sent = self._truth.get(message_id)
        if sent is None or not self._is_readable:
            return None
        people = tuple(
            LoggedRecipient(one.n, one.address, str(sent.status[one.n])) for one in sent.people
        )
        return Logged(message_id, 7, "orders@shop.example.com", len(sent.content), people)

    def waiting(self, shard: int) -> Iterator[int]:
        if self._is_readable:
            yield from (number for number, sent in self._truth.items() if sent.waiting)


class Crashed:
    """A store in spool-0.db whose last commits are in the write-ahead log only, as a crash leaves it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        live = folder / "live"
        spool = Spool(backend_at(live))
        maker = IdMaker(0)
        self.numbers = [maker.make(NOW + i) for i in range(12)]
        for number in self.numbers[:6]:
            spool.write(admitted(number, recipient(number)))
        spool.store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for number in self.numbers[6:]:
            spool.write(admitted(number, recipient(number)))
        self.path, self.log = folder / "spool-0.db", folder / "spool-0.db-wal"
        shutil.copy(live / "spool-0.db", self.path)
        shutil.copy(live / "spool-0.db-wal", self.log)
        spool.store.close()
        self.truth = {
            number: Sent(b"Subject: hello\r\n\r\nhi\r\n", [recipient(number)], {0: Status.QUEUED})
            for number in self.numbers
        }


FRAME = wal.FRAME_HEADER_SIZE + PAGE


def frames_of(log: bytes) -> list[list[int]]:
    """Where the frames of each transaction begin."""
    found: list[list[int]]
    found, start = [[]], wal.HEADER_SIZE
    while log[start + 8 : start + 16] == log[16:24]:
        found[-1].append(start)
        if any(log[start + 4 : start + 8]):
            found.append([])
        start += FRAME
    return found[:-1]


def hurt_frame(path: Path, start: int, size: int = 100, *, part: str = "data") -> None:
    """Destroy octets in the middle of a frame's page, or its header."""
    data = bytearray(path.read_bytes())
    place = start if part == "header" else start + wal.FRAME_HEADER_SIZE + 5000
    size = wal.FRAME_HEADER_SIZE if part == "header" else size
    data[place : place + size] = bytes(255 - one for one in data[place : place + size])
    path.write_bytes(data)
