"""Records of a running box, reached by a test as the command line reaches them, but in one go."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx

from appliance.core import clock
from appliance.core.control import generations
from appliance.core.database import open_engine
from appliance.core.secrets import MasterKeys
from appliance.core.settings_file import load
from appliance.credentials import Credentials
from appliance.egress import Egresses, EgressRequest, PoolChange, Pools
from appliance.operations import Operations
from appliance.shaping import ThrottleStore
from appliance.tenancy import Tenants
from mta.egress import Member
from mta.shaping.moves import STEP_UP
from tests.support.box import HOSTNAME, SCOPE, RunningBox
from tests.support.way import until

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.operations import Target
    from mta.shaping.throttle import Throttle

_GENERATION = re.compile(
    r'^pillarbox_generation\{process="([^"]+)",of="directory"\} (\S+)$', re.MULTILINE
)


@contextlib.asynccontextmanager
async def control_of(box: RunningBox) -> AsyncIterator[AsyncEngine]:
    """An engine on control.db."""
    engine = open_engine(box.home.control_location(load(box.home.config_file, {})))
    try:
        yield engine
    finally:
        await engine.dispose()


async def took_effect(box: RunningBox) -> None:
    """Wait until every process goes by what is set now; a second at most where the machine is calm."""
    async with control_of(box) as engine, engine.connect() as connection:
        newest = sum((await generations(connection)).values())

    async def all_know() -> bool:
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            text = (await client.get(f"{box.web}/metrics")).text
        known = {process: float(at) for process, at in _GENERATION.findall(text)}
        wanted = {name for name in box.pids() if name == "inbound" or name.startswith("mta-")}
        return known.keys() >= wanted and min(known.values()) >= newest

    await until(all_know, seconds=15)


async def add_egresses(box: RunningBox, wanted: Iterable[EgressRequest]) -> None:
    """Make addresses without a look at their DNS."""
    async with control_of(box) as engine:
        egresses = Egresses(engine, hostname=HOSTNAME)
        for one in wanted:
            await egresses.create(SCOPE, one)


async def add_pools(box: RunningBox, wanted: Mapping[str, tuple[str, ...]], fallback: str) -> None:
    """Make pools of equal shares; all but the fallback fall back on it."""
    async with control_of(box) as engine:
        keys = MasterKeys.load(box.home.keys_file)
        pools = Pools(engine, Tenants(engine), Credentials(engine, keys))
        for name in (fallback, *(name for name in wanted if name != fallback)):
            members = tuple(Member(egress=egress) for egress in wanted[name])
            after = "" if name == fallback else fallback
            await pools.set(SCOPE, name, PoolChange(members=members, fallback=after))


async def throttles_of(box: RunningBox) -> tuple[Throttle, ...]:
    """Everything that answers have changed."""
    async with control_of(box) as engine:
        return await ThrottleStore(engine).all(SCOPE)


async def pass_quiet_time(box: RunningBox) -> None:
    """Move every throttle so far into the past that its next step up is due."""
    async with control_of(box) as engine:
        store = ThrottleStore(engine)
        await store.save([_older(one) for one in await store.all(SCOPE) if one.in_force])


def _older(one: Throttle) -> Throttle:
    return replace(
        one,
        heard_at=one.heard_at - one.quiet,
        slowed_at=one.slowed_at - one.quiet,
        raised_at=one.raised_at - STEP_UP,
        suspended_until=one.suspended_until and one.changed_at,
        changed_at=one.changed_at + 1,
    )


async def pause(box: RunningBox, target: Target, *, reason: str, seconds: float) -> None:
    """Let matching mail wait for so long."""
    async with control_of(box) as engine:
        end = clock.now_ms() + int(seconds * clock.SECOND)
        await Operations(engine).pause(SCOPE, target, reason=reason, expires_at=end)


async def waiting(box: RunningBox) -> list[dict[str, Any]]:
    """Everybody who waits, with the reason in words."""
    found: list[dict[str, Any]] = await box.cli("queue", "list", "--recipients", "--limit", "10000")
    return found
