"""Use case of sending: letters in, ids or refusals out, each at its own place.

Letters are composed in turns with whatever else the process does, and handed over in pieces whose size is
bounded. A process of the mta that does not answer fails only the letters that it was given.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from appliance.core import clock
from appliance.core.errors import NotRunningError, PillarboxError, StoreError, UsageError
from appliance.core.tasks import in_turns
from appliance.sending.compose import compose
from appliance.sending.model import Refusal
from appliance.sending.rules import ready

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appliance.sending.model import Letter, Outgoing, Taken

_PIECE: Final = 100
_PIECE_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """On whose behalf letters are handed over."""

    tenant_id: int
    credential_id: int
    address: str  # of the client
    is_keyed: bool = False  # their idempotency keys are looked up: they go where those are


class Carrier(Protocol):
    """Hands composed letters to the message way."""

    async def submit(self, handed: Handed, letters: Sequence[Outgoing]) -> list[Taken | Refusal]:
        """What became of each, in their order. Raises NotRunningError or StoreError for all of them."""


class Sending:
    """Sends letters."""

    def __init__(self, carrier: Carrier, now: Callable[[], int] = clock.now_ms) -> None:
        self._carrier, self._now = carrier, now

    async def send(
        self, handed: Handed, letters: Sequence[Letter | Refusal], *, key: str = ""
    ) -> list[Taken | Refusal]:
        """What became of each. What could not even be read comes as the Refusal that it ends as.

        With `key` a letter that was taken before under it, at the same place, is not taken again.
        """
        results: list[Taken | Refusal | None] = []
        composed: list[tuple[int, Outgoing]] = []
        async for letter in in_turns(letters):
            made = (
                letter if isinstance(letter, Refusal) else self._compose(letter, key, len(results))
            )
            if isinstance(made, Refusal):
                results.append(made)
                continue
            composed.append((len(results), made))
            results.append(None)
        pieces = _pieces(composed)
        done = await asyncio.gather(*(self._hand_over(handed, piece) for piece in pieces))
        for piece, answers in zip(pieces, done, strict=True):
            for (place, _), answer in zip(piece, answers, strict=True):
                results[place] = answer
        return [result for result in results if result is not None]

    def _compose(self, letter: Letter, key: str, place: int) -> Outgoing | Refusal:
        try:
            checked = ready(letter, self._now())
        except UsageError as error:
            return Refusal(words=str(error), field=error.field)
        own = f"{key}#{place}" if key else ""
        return compose(checked, boundary=lambda: secrets.token_hex(16), key=own)

    async def _hand_over(
        self, handed: Handed, piece: list[tuple[int, Outgoing]]
    ) -> list[Taken | Refusal]:
        try:
            return await self._carrier.submit(handed, [letter for _, letter in piece])
        except (NotRunningError, StoreError) as error:
            return [_later(error)] * len(piece)


def _later(error: PillarboxError) -> Refusal:
    return Refusal(words=str(error), code=451, enhanced="4.3.0")


def _pieces(composed: list[tuple[int, Outgoing]]) -> list[list[tuple[int, Outgoing]]]:
    pieces: list[list[tuple[int, Outgoing]]] = []
    size = 0
    for one in composed:
        octets = len(one[1].data)
        if not pieces or len(pieces[-1]) >= _PIECE or size + octets > _PIECE_BYTES:
            pieces.append([])
            size = 0
        pieces[-1].append(one)
        size += octets
    return pieces
