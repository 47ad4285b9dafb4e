"""KeyBook: the valid keys in memory, so that a request costs no query.

Read anew when their counter moves; the poll that asks is what makes a revocation hold within a second. A
row that cannot be read fails the reading: the book stays as it is, and its keeper reports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.control import Part
from appliance.core.errors import SignInError
from appliance.core.generations import Generations
from appliance.core.scope import BOX, Scope
from appliance.keys.model import KeyUse
from appliance.keys.rules import split_token
from appliance.rights import Actor, ActorKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.secrets import MasterKeys
    from appliance.keys.model import ApiKey
    from appliance.keys.service import Keys

_USE_PAUSE: Final = clock.MINUTE
_UNKNOWN: Final = (
    "this API key is not valid (any more): make one in the console or with `pillarbox key create`"
)


class KeyBook:
    """Who a token stands for."""

    def __init__(
        self,
        engine: AsyncEngine,
        keys: Keys,
        hasher: MasterKeys,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._keys, self._hasher, self._now = keys, hasher, now
        self._generations = Generations(engine)
        self._valid: Mapping[int, ApiKey] = {}
        self._seen = -1
        self._uses: dict[int, KeyUse] = {}

    async def step(self) -> bool:
        """Read what has changed; for a loop of the process that keeps the book."""
        current = (await self._generations.look())[Part.KEYS]
        if current != self._seen:
            self._valid = await self._keys.valid()
            self._seen = current
        return False

    async def note(self) -> bool:
        """Write down the uses since the last time; for a slower loop."""
        uses, self._uses = self._uses, {}
        await self._keys.note_uses(uses.values())
        return False

    def find(self, token: str, address: str) -> tuple[Actor, ApiKey]:
        """The actor behind a token. Raises SignInError, the same for every reason."""
        number, secret = split_token(token) or (0, "")
        key = self._valid.get(number)
        stored = key.secret_hash if key else self._hasher.credential_hash("")
        same = self._hasher.credential_matches(secret, stored)
        now = self._now()
        if key is None or not same or not key.is_valid(now):
            raise SignInError(_UNKNOWN)
        if now - key.last_used_at > _USE_PAUSE:
            self._uses[key.id] = KeyUse(key_id=key.id, at=now, address=address)
        return _actor(key, address), key


def _actor(key: ApiKey, address: str) -> Actor:
    name = f"key {key.id} ({key.name})"
    everything = Scope.system(by=name, address=address)
    return Actor(
        kind=ActorKind.KEY,
        id=key.id,
        name=name,
        scope=everything if key.tenant_id == BOX else everything.within(key.tenant_id),
        rights=frozenset(key.rights),
        is_sandboxed=key.sandboxed,
    )
