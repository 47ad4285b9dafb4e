"""Window: the recipients that are ready or being sent, in memory and bounded.

A recipient in the window is not read from the store a second time; that, and the shard's single
owner, is the claim that keeps two attempts from running at once. A page that was read a moment ago may
still show who has left since (sent, or cancelled by a person): `reading` remembers them until it is
taken in. Whoever went back to rest meanwhile is noted there and read again.

Content has a bound of its own, in octets: what is ready and what was read back to be sent share it, and a
part is kept for the latter. Else ready mail for a slow receiver would keep everybody else's at rest.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mta.scheduling.read_back import ReadBack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mta.message import Recipient
    from mta.scheduling.parcel import Parcel

READ_SHARE: Final = 4
"""Of the octets a quarter is kept for content that is read back."""


class Window:
    """Who is in memory, by (message, n)."""

    def __init__(self, *, max_recipients: int, max_bytes: int) -> None:
        self._max_recipients, self._max_bytes = max_recipients, max_bytes
        self._parcels: dict[tuple[int, int], Parcel] = {}
        self._locked_out: set[tuple[int, int]] = set()
        self._left: set[tuple[int, int]] | None = None  # since a page is being read
        self.held_bytes = 0
        self.read_back = ReadBack(self._room_to_read)

    def __len__(self) -> int:
        return len(self._parcels)

    @property
    def room(self) -> int:
        """How many more recipients fit."""
        return max(0, self._max_recipients - len(self._parcels))

    @property
    def being_sent(self) -> int:
        """Recipients whose attempt runs now; a look at each in memory."""
        return sum(parcel.sending for parcel in self._parcels.values())

    def admits(self, content: bytes) -> bool:
        """Whether the content of another parcel may stay in memory."""
        others = max(self.read_back.held, self._max_bytes // READ_SHARE)
        return self.held_bytes + len(content) + others <= self._max_bytes

    def has(self, recipient: Recipient) -> bool:
        """Whether the recipient is ready or being sent, or must not be taken in now."""
        place = (recipient.message_id, recipient.n)
        return (
            place in self._parcels
            or place in self._locked_out
            or (self._left is not None and place in self._left)
        )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While pages are read from the store and taken in; one at a time."""
        self._left = set()
        try:
            yield
        finally:
            self._left = None

    def lock_out(self, recipients: list[Recipient]) -> None:
        """A person's change of them is on its way to the disk: let none in until it is there."""
        self._locked_out.update((r.message_id, r.n) for r in recipients)

    def unlock(self, recipients: list[Recipient]) -> None:
        """The change is done."""
        self._locked_out.difference_update((r.message_id, r.n) for r in recipients)
        self._leave(recipients)

    def parcel_with(self, message_id: int, n: int) -> Parcel | None:
        """The parcel that carries a recipient."""
        return self._parcels.get((message_id, n))

    def add(self, parcel: Parcel) -> None:
        """Take a parcel in."""
        for recipient in parcel.recipients:
            self._parcels[(recipient.message_id, recipient.n)] = parcel
        self.held_bytes += parcel.held_bytes

    def joined(self, recipients: list[Recipient], parcel: Parcel, released: int) -> None:
        """Recipients travel in another parcel now; `released` octets need not be held twice."""
        for recipient in recipients:
            self._parcels[(recipient.message_id, recipient.n)] = parcel
        self._let_go(released)

    def part(self, parcel: Parcel) -> list[Parcel]:
        """Take a parcel apart by key; those that were made of it, beside itself."""
        return self._made(parcel.part())

    def cut(self, parcel: Parcel, size: int) -> list[Parcel]:
        """Keep so many recipients in the parcel; the others, in parcels of that size."""
        return self._made(parcel.cut(size))

    def _made(self, parcels: list[Parcel]) -> list[Parcel]:
        for parcel in parcels:
            self.joined(parcel.recipients, parcel, 0)
        return parcels

    def drop(self, recipients: list[Recipient]) -> None:
        """Recipients are settled or went back to rest."""
        for recipient in recipients:
            self._parcels.pop((recipient.message_id, recipient.n), None)
        self._leave(recipients)

    def _leave(self, recipients: list[Recipient]) -> None:
        if self._left is not None:
            self._left.update((r.message_id, r.n) for r in recipients)

    def drop_content(self, parcel: Parcel) -> None:
        """The parcel's content is no longer held."""
        self._let_go(parcel.held_bytes)
        parcel.content = None

    def _let_go(self, octets: int) -> None:
        self.held_bytes -= octets
        if self.read_back.is_waited_for:
            self.read_back.let_in()

    def _room_to_read(self) -> int:
        return max(self._max_bytes - self.held_bytes, self._max_bytes // READ_SHARE)
