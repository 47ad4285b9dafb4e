"""The event log: CPU of writing an event, and how long a search takes.

    python bench/events.py [--recipients 80000] [--days 5] [--url postgresql://...]

Writes batches of 2000 as the shipper does (accepted, two in ten deferred first, delivered or bounced;
data with the steps of a conversation), reading the outbox rows from JSON included, then searches.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from appliance.core.clock import DAY
from appliance.core.ids import IdMaker
from appliance.core.scope import Scope
from appliance.history import (
    EventFilters,
    Filters,
    Flag,
    LogReader,
    LogWriter,
    OutboxRow,
    write_partitions,
)
from appliance.history.read_outbox import read
from mta.status import Status

START = 1_800_000_000_000
DOMAINS = ["gmail.com"] * 40 + ["outlook.com"] * 20 + ["yahoo.com"] * 10
SETTLED_AFTER = 300  # recipients: a delivery takes about this much of the stream
STEPS = [
    [0, "", "220 mx1.receiver.example ESMTP ready"],
    [31, "EHLO mail.sender.example", "250 SIZE 52428800, PIPELINING, STARTTLS, 8BITMIME, DSN"],
    [33, "STARTTLS", "220 2.0.0 go ahead"],
    [82, "EHLO mail.sender.example", "250 SIZE 52428800, PIPELINING, 8BITMIME, DSN"],
    [84, "MAIL FROM:<b-05p3k8r2m0001-0-4kq7d2@bounce.sender.example>", "250 2.1.0 ok"],
    [85, "RCPT TO:<somebody@receiver.example>", "250 2.1.5 ok"],
    [86, "DATA", "354 go ahead"],
    [190, ".", "250 2.0.0 OK 1800000000 d2e1a72fcca58-7f2 - gsmtp"],
]
_json = msgspec.json.Encoder().encode


class Traffic:
    """Makes outbox rows; the work of making them is not measured."""

    def __init__(self, recipients: int, days: int) -> None:
        self._random = random.Random(1)
        self._ids = IdMaker(0)
        self._total, self._gap = recipients, days * DAY // recipients
        self._seq = 0
        self._now = START
        self.last: list[OutboxRow] = []

    def rows(self):
        waiting: list[tuple[int, str, int]] = []
        for number in range(self._total):
            self._now = START + number * self._gap
            waiting.append(self._accept(number))
            yield self.last.pop()
            if len(waiting) > SETTLED_AFTER:
                yield from self._settle(waiting.pop(0))
        for one in waiting:
            yield from self._settle(one)

    def _row(self, message_id: int, n: int, kind: str, data: dict[str, object]) -> OutboxRow:
        self._seq += 1
        return OutboxRow(self._seq, message_id, n, kind, self._now, _json(data))

    def _accept(self, number: int) -> tuple[int, str, int]:
        pick = self._random.random
        domain = (
            DOMAINS[int(pick() * len(DOMAINS))]
            if pick() < 0.7
            else f"d{int(pick() * 5000)}.example"
        )
        address = f"user{int(pick() * 200_000)}@{domain}"
        tenant = 1 + int(pick() ** 2 * 50)
        message_id = self._ids.make(self._now)
        data = {
            "tenant": tenant,
            "credential": tenant,
            "source": "smtp",
            "class": "transactional",
            "sender": f"app@t{tenant}.example",
            "from": f"shop@t{tenant}.example",
            "message_id": f"<{self._random.getrandbits(96):x}.{number}@t{tenant}.example>",
            "subject": f"Your order {number} is on its way",
            "size": 4096,
            "client": "192.0.2.9",
            "tags": ["order"] if number % 4 == 0 else [],
            "metadata": "",
            "signed": ["s1", "s1e"],
            "signing_domain": f"t{tenant}.example",
            "recipients": [[0, address, domain, "queued"]],
        }
        self.last.append(self._row(message_id, -1, "accepted", data))
        return message_id, address, tenant

    def _settle(self, one: tuple[int, str, int]):
        message_id, address, tenant = one
        dice = self._random.random()
        if dice < 0.2:
            yield self._outcome(one, "deferred", "451 4.7.1 try again later", 1)
        if dice < 0.03:
            yield self._outcome(one, "bounced", "550 5.1.1 no such user", 2)
            return
        yield self._outcome(one, "delivered", "250 2.0.0 OK gsmtp", 1)
        if dice > 0.999:
            data = {"tenant": tenant, "to": address}
            yield self._row(message_id, 0, "complained", data)

    def _outcome(self, one: tuple[int, str, int], kind: str, reply: str, attempt: int) -> OutboxRow:
        data = {
            "tenant": one[2],
            "to": one[1],
            "reply": reply,
            "phase": "dot",
            "attempt": attempt,
            "host": "mx1.receiver.example",
            "address": "198.51.100.7",
            "egress": "default",
            "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384",
            "took": 190,
            "steps": STEPS,
        }
        if kind != "delivered":
            data |= {"category": "greylisted", "hard": False, "scope": "recipient", "next": 0}
        return self._row(one[0], 0, kind, data)


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def write(writer: LogWriter, traffic: Traffic, batch: int) -> tuple[int, float, float]:
    """Events, CPU seconds, wall seconds."""
    count, burnt, wall = 0, 0.0, 0.0
    rows: list[OutboxRow] = []

    def flush() -> None:
        nonlocal count, burnt, wall
        before, began = cpu(), time.perf_counter()
        events, rejected = read(0, rows, writer.today)
        written = writer.write(0, events, rejected)
        burnt, wall = burnt + cpu() - before, wall + time.perf_counter() - began
        count += written.kept
        rows.clear()

    for row in traffic.rows():
        rows.append(row)
        if len(rows) >= batch:
            flush()
    flush()
    return count, burnt, wall


def searches(some) -> dict[str, tuple[Scope, Filters]]:
    box = Scope.system()
    return {
        "newest": (box, Filters()),
        "newest of a small tenant": (Scope.tenant(49), Filters()),
        "address": (box, Filters(address=some.address)),
        "address of nobody": (box, Filters(address="nobody@nowhere.example")),
        "address prefix": (box, Filters(address="user12*")),
        "common domain": (box, Filters(domain="gmail.com")),
        "common domain, small tenant": (Scope.tenant(49), Filters(domain="gmail.com")),
        "rare domain": (box, Filters(domain="d4711.example")),
        "Message-ID": (box, Filters(message=some.message_id_header)),
        "tag": (box, Filters(tag="order")),
        "tag of nobody": (box, Filters(tag="none")),
        "bounced": (box, Filters(status=Status.BOUNCED)),
        "held (there are none)": (box, Filters(status=Status.HELD)),
        "complained": (box, Filters(flags=Flag.COMPLAINED)),
        "sender": (box, Filters(sender="shop@t49.example")),
        "sender of nobody": (box, Filters(sender="nobody@nowhere.example")),
        "an hour long ago": (box, Filters(since=START, until=START + DAY // 24)),
    }


def measure(label: str, call) -> None:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        found = call()
        times.append((time.perf_counter() - began) * 1000)
    print(
        f"  {label:32} first {times[0]:8.2f} ms, then {statistics.median(times):8.2f} ms  {found}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=80_000)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--batch", type=int, default=2000)
    parser.add_argument("--url", default="")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pillarbox-bench-", dir=given.folder) as folder:
        location = given.url or Path(folder)
        now = START + given.days * DAY
        writer = LogWriter(write_partitions(location), keep_days=400, now=lambda: now)
        writer.open()
        count, burnt, wall = write(writer, Traffic(given.recipients, given.days), given.batch)
        print(
            f"{count} events: {burnt / count * 1e6:.1f} us CPU, {wall / count * 1e6:.1f} us wall each"
        )
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        if size:
            print(f"{size / count:.0f} octets an event")
        reader = LogReader(location)
        some = reader.search(Scope.system(), Filters(), limit=500).rows[-1]
        for label, (scope, filters) in searches(some).items():
            measure(label, lambda s=scope, f=filters: len(reader.search(s, f, limit=50).rows))
        measure("show", lambda: len(reader.show(Scope.system(), some.message_id).events))
        stream = EventFilters()
        measure("events", lambda: len(reader.events(Scope.system(), stream, limit=500).events))
        end = reader.end()
        measure(
            "events, none", lambda: len(reader.events(Scope.system(), stream, cursor=end).events)
        )
        reader.close()
        writer.close()


if __name__ == "__main__":
    main()
