"""Effect: from the commit of a change in control.db to the first client or receiver who sees it.

    revoked     a credential: its open session is refused          paused    a tenant: its last message leaves
    suspended   a tenant: its open session is refused              resumed   the first one leaves again
    pool        another address: the first message from there      key       a new selector: the first signed by it

Changes are made as the command line makes them, by the rooms, in this process; what they change is seen
at the submission port or at the receiver, where probes arrive every PAUSE seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from relay.base import BenchError

from appliance.core.database import open_engine
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials
from appliance.domains import Domains
from appliance.egress import Egresses, EgressRequest, PoolChange, Pools
from appliance.lab.receiver import Receiver
from appliance.lab.script import Script
from appliance.operations import Operations
from appliance.operations.model import Target
from appliance.run.directory import box_names, queue_life_ms
from appliance.tenancy import Tenants
from control.people import SCOPE, domain_name
from control.probe import Probe
from mta.egress import Member

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from appliance.lab.script import Received
    from control.box import Box
    from control.people import Person

PAUSE: Final = 0.005
LIMIT: Final = 10.0
QUIET: Final = 1.0
_HELOS: Final = ("out-0.example", "out-1.example")
_POOL: Final = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What changes the box."""

    credentials: Credentials
    tenants: Tenants
    domains: Domains
    operations: Operations
    pools: Pools


class Arrivals:
    """What the receiver gets: when the last came, and whether one was as somebody waits for."""

    def __init__(self) -> None:
        self.last = 0.0
        self._wanted: Callable[[Received], bool] | None = None
        self._seen: asyncio.Future[float]

    def hear(self, message: Received) -> None:
        """One has arrived."""
        self.last = time.monotonic()
        if self._wanted is not None and self._wanted(message):
            self._wanted = None
            self._seen.set_result(self.last)

    async def first(self, wanted: Callable[[Received], bool]) -> float:
        """When the next one of that kind arrived."""
        self._seen = asyncio.get_running_loop().create_future()
        self._wanted = wanted
        async with asyncio.timeout(LIMIT):
            return await self._seen


