"""ShardOwners: which mta process owns which shard, asked once and remembered, and calls to it.

Ownership lasts as long as the box runs; a shard that is not known yet makes all processes be asked
again. Fails with NotRunningError while the owner does not answer: ask again later.
"""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from appliance.core.errors import NotRunningError
from appliance.core.rpc import RpcClient

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.core.home import Home

_ASK_SECONDS: Final = 5.0


class ShardOwners:
    """The mta processes of the box, seen from another process."""

    def __init__(self, home: Home, processes: Iterable[str]) -> None:
        self._clients = {
            name: RpcClient(home.socket(name)) for name in processes if name.startswith("mta-")
        }
        self._owner: dict[int, RpcClient] = {}

    async def call(self, shard: int, method: str, payload: Any, timeout: float) -> Any:
        """Ask the shard's owner."""
        return await (await self.client_of(shard)).call(method, payload, timeout)

    async def everybody(self, method: str, payload: Any, timeout: float) -> list[Any]:
        """Ask every process; a half of the queue must not look like the whole, so one silence fails."""
        asked = (client.call(method, payload, timeout) for client in self._clients.values())
        return list(await asyncio.gather(*asked))

    async def shards(self) -> list[int]:
        """Every shard there is, in order. Fails while one of the processes is silent."""
        return sorted(chain.from_iterable(await self.everybody("shards", None, _ASK_SECONDS)))

    async def client_of(self, shard: int) -> RpcClient:
        """The connection to the shard's owner."""
        if shard not in self._owner:
            await self._ask_all()
        owner = self._owner.get(shard)
        if owner is None:
            raise NotRunningError(f"the process that owns shard {shard} does not answer")
        return owner

    async def close(self) -> None:
        """Hang up."""
        await asyncio.gather(*(client.close() for client in self._clients.values()))

    async def _ask_all(self) -> None:
        answers = await asyncio.gather(*map(_shards_of, self._clients.values()))
        self._owner = {
            shard: client
            for client, shards in zip(self._clients.values(), answers, strict=True)
            for shard in shards
        }


async def _shards_of(client: RpcClient) -> list[int]:
    try:
        shards: list[int] = await client.call("shards", None, _ASK_SECONDS)
    except NotRunningError:
        return []
    return shards
