"""Partitions: the one interface between the log and the database that keeps its days.

Writing and reading are apart: the worker alone writes; the command line, inbound and the web read
while it does. Both implementations raise StoreError and its children, never a driver's error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy.engine import Dialect


class WritePartitions(Protocol):
    """The days as their one writer has them. Not for several threads at once."""

    dialect: Dialect

    def open(self) -> list[int]:
        """Bring what stands up to date with this program; returns the days there are, oldest first."""

    def transaction(self, day: int) -> AbstractContextManager[Any]:
        """A cursor on the day's partition, which is made if it is missing.

        Leaving the block commits with a flush; an exception leaves the partition as it was.
        """

    def prepare(self, day: int) -> None:
        """Make the day's partition ahead of its first event."""

    def days(self) -> list[int]:
        """The days that stand, oldest first."""

    def set_aside(self, day: int) -> bool:
        """A damaged day: keep what is left of it elsewhere, and begin it anew; False where that is not ours."""

    def drop(self, day: int) -> None:
        """Forget the day."""

    def close(self) -> None:
        """Let everything go."""


class ReadPartitions(Protocol):
    """The days as readers have them. For several threads; they take turns."""

    dialect: Dialect

    def days(self) -> list[int]:
        """The days that stand, newest first."""

    def rows(self, day: int, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What the statement finds in the day; nothing when the day was dropped meanwhile."""

    def close(self) -> None:
        """Let everything go."""
