"""Sink: the receivers of the world, in a process of their own.

    fast    127.1.0.2 ...     takes everything at once
    slow    127.2.0.2 ...     answers the final dot after a delay
    mute    127.0.3.1         takes the connection and says nothing (only while told so)
    dead    127.0.3.1         nobody listens (else)

Every message carries `X-Bench: <label> <monotonic ns when it was handed in>`; by label it is counted,
and the first and last arrival and the latencies are kept (the clock is the same in every process).
"""

from __future__ import annotations

import asyncio
import sys
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from appliance.lab.receiver import Receiver
from appliance.lab.script import Action, Point, Script
from depth.child import answer

if TYPE_CHECKING:
    from appliance.lab.script import Received

FAST_SITES: Final = 20
SLOW_SITES: Final = 300
MUTE: Final = "127.0.3.1"
_HEADER: Final = b"X-Bench: "


class Tally:
    """Messages of one label."""

    def __init__(self) -> None:
        self.first = self.last = 0.0
        self.latencies = array("d")

    def take(self, at: float, sent: float) -> None:
        """One has arrived."""
        self.first = self.first or at
        self.last = at
        self.latencies.append(at - sent)

    def summary(self) -> dict[str, float]:
        """In milliseconds, on the clock of `time.monotonic`."""
        ranked = sorted(self.latencies)
        shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
        found = {
            name: round(ranked[min(len(ranked) - 1, int(len(ranked) * share))] * 1000, 2)
            for name, share in shares.items()
            if ranked
        }
        return {"count": len(ranked), "first": self.first, "last": self.last, **found}


class Sink:
    """All receivers on one port, told apart by their addresses."""

    def __init__(self, port: int, delay: float) -> None:
        self._port, self._delay = port, delay
        self._tallies: dict[str, Tally] = {}
        self._open: list[Receiver] = []
        self._mute: Receiver | None = None

    async def start(self) -> None:
        """Listen everywhere but at MUTE."""
        slow = Script(keep=False, delays={Point.DOT: self._delay})
        for number in range(1, FAST_SITES + 1):
            await self._listen(f"127.1.0.{number + 1}", Script(keep=False))
        for number in range(1, SLOW_SITES + 1):
            await self._listen(f"127.2.{number // 250}.{number % 250 + 1}", slow)

    async def obey(self, asked: dict[str, Any]) -> Any:
        """`stand`: the tallies; `count`: one's; `reset`: begin anew; `mute`: listen at MUTE or not."""
        match asked["do"]:
            case "stand":
                return {label: tally.summary() for label, tally in self._tallies.items()}
            case "count":
                tally = self._tallies.get(asked["label"])
                return [len(tally.latencies), tally.last] if tally else [0, 0.0]
            case "reset":
                self._tallies.clear()
            case "mute":
                await self._listen_at_mute(wanted=asked["on"])
            case unknown:
                raise ValueError(unknown)
        return None

    async def stop(self) -> None:
        """Hang up on everybody."""
        await self._listen_at_mute(wanted=False)
        for receiver in self._open:
            await receiver.stop()

    async def _listen_at_mute(self, *, wanted: bool) -> None:
        if self._mute is not None:
            await self._mute.stop()
            self._mute = None
        if wanted:
            self._mute = Receiver(Script(keep=False, always={Point.GREETING: Action.HANG}))
            await self._mute.start(MUTE, self._port)

    async def _listen(self, address: str, script: Script) -> None:
        receiver = Receiver(script, on_message=self._take)
        await receiver.start(address, self._port)
        self._open.append(receiver)

    def _take(self, message: Received) -> None:
        start = message.data.find(_HEADER)
        if start < 0:
            return  # the box's own: a notice
        line = message.data[start + len(_HEADER) : message.data.index(b"\r\n", start)].decode()
        label, _, sent = line.partition(" ")
        tally = self._tallies.get(label)
        if tally is None:
            tally = self._tallies[label] = Tally()
        tally.take(time.monotonic(), int(sent) / 1e9)


async def _main(port: int, delay: float) -> None:
    sink = Sink(port, delay)
    await sink.start()
    await answer(sink.obey)
    await sink.stop()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2])))
