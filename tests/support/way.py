"""The message way in one process: intake, spool, scheduler and transport, against a real receiver."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any

from appliance.core import clock, tasks
from appliance.core.database import open_sync_engine
from appliance.core.migrate import upgrade
from appliance.core.settings import Delivery
from mta.bounce.notices import Notices
from mta.directory import Credential, Directory, DkimKey, SendingDomain, Tenant
from mta.egress import EgressEntry, EgressPlan, Pool
from mta.intake import Intake
from mta.message import Admitted, Attempt, Egress, Message
from mta.outcome.decide import RetrySchedule
from mta.outcome.record import Recorded, Recorder
from mta.policy.limits import Quota
from mta.scheduling.dispatcher import Dispatcher
from mta.scheduling.operations import Operations
from mta.scheduling.regulator import Regulator
from mta.scheduling.results import Results
from mta.scheduling.sender import Limits, Sender
from mta.scheduling.share import Share
from mta.scheduling.unreachable import Unreachable
from mta.scheduling.window import Window
from mta.shaping.book import parse_book
from mta.shaping.throttles import Throttles
from mta.signing.keys import make_ed25519
from mta.signing.signer import Signer
from mta.spool.backend import Backend, PostgresBackend, SqliteBackend, schema
from mta.spool.shard import Shard
from mta.transport.base import MxHost, RouteError, Site
from mta.transport.smarthost import transport_for
from mta.warmup.ledger import Ledger, Names
from tests.support.submissions import submission

SCHEDULE = RetrySchedule(waits=(200, 400), jitter=0.0, lifetime=60_000, bulk_lifetime=30_000)
LETTER = b"From: orders@shop.example.com\r\nTo: jane@example.net\r\nSubject: hello\r\n\r\nhi\r\n"


EGRESS = Egress(name="default", address="", helo="box.lab", ipv6=False)
_BUSY = 4  # how many times slower a shared machine may be before a wait is given up
FAST = """
[default]
connections = 4
messages_per_connection = 100
tls = "opportunistic"
"""


def egress_plan(
    *egresses: Egress, pools: Iterable[Pool] = (), default_pool: str = ""
) -> EgressPlan:
    """Enabled addresses and pools."""
    return EgressPlan(
        entries={one.name: EgressEntry(egress=one) for one in egresses},
        pools={pool.name: pool for pool in pools},
        default_pool=default_pool,
    )


def regulator(way: Way, **options: Any) -> Regulator:
    """Shaping as the options say: `shaping` (TOML), `store` (budgets), `share`."""
    book = parse_book(options.get("shaping", FAST), "test")
    ledger = Ledger(
        store=options.get("store"),
        plans=lambda: way.directory.warmup,
        steady=clock.now_ms,
        zone=UTC,
        portion=options.get("portion", 5),
        processes=options.get("processes", 1),
        names=Names(address=str, provider=str),
    )
    return Regulator(
        book=lambda: book,
        throttles=Throttles(lambda: book),
        ledger=ledger,
        unreachable=Unreachable(first_wait=SCHEDULE.waits[0]),
        share=options.get("share", Share()),
    )


def backend_at(location: Path | str, shard: int = 0) -> Backend:
    """A spool in a file or a PostgreSQL database, made as an owner makes it."""
    if isinstance(location, str):
        _make(location)
        return PostgresBackend(location)
    folder = location if location.suffix != ".db" else location.parent
    folder.mkdir(exist_ok=True)
    path = folder / f"spool-{shard}.db"
    if path.exists():
        _make(path)  # an old one is brought up to date
    else:
        path.write_bytes(_empty_file())
    return SqliteBackend(path)


@functools.cache
def _empty_file() -> bytes:
    """Made once: a copy is forty times as fast."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spool-0.db"
        SqliteBackend(path).connect().close()
        _make(path)
        return path.read_bytes()


def _make(location: Path | str) -> None:
    engine = open_sync_engine(location)
    try:
        upgrade("spool", engine, tables=schema())
    finally:
        engine.dispose()


def directory(**changes: Any) -> Directory:
    """One tenant with one verified domain that signs."""
    key = DkimKey(selector="s1", algorithm="ed25519-sha256", private_key=make_ed25519())
    domain = SendingDomain(
        id=1,
        tenant_id=7,
        name="shop.example.com",
        verified=True,
        keys=(key,),
    )
    values: dict[str, Any] = {
        "generation": 1,
        "tenants": {7: Tenant(id=7, name="acme")},
        "domains": {domain.name: domain},
        "egress": egress_plan(EGRESS),
    }
    return Directory(**(values | changes))


@dataclass
class Routes:
    """A router for tests: every domain goes to one port, unless it is told otherwise."""

    port: int
    special: dict[str, RouteError | Site] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def site_of(self, domain: str) -> Site:
        self.asked.append(domain)
        found = self.special.get(domain)
        if isinstance(found, RouteError):
            raise found
        return found or site_on(self.port)


def site_on(port: int, name: str = "mx.lab") -> Site:
    """One receiver on loopback."""
    host = MxHost(name=name, preference=10, addresses=("127.0.0.1",))
    return Site(key=f"{name}:{port}", hosts=(host,), port=port)


