"""Colleagues: what the dispatcher needs of the sender and of the results, which know it too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mta.message import Attempt, Recipient
    from mta.scheduling.lane import Lane
    from mta.scheduling.parcel import Parcel
    from mta.spool.batch import Settlement


class Sender(Protocol):
    """Serves lanes (mta.scheduling.sender)."""

    def kick(self, lane: Lane) -> bool:
        """There is work in the lane."""


class Results(Protocol):
    """Records what was decided without an attempt (mta.scheduling.results)."""

    async def no_route(self, parcel: Parcel, attempt: Attempt) -> None:
        """Record that a parcel could not even be routed."""

    def settle(self, recipients: list[Recipient], settlements: list[Settlement]) -> None:
        """Record what was decided without an attempt."""
