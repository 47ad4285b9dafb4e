"""A laboratory receiver that knows from which address of ours each connection came.

async with PeerReceiver() as mx: ... mx.recipients()["127.0.0.11"], mx.helos()["127.0.0.11"]

`scripts` gives some of our addresses a script of their own, as receivers do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from appliance.lab.receiver import Receiver
from appliance.lab.script import Received, Script

if TYPE_CHECKING:
    from appliance.lab.receiver_session import ReceiverSession


class PeerReceiver(Receiver):
    """Counts by source address."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        scripts: Mapping[str, Script] | None = None,
        on_message: Callable[[Received], None] | None = None,
    ) -> None:
        super().__init__(script, on_message=on_message)
        self.scripts = dict(scripts or {})
        self.sources: dict[int, str] = {}  # by session

    def joined(self, session: ReceiverSession) -> int:
        number = super().joined(session)
        assert session._transport is not None
        source: str = session._transport.get_extra_info("peername")[0]
        self.sources[number] = source
        session._script = self.scripts.get(source, self.script)
        return number

    def recipients(self) -> Counter[str]:
        """RCPT commands, whatever the answer to them was: what a receiver counts."""
        return self._commands("RCPT ")

    def transactions(self) -> Counter[str]:
        """MAIL commands."""
        return self._commands("MAIL ")

    def helos(self) -> dict[str, set[str]]:
        """Every name that each address gave."""
        found: dict[str, set[str]] = defaultdict(set)
        for session, line in self.commands:
            if line.upper().startswith(("EHLO ", "HELO ")):
                found[self.sources[session]].add(line[5:])
        return dict(found)

    def taken(self) -> Counter[str]:
        """Messages that were taken."""
        return Counter(self.sources[message.session] for message in self.messages)

    def _commands(self, verb: str) -> Counter[str]:
        return Counter(
            self.sources[session]
            for session, line in self.commands
            if line.upper().startswith(verb)
        )
