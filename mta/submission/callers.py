"""Callers: how many connections each client has opened this minute without bringing anything.

A connection counts when it is opened, and no more once it has logged in or handed over a message: who
sends with a connection for each message is never over the limit, who only connects is. In bounded
memory: when a minute holds too many clients its oldest is forgotten. Time is passed in.
"""

from __future__ import annotations

from typing import Final

MINUTE: Final = 60.0
MAX_CLIENTS: Final = 100_000


class Callers:
    """Counts by client and minute."""

    def __init__(self, limit: int, max_clients: int = MAX_CLIENTS) -> None:
        self._limit, self._max_clients = limit, max_clients
        self._minute = -1
        self._counts: dict[str, int] = {}
        self._told: set[str] = set()

    def take(self, client: str, now: float) -> bool:
        """Count one more; False when it is over the limit."""
        minute = int(now // MINUTE)
        if minute != self._minute:
            self._minute, self._counts, self._told = minute, {}, set()
        count = self._counts.get(client, 0)
        if count >= self._limit:
            return False
        if not count and len(self._counts) >= self._max_clients:
            del self._counts[next(iter(self._counts))]
        self._counts[client] = count + 1
        return True

    def forgive(self, client: str) -> None:
        """One of its connections has brought something."""
        count = self._counts.get(client, 0)
        if count > 1:
            self._counts[client] = count - 1
        else:
            self._counts.pop(client, None)

    def is_news(self, client: str) -> bool:
        """True once a minute for each client: what is said of it more often fills the log."""
        if client in self._told or len(self._told) >= self._max_clients:
            return False
        self._told.add(client)
        return True