@dataclass
class Witness:
    """Sees what intake and sender report."""

    outcomes: list[Recorded] = field(default_factory=list)
    surges: list[tuple[str, int]] = field(default_factory=list)

    def accepted(self, admitted: Admitted) -> None:
        pass

    def held(self, credential: Credential, recipients: int) -> None:
        self.surges.append((credential.name, recipients))

    def outcome(self, message: Message, outcome: Recorded, attempt: Attempt) -> None:
        self.outcomes.append(outcome)


class Way:
    """Everything of one shard."""

    def __init__(self, shard: Shard, router: Routes, delivery: Delivery, **options: Any) -> None:
        self.shard, self.router = shard, router
        self.directory = options.get("directory") or directory()
        self.witness = Witness()
        self.has_space = True
        self.window = Window(max_recipients=options.get("max_recipients", 1000), max_bytes=1 << 20)
        self.regulator = regulator(self, **options)
        self.signer = Signer(lambda: self.directory)
        self.dispatcher = Dispatcher(
            shard=shard,
            router=router,
            regulator=self.regulator,
            directory=lambda: self.directory,
            window=self.window,
            overflows=options.get("overflows", False),
        )
        self.notices = Notices(
            shard=shard,
            directory=lambda: self.directory,
            schedule=SCHEDULE,
            hostname="box.lab",
            per_hour=options.get("notices_per_hour", 50),
        )
        self.results = Results(
            shard=shard,
            dispatcher=self.dispatcher,
            recorder=Recorder(options.get("schedule", SCHEDULE), lambda: 0.5),
            window=self.window,
            notices=self.notices,
            observer=self.witness,
            regulator=self.regulator,
        )
        self.sender = Sender(
            shard=shard,
            dispatcher=self.dispatcher,
            transport=transport_for(delivery),
            results=self.results,
            window=self.window,
            directory=lambda: self.directory,
            return_path=lambda m, n: f"b{m.id}-{n}@bounces.box.lab" if m.envelope_from else "",
            sign=self.signer,
            regulator=self.regulator,
            limits=Limits(max_connections=options.get("max_connections", 8), idle_timeout=0.2),
        )
        self.dispatcher.results = self.results
        self.dispatcher.sender = self.sender
        self.operations = Operations(
            shard=shard,
            dispatcher=self.dispatcher,
            window=self.window,
            directory=lambda: self.directory,
        )
        self.intake = Intake(
            shard=shard,
            scheduler=self.dispatcher,
            directory=lambda: self.directory,
            quota=Quota(options.get("lease", _grant_everything)),
            schedule=options.get("schedule", SCHEDULE),
            observer=self.witness,
            handover=_no_handover,
            has_space=lambda: self.has_space,
            hostname="box.lab",
            bounce_domain="bounces.box.lab",
        )
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.dispatcher.load()
        self._loop = asyncio.create_task(self._dispatch())

    async def _dispatch(self) -> None:
        """As the roof's loop: a step that fails is followed by another."""
        while True:
            more = await tasks.guard(self.dispatcher.step(), name="dispatch")
            if not more:
                await (asyncio.sleep(0.01) if more is None else self.dispatcher.wait())

    async def stop(self) -> None:
        self.dispatcher.stop()
        await self.sender.drain()
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
        await self.shard.close()
        await asyncio.to_thread(self.signer.stop)

    def change(self, **changes: Any) -> None:
        """A new directory generation."""
        self.directory = replace(self.directory, **changes)
        self.dispatcher.directory_changed()
        self.sender.directory_changed()

    async def send(self, data: bytes = LETTER, **changes: Any) -> int:
        changes.setdefault("received_at", clock.now_ms())
        return await self.intake.accept(submission(data, **changes))

    async def statuses(self, message_id: int) -> list[str]:
        found = await self.shard.call(lambda store, _: store.recipients(message_id))
        return [str(recipient.status) for recipient in found]

    async def events(self) -> list[tuple[str, int]]:
        rows = await self.shard.call(lambda store, _: store.events(0, 10_000))
        return [(row.kind, row.n) for row in rows]


@contextlib.asynccontextmanager
async def open_way(
    location: Path | str, port: int, *, number: int = 0, **options: Any
) -> AsyncIterator[Way]:
    """A running way whose mail goes to `port`."""
    backend = await asyncio.to_thread(backend_at, location, number)
    shard = await Shard.open(backend, number, on_fatal=lambda: None)
    delivery = Delivery(remote_port=max(port, 1), allow_private_addresses=True)
    way = Way(shard, Routes(port), delivery, **options)
    await way.start()
    try:
        yield way
    finally:
        await way.stop()


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait for something that becomes true; what takes long to look at is looked at less often.

    `seconds` is plenty on a machine of our own; on a busy one it may take some times as long.
    """
    clock_of = asyncio.get_running_loop().time
    async with asyncio.timeout(_BUSY * seconds):
        while True:
            began = clock_of()
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(max(0.01, 2 * (clock_of() - began)))


async def _grant_everything(_key: str, _window: int, amount: int, _limit: int) -> int:
    return amount


async def _no_handover(_submission: object) -> int:
    raise AssertionError("nothing is handed over here")
