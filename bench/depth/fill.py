"""Fill: waiting recipients straight into the spool of a box that does not run.

Through SpoolStore and Batch, so the rows are as the mta writes them, but without events (the log would
be busy with them for an hour) and without flushes. A message has one recipient and 1 KB of content that
is signed with nothing: signing a million of them would take ten minutes and change no size that counts.

Tenants and domains are spread so that every tenant writes to every domain (`spread`), the worst for a
queue that keeps a summary for each (tenant, class, domain); else a domain is written to by one tenant.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from appliance.core import clock
from appliance.core.ids import IdMaker
from appliance.run.spools import prepare
from depth.home import sending_domain, settings_of
from mta.message import Admitted, Message, Recipient, ReturnPathMode, Source
from mta.spool.backend import SqliteBackend
from mta.spool.store import SpoolStore
from mta.status import Status, TrafficClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.core.home import Home

_PAGE: Final = 5000
_LINE: Final = b"The quick brown fox jumps over the lazy dog, 0123456789 abcdef.\r\n"
_LIFE: Final = clock.DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What is to wait: `count` messages over `domains`, of the tenants in turns."""

    label: str
    count: int
    domain_of: Callable[[int], str]
    tenants: dict[str, int]
    due_at: int
    traffic_class: TrafficClass = TrafficClass.BULK


def spread(domains: int) -> Callable[[int], str]:
    """Neighbours in the order of arrival share a domain, and are of different tenants."""
    return lambda number: f"d{number // 10 % domains}.wait.test"


def owned(domains: int) -> Callable[[int], str]:
    """A domain belongs to one tenant, as tenants come in turns."""
    return lambda number: f"d{number % domains}.wait.test"


def to_slow(sites: int, domains: int) -> Callable[[int], str]:
    """Every other message to one large provider, the rest to many small ones."""

    def domain(number: int) -> str:
        site = 1 if number % 2 else 2 + number % (sites - 1)
        return f"d{number % domains}.s{site}.slow.test"

    return domain


def to_dead(domains: int) -> Callable[[int], str]:
    """All to one destination."""
    return lambda number: f"d{number % domains}.dead.test"


class _Unflushed(SqliteBackend):
    """The same file, written fast: a crash of the bench loses nothing that counts."""

    def connect(self) -> Any:
        connection = super().connect()
        for pragma in ("synchronous=OFF", "cache_size=-400000", "wal_autocheckpoint=20000"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection


async def fill(home: Home, waiting: Waiting) -> float:
    """Write it all; returns the seconds it took."""
    started = time.monotonic()
    await asyncio.to_thread(prepare, home, settings_of(home), 0)
    store = SpoolStore(_Unflushed(home.spool_db(0)), 0)
    ids = IdMaker(0, store.open("bench", clock.now_ms()))
    try:
        mail = _mail(waiting, ids)
        while _write(store, mail):
            pass
    finally:
        store.close()
    return time.monotonic() - started


def _write(store: SpoolStore, mail: Iterator[Admitted]) -> bool:
    batch = store.batch(clock.now_ms())
    for _, admitted in zip(range(_PAGE), mail, strict=False):
        batch.add_message(admitted)
    batch.events.clear()
    with store.transaction():
        store.write(batch)
        store.beat(batch.now)
    more = bool(batch.messages)
    store.written(batch)
    return more


def _mail(waiting: Waiting, ids: IdMaker) -> Iterator[Admitted]:
    now = clock.now_ms()
    message = _message(waiting, now)
    recipient = _recipient(waiting, now)
    content = _content(waiting.label)
    tenants = list(waiting.tenants.items())
    for number in range(waiting.count):
        name, tenant_id = tenants[number % len(tenants)]
        message_id, domain = ids.make(now), waiting.domain_of(number)
        sender = f"news@{sending_domain(name)}"
        yield Admitted(
            message=replace(
                message,
                id=message_id,
                tenant_id=tenant_id,
                size=len(content),
                envelope_from=sender,
                header_from=sender,
                message_id=f"<{message_id}@client.example>",
            ),
            recipients=(
                replace(
                    recipient,
                    message_id=message_id,
                    tenant_id=tenant_id,
                    address=f"user{number}@{domain}",
                    domain=domain,
                ),
            ),
            content=content,
            selectors=(),
        )


def _content(label: str) -> bytes:
    head = (
        "From: <news@client.example>\r\nTo: <user@client.example>\r\nSubject: what waits\r\n"
        f"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nX-Bench: {label} 0\r\n\r\n"
    ).encode()
    return head + _LINE * ((1024 - len(head)) // len(_LINE))


def _message(waiting: Waiting, now: int) -> Message:
    return Message(
        id=0,
        tenant_id=0,
        credential_id=0,
        source=Source.SMTP,
        traffic_class=waiting.traffic_class,
        envelope_from="",
        header_from="",
        message_id="",
        subject="what waits",
        size=0,
        accepted_at=now,
        client="192.0.2.10",
        tags=(),
        metadata="",
        smtputf8=False,
        body_8bit=False,
        ret="",
        envid="",
        dsn=False,
        return_path_mode=ReturnPathMode.RECIPIENT,
        bounce_domain="bounces.box.example",
        signing_domain="",
    )


def _recipient(waiting: Waiting, now: int) -> Recipient:
    return Recipient(
        message_id=0,
        n=0,
        tenant_id=0,
        traffic_class=waiting.traffic_class,
        address="",
        domain="",
        status=Status.QUEUED,
        due_at=waiting.due_at,
        expires_at=max(now, waiting.due_at) + _LIFE,
    )


def set_due(home: Home, due_at: int) -> None:
    """Everything that waits is due then, as if it had never been tried."""
    connection = _Unflushed(home.spool_db(0)).connect()
    connection.execute(
        "UPDATE recipient SET due_at = ?, status = 'queued', attempts = 0"
        " WHERE status IN ('queued', 'deferred')",
        (due_at,),
    )
    connection.close()


def waiting_count(home: Home) -> int:
    """Recipients that wait in the spool of a box that does not run."""
    connection = _Unflushed(home.spool_db(0)).connect()
    (count,) = connection.execute(
        "SELECT count(*) FROM recipient WHERE status IN ('queued', 'deferred')"
    ).fetchone()
    connection.close()
    return int(count)
