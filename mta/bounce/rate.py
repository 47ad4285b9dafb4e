"""Rate: how many notices each client has brought this minute, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CLIENTS: Final = 100_000


class Rate:
    """Counts by client and minute; when a minute holds too many clients its oldest is forgotten."""

    def __init__(self, limit: int, client_of: Callable[[str], str], max_clients: int = MAX_CLIENTS):
        """`client_of`: what of an address counts as one client (an IPv6 network is one)."""
        self._limit, self._client_of, self._max_clients = limit, client_of, max_clients
        self._minute = 0
        self._counts: dict[str, int] = {}

    def take(self, address: str, now: int) -> bool:
        """Count one more; False when it is over the limit."""
        minute = now // clock.MINUTE
        if minute != self._minute:
            self._minute, self._counts = minute, {}
        client = self._client_of(address)
        count = self._counts.get(client, 0)
        if count >= self._limit:
            return False
        if not count and len(self._counts) >= self._max_clients:
            del self._counts[next(iter(self._counts))]
        self._counts[client] = count + 1
        return True
