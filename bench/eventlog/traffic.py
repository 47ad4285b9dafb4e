"""Traffic: outbox rows as shards' owners write them, quickly; the work of making them is not measured.

A message goes to three recipients on average, each is deferred twice on average before its end: about
ten events a message. Nine in ten deliveries go to four large providers; tenants are of very different
size. Outcomes come some hundred messages later, with the steps of the conversation.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from appliance.core.clock import DAY
from appliance.core.ids import IdMaker
from appliance.history import OutboxRow

if TYPE_CHECKING:
    from collections.abc import Iterator

START: Final = 1_800_000_000_000 // DAY * DAY
TENANTS: Final = 50
EVENTS_A_MESSAGE: Final = 10
_DOMAINS: Final = (
    *(("gmail.com", "google"),) * 40,
    *(("outlook.com", "microsoft"),) * 20,
    *(("yahoo.com", "yahoo"),) * 10,
    *(("gmx.de", "gmx"),) * 5,
)
_APART: Final = 300  # messages between two attempts
_POOL: Final = 2000
_STEPS: Final = [
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
_TRAIL: Final = _json(
    {
        "phase": "dot",
        "host": "mx1.receiver.example",
        "address": "198.51.100.7",
        "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384",
        "took": 190,
        "steps": _STEPS,
    }
)[1:]
_REFUSED: Final = b'"category":"greylisted","scope":"recipient","next":0,"hard":%s,'


@dataclass(frozen=True, slots=True)
class Sample:
    """A recipient to look for."""

    message_id: int
    tenant: int
    address: str
    header: str


@dataclass(slots=True)
class _One:
    message_id: int
    n: int
    tenant: int
    address: str
    provider: str
    attempt: int = 0


class Traffic:
    """An endless stream, at so many messages a day."""

    def __init__(self, messages_a_day: int, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._ids = IdMaker(0)
        self._gap = max(1, DAY // messages_a_day)
        self._seq = self._number = 0
        self._waiting: deque[tuple[int, _One]] = deque()
        self.now = START
        self.recipients = 0
        self.samples: list[Sample] = []

    @property
    def messages(self) -> int:
        """How many there are."""
        return self._number

    def rows(self) -> Iterator[OutboxRow]:
        """The rows, in the order of the outbox."""
        while True:
            self._number += 1
            self.now += self._gap
            yield self._accept()
            while self._waiting and self._waiting[0][0] <= self._number:
                yield from self._try(self._waiting.popleft()[1])

    def _row(self, message_id: int, n: int, kind: str, data: bytes) -> OutboxRow:
        self._seq += 1
        return OutboxRow(self._seq, message_id, n, kind, self.now, data)

    def _somebody(self) -> tuple[str, str, str]:
        pick = self._random.random
        if pick() < 0.9:
            domain, provider = _DOMAINS[int(pick() * len(_DOMAINS))]
        else:
            domain, provider = f"d{int(pick() * 5000)}.example", ""
        return f"user{int(pick() * 1_000_000)}@{domain}", domain, provider

    def _accept(self) -> OutboxRow:
        pick = self._random.random
        tenant, message_id = 1 + int(pick() ** 3 * TENANTS), self._ids.make(self.now)
        header = f"<{self._random.getrandbits(96):x}.{self._number}@t{tenant}.example>"
        people = [self._somebody() for _ in range(1 + int(pick() * 5))]
        self.recipients += len(people)
        for n, (address, _, provider) in enumerate(people):
            one = _One(message_id, n, tenant, address, provider)
            self._waiting.append((self._number + _APART, one))
        self._remember(Sample(message_id, tenant, people[0][0], header))
        data = {
            "tenant": tenant,
            "credential": tenant,
            "source": "smtp",
            "class": "bulk" if pick() < 0.3 else "transactional",
            "sender": f"app@t{tenant}.example",
            "from": f"shop@t{tenant}.example",
            "message_id": header,
            "subject": f"Your order {self._number} is on its way",
            "size": 4096,
            "client": "192.0.2.9",
            "tags": [f"tag-{int(pick() * 20)}"] if self._number % 4 == 0 else [],
            "metadata": "",
            "signed": ["s1", "s1e"],
            "signing_domain": f"t{tenant}.example",
            "recipients": [[n, who[0], who[1], "queued"] for n, who in enumerate(people)],
        }
        return self._row(message_id, -1, "accepted", _json(data))

    def _remember(self, one: Sample) -> None:
        """A fair choice of all there are."""
        if len(self.samples) < _POOL:
            self.samples.append(one)
        elif self._random.random() < _POOL / self._number:
            self.samples[int(self._random.random() * _POOL)] = one

    def _try(self, one: _One) -> Iterator[OutboxRow]:
        one.attempt += 1
        dice = self._random.random()
        if dice < 0.667 and one.attempt < 12:
            self._waiting.append((self._number + _APART, one))
            yield self._outcome(one, "deferred", b"451 4.7.1 try again later", b"false")
        elif dice < 0.677:
            yield self._outcome(one, "bounced", b"550 5.1.1 no such user", b"true")
        else:
            yield self._outcome(one, "delivered", b"250 2.0.0 OK gsmtp", b"")
            if dice > 0.9995:
                data = b'{"tenant":%d,"to":"%s"}' % (one.tenant, one.address.encode())
                yield self._row(one.message_id, one.n, "complained", data)

    def _outcome(self, one: _One, kind: str, reply: bytes, hard: bytes) -> OutboxRow:
        data = (
            b'{"tenant":%d,"to":"%s","attempt":%d,"provider":"%s","egress":"out-%d","reply":"%s",'
        ) % (
            one.tenant,
            one.address.encode(),
            one.attempt,
            one.provider.encode(),
            one.tenant % 4,
            reply,
        )
        return self._row(
            one.message_id, one.n, kind, data + (_REFUSED % hard if hard else b"") + _TRAIL
        )
