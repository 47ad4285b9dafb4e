"""BoxCarrier: hands composed letters to the mta processes of the box, over their sockets.

Letters without an idempotency key go to the processes in turn; those with one to the process that keeps the
keys. A process that is not there is passed over as long as nothing was handed to it.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Final

from appliance.core.rpc import RpcClient
from appliance.sending import Refusal, Taken
from mta.intake import KEYED_SHARD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from appliance.core.home import Home
    from appliance.run.shard_owners import ShardOwners
    from appliance.sending import Handed, Outgoing

_TIMEOUT: Final = 60.0


class BoxCarrier:
    """The way from the web into the spool (appliance.sending.Carrier)."""

    def __init__(self, home: Home, processes: Iterable[str], owners: ShardOwners) -> None:
        names = sorted(name for name in processes if name.startswith("mta-"))
        self._clients = [RpcClient(home.socket(name)) for name in names]
        self._turns = itertools.cycle(range(len(self._clients)))
        self._owners = owners

    async def submit(self, handed: Handed, letters: Sequence[Outgoing]) -> list[Taken | Refusal]:
        """What became of each. Raises NotRunningError when its process does not answer."""
        payload = {
            "tenant": handed.tenant_id,
            "credential": handed.credential_id,
            "address": handed.address,
            "letters": [
                [one.sender, one.recipients, one.data, one.smtputf8, one.body_8bit]
                for one in letters
            ],
        }
        answers = await (await self._client(handed)).call("submit_many", payload, _TIMEOUT)
        return [_result(answer) for answer in answers]

    async def close(self) -> None:
        """Hang up."""
        await asyncio.gather(*(client.close() for client in self._clients))

    async def _client(self, handed: Handed) -> RpcClient:
        if handed.is_keyed:
            return await self._owners.client_of(KEYED_SHARD)
        return self._clients[next(self._turns)]


def _result(answer: list[Any]) -> Taken | Refusal:
    if answer[0]:
        return Taken(id=answer[0], recipients=answer[1])
    _, code, enhanced, words = answer
    return Refusal(words=words, code=code, enhanced=enhanced)
