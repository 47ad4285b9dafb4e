"""Room: octets of messages that one process may be receiving at once, and whether new mail may begin.

What has been booked never exceeds `limit`; the limit itself follows what the machine has to spare, up
to `ceiling` (MTA-3). While something is short (`shortage`, for the log) MAIL hears 452 before a single
octet of the message is sent; messages that are under way are finished as long as they fit.
"""

from __future__ import annotations

from mta.policy.refusal import Refused


class Room:
    """Shared by the sessions of one process."""

    __slots__ = ("ceiling", "limit", "shortage", "used")

    def __init__(self, ceiling: int) -> None:
        self.ceiling = self.limit = ceiling
        self.used = 0
        self.shortage = ""

    def adapt(self, spare: int, shortage: str) -> None:
        """As the machine is now: octets that messages may still grow by, and what is short ("" = nothing)."""
        self.limit = min(self.ceiling, self.used + max(0, spare))
        self.shortage = shortage

    def check(self, octets: int) -> None:
        """Whether a message of so many octets (0: unknown) may begin; Refused (452 4.3.1) if not."""
        if self.shortage:
            text = "no room for new mail now; try again later"
            raise Refused(452, "4.3.1", text, log=self.shortage)
        if octets and self.used + octets > self.limit:
            raise too_many()

    def take(self, octets: int) -> bool:
        """Book the octets; False, and nothing is booked, when they do not fit."""
        if self.used + octets > self.limit:
            return False
        self.used += octets
        return True

    def give(self, octets: int) -> None:
        """Release booked octets."""
        self.used -= octets


def too_many() -> Refused:
    """There is no memory for what others send at this moment."""
    return Refused(452, "4.3.1", "too many messages are being received; try again later")
