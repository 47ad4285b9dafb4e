"""Records of a running box, reached by a test as the command line reaches them, but in one go."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING

from appliance.core.database import open_engine
from appliance.core.secrets import MasterKeys
from appliance.core.settings_file import load
from appliance.credentials import Credentials
from appliance.egress import Egresses, EgressRequest, PoolChange, Pools
from appliance.shaping import ThrottleStore
from appliance.tenancy import Tenants
from mta.egress import Member
from tests.support.box import HOSTNAME, SCOPE, RunningBox

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from mta.shaping.throttle import Throttle


@contextlib.asynccontextmanager
async def control_of(box: RunningBox) -> AsyncIterator[AsyncEngine]:
    """An engine on control.db."""
    engine = open_engine(box.home.control_location(load(box.home.config_file, {})))
    try:
        yield engine
    finally:
        await engine.dispose()


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
