"""ReadBack: the octets of content that were read back from the store to be sent, bounded.

Such content is held from before its transaction until the attempt is over; a thousand connections to slow
receivers must not hold a thousand large messages. Who finds no room waits, in fair order. Promises:
never more than there is room for, except one content by itself, however large: so nobody waits for ever.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mta.scheduling.fair import FairQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.message import Message


@dataclass(slots=True, eq=False)
class _Turn:
    size: int
    came: asyncio.Future[None]


class ReadBack:
    """What one window holds so; `room` tells how much it may be at this moment."""

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self._line: FairQueue[_Turn] = FairQueue()
        self.held = 0
        self.is_waited_for = False  # an attribute: it is asked for with every message that leaves

    async def take(self, message: Message, weight: int) -> bool:
        """Get room for a message's content; whether there was a wait for it.

        Whoever has had some must `give` it back.
        """
        turn = _Turn(message.size, asyncio.get_running_loop().create_future())
        self._line.push(turn, message.tenant_id, message.traffic_class, weight)
        self.let_in()
        waited = not turn.came.done()
        try:
            await turn.came
        except asyncio.CancelledError:
            if turn.came.cancelled():
                self.let_in()  # whoever stood behind it may fit
            else:
                self.give(message)  # the room came in the same moment
            raise
        return waited

    def give(self, message: Message) -> None:
        """A message's content is let go."""
        self.held -= message.size
        self.let_in()

    def let_in(self) -> None:
        """There may be more room: let in whoever has it now, in their order."""
        while (turn := self._line.first) is not None:
            if not turn.came.cancelled():
                if self.held and self.held + turn.size > self._room():
                    break
                self.held += turn.size
                turn.came.set_result(None)
            self._line.pop()
        self.is_waited_for = turn is not None