async def measure(box: Box, repetitions: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each kind of change."""
    engine = open_engine(box.home.control_db)
    rooms = _rooms(box, engine)
    arrivals = Arrivals()
    receiver = Receiver(Script(keep=False), on_message=arrivals.hear)
    await receiver.start(port=box.sink_port)
    trial = Trial(box, rooms, arrivals)
    try:
        await trial.set_up(Egresses(engine, hostname="box.example"))
        found = {
            "credential revoked": await trial.revoked(repetitions),
            "tenant suspended": await trial.suspended(repetitions),
        }
        async with trial.sending():
            paused, resumed = await trial.paused(repetitions)
            found["tenant paused"], found["tenant resumed"] = paused, resumed
            found["pool changed"] = await trial.pool(repetitions)
            found["domain key rotated"] = await trial.key(repetitions)
    finally:
        await receiver.stop()
        await engine.dispose()
    return {what: _summary(times) for what, times in found.items()}


def _rooms(box: Box, engine: Any) -> Rooms:
    settings, keys = box.settings(), MasterKeys.load(box.home.keys_file)
    credentials, tenants = Credentials(engine, keys), Tenants(engine)
    return Rooms(
        credentials=credentials,
        tenants=tenants,
        domains=Domains(engine, keys, box_names(settings), queue_life=queue_life_ms(settings)),
        operations=Operations(engine),
        pools=Pools(engine, tenants, credentials),
    )


class Trial:
    """All changes; tenant 0 sends the probes, other tenants' credentials are lost."""

    def __init__(self, box: Box, rooms: Rooms, arrivals: Arrivals) -> None:
        self._box, self._rooms, self._arrivals = box, rooms, arrivals
        self._tenant_id = 0

    async def set_up(self, egresses: Egresses) -> None:
        """Two addresses, and the pool of everybody."""
        for number, helo in enumerate(_HELOS):
            address = f"127.0.0.{number + 2}"
            await egresses.create(
                SCOPE, EgressRequest(name=f"out-{number}", address=address, helo=helo)
            )
        await self._set_pool(0)
        self._tenant_id = (await self._rooms.tenants.get(SCOPE, "tenant-0000")).id

    async def revoked(self, repetitions: int) -> list[float]:
        """Each time another credential, from the end."""
        people = self._box.door.people
        ids = {
            login.username: found.id
            for found in await self._rooms.credentials.list(SCOPE)
            for login in found.logins
        }
        found = []
        for person in people[len(people) - repetitions :]:
            async with self._probe(person) as probe:
                await self._rooms.credentials.revoke(SCOPE, ids[person[0]])
                found.append(await _until(probe, refused=True))
        return found

    async def suspended(self, repetitions: int) -> list[float]:
        """Always the first tenant, and back."""
        found, tenants = [], self._rooms.tenants
        for _ in range(repetitions):
            async with self._probe(self._box.door.people[0]) as probe:
                await tenants.suspend(SCOPE, "tenant-0000", reason="measured")
                found.append(await _until(probe, refused=True))
                await tenants.resume(SCOPE, "tenant-0000")
                await _until(probe, refused=False)
        return found

    async def paused(self, repetitions: int) -> tuple[list[float], list[float]]:
        """Until the last message has left, and until the first leaves again."""
        paused, resumed = [], []
        for _ in range(repetitions):
            await self._arrivals.first(lambda _: True)
            made = await self._rooms.operations.pause(
                SCOPE, Target(tenant_id=self._tenant_id), reason="measured"
            )
            at = time.monotonic()
            while time.monotonic() - max(at, self._arrivals.last) < QUIET:
                await asyncio.sleep(PAUSE)
                if time.monotonic() - at > LIMIT:
                    raise BenchError("a paused tenant goes on sending")
            paused.append(max(0.0, self._arrivals.last - at))
            await self._rooms.operations.resume(SCOPE, made.id)
            at = time.monotonic()
            resumed.append(await self._arrivals.first(lambda _: True) - at)
        return paused, resumed

    async def pool(self, repetitions: int) -> list[float]:
        """To and fro between the two addresses."""
        found = []
        for number in range(repetitions):
            helo = _HELOS[(number + 1) % 2]
            seen = asyncio.ensure_future(self._arrivals.first(_from(helo)))
            await self._set_pool((number + 1) % 2)
            at = time.monotonic()
            found.append(await seen - at)
        return found

    async def key(self, repetitions: int) -> list[float]:
        """A new pair of selectors each time; no record is waited for."""
        found, domains, name = [], self._rooms.domains, domain_name(0)
        for _ in range(repetitions):
            rotated = await domains.rotate(SCOPE, name, tenant_id=self._tenant_id)
            seen = asyncio.ensure_future(self._arrivals.first(_signed(rotated.keys[0].selector)))
            await domains.activate(SCOPE, name, tenant_id=self._tenant_id)
            at = time.monotonic()
            found.append(await seen - at)
        return found

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Probes of the first tenant while the block runs."""
        ends = asyncio.Event()

        async def send() -> None:
            async with self._probe(self._box.door.people[0]) as probe:
                while not ends.is_set():
                    answer = await probe.send()
                    if not answer.startswith("250"):
                        raise BenchError(f"a probe was answered {answer!r}")
                    await asyncio.sleep(PAUSE)

        task = asyncio.create_task(send())
        try:
            yield
        finally:
            ends.set()
            await task

    def _probe(self, person: Person) -> Probe:
        return Probe(self._box.port, person)

    async def _set_pool(self, number: int) -> None:
        members = (Member(egress=f"out-{number}"),)
        await self._rooms.pools.set(SCOPE, _POOL, PoolChange(members=members, is_default=True))


async def _until(probe: Probe, *, refused: bool) -> float:
    """Seconds until the session may send no more, or may again."""
    at = time.monotonic()
    while bool(await probe.may_send()) is not refused:
        if time.monotonic() - at > LIMIT:
            raise BenchError("a change has not come through")
        await asyncio.sleep(PAUSE)
    return time.monotonic() - at


def _from(helo: str) -> Callable[[Received], bool]:
    return lambda message: message.helo == helo


def _signed(selector: str) -> Callable[[Received], bool]:
    tag = f"s={selector};".encode()
    return lambda message: tag in message.data


def _summary(times: list[float]) -> dict[str, float]:
    ranked = sorted(times)
    return {
        "p50_ms": round(ranked[len(ranked) // 2] * 1000, 1),
        "max_ms": round(ranked[-1] * 1000, 1),
        "repetitions": len(ranked),
    }
