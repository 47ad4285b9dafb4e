"""Silence: who did not answer, so that the notices behind do not wait for him one after the other.

A time-out costs half a minute, and a shard whose owner hangs may have thousands of notices: the first one
waits for it, the others hear at once that it is of no use, until `forget` (a new round) lets one ask again.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from appliance.core.errors import NotRunningError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_SHARD: Final = -1


class StillSilent(Exception):  # noqa: N818 - not an error: a notice that waits for its turn
    """He did not answer a moment ago and was not asked."""


class Silence:
    """Remembers at most the few kinds of questions there are, for each shard."""

    def __init__(self) -> None:
        self._silent: set[tuple[str, int]] = set()

    @contextmanager
    def asking(self, question: str, shard: int = NO_SHARD) -> Iterator[None]:
        """Around a question. Raises StillSilent in its place when there was no answer before."""
        if (question, shard) in self._silent:
            raise StillSilent
        try:
            yield
        except (NotRunningError, StoreError):
            self._silent.add((question, shard))
            raise

    def is_around(self, shard: int) -> bool:
        """Whether any question about this shard was left without an answer."""
        return any(silent == shard for _, silent in self._silent)

    def forget(self) -> None:
        """Let everybody be asked again."""
        self._silent.clear()
