"""First messages: which credential's mail was accepted, and delivered for the first time (appliance.credentials.Tries).

Costs two set look-ups an event. What a process has seen of a message is forgotten with it, but for the newest
one of each credential: the first delivery is then that one's, or the next one's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mta.status import EventKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.credentials import Tries
    from appliance.history import LoggedEvent

MOST: Final = 10_000
"""Messages of credentials that have delivered nothing; beyond, the oldest are forgotten."""


class FirstMessages:
    """An EventConsumer (appliance.history)."""

    name = "first messages"

    def __init__(self, tries: Tries) -> None:
        self._tries = tries
        self._proven: set[int] | None = None
        self._waiting: dict[int, int] = {}  # message -> credential

    async def apply(self, events: Sequence[LoggedEvent]) -> None:
        """Note what is the first of its kind."""
        proven = await self._known()
        accepted: dict[int, tuple[int, int]] = {}
        delivered: dict[int, tuple[int, int]] = {}
        for event in events:
            number, place = event.facts.credential, (event.at, event.message_id)
            if event.kind is EventKind.ACCEPTED and number > 0 and number not in proven:
                accepted[number] = place
                self._wait(event.message_id, number)
            elif event.kind is EventKind.DELIVERED and event.message_id in self._waiting:
                delivered.setdefault(self._waiting.pop(event.message_id), place)
        await self._tries.note_mail(accepted, delivered)
        proven.update(delivered)

    async def _known(self) -> set[int]:
        if self._proven is None:
            waiting, proven = await self._tries.waiting(), await self._tries.proven()
            self._waiting, self._proven = waiting, set(proven)
        return self._proven

    def _wait(self, message_id: int, number: int) -> None:
        if len(self._waiting) >= MOST:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[message_id] = number
