"""Unreachable: sites that take no connection from an egress, and when one message may try again.

Without it a dead destination with a hundred thousand messages costs an attempt for each of them. The
first failure closes the site for the first wait of the retry schedule, at most a minute; each further
one doubles that, up to a quarter of an hour. After the wait one parcel goes as a probe; its success
opens the site for all. In memory only: after a restart each dead site costs one attempt. Bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.warmup.model import Wait

if TYPE_CHECKING:
    from mta.transport.base import Site

FIRST_WAIT: Final = clock.MINUTE
LONGEST_WAIT: Final = 15 * clock.MINUTE
_PROBE: Final = 5 * clock.SECOND
_PROBE_LIFE: Final = clock.MINUTE  # a probe that nobody heard of again did not go
_MAX_SITES: Final = 50_000


@dataclass(slots=True)
class _Closed:
    since: int
    until: int
    failures: int
    words: str
    probed_at: int = 0


class Unreachable:
    """What a process knows of sites that do not answer."""

    def __init__(self, first_wait: int = FIRST_WAIT, longest_wait: int = LONGEST_WAIT) -> None:
        self._first = min(first_wait, FIRST_WAIT)
        self._longest = min(longest_wait, LONGEST_WAIT)
        self._sites: OrderedDict[tuple[str, str], _Closed] = OrderedDict()

    def __len__(self) -> int:
        """How many sites do not answer; asked before every message, so none costs nothing."""
        return len(self._sites)

    def failed(self, egress: str, site: Site, words: str, now: int) -> None:
        """No host of the site took a connection."""
        place = (egress, site.key)
        closed = self._sites.pop(place, None) or _Closed(now, now, 0, words)
        if now >= closed.until:  # several connections that fail together are one failure
            closed.failures += 1
            closed.until = now + min(self._first << min(closed.failures - 1, 20), self._longest)
        closed.words, closed.probed_at = words, 0
        self._sites[place] = closed
        if len(self._sites) > _MAX_SITES:
            self._sites.popitem(last=False)

    def forget(self) -> None:
        """Nothing is known any more: each site may be tried."""
        self._sites.clear()

    def worked(self, egress: str, site_key: str) -> bool:
        """A connection was made; whether the site had been closed."""
        return bool(self._sites) and self._sites.pop((egress, site_key), None) is not None

    def wait(self, egress: str, site: Site, now: int) -> Wait | None:
        """Until when the site is left alone; None when it may be tried."""
        if not self._sites:
            return None
        closed = self._sites.get((egress, site.key))
        if closed is None:
            return None
        if now < closed.until:
            return Wait(until=closed.until, why=self._words(site, closed))
        if now < closed.probed_at + _PROBE_LIFE:
            return Wait(until=now + _PROBE, why=self._words(site, closed))
        return None

    def is_probe(self, egress: str, site_key: str) -> bool:
        """Whether what goes there now is to find out whether anybody answers again."""
        return bool(self._sites) and (egress, site_key) in self._sites

    def probe(self, egress: str, site_key: str, now: int) -> None:
        """A parcel is on its way there: none shall follow until it is known how it went."""
        if not self._sites:
            return
        closed = self._sites.get((egress, site_key))
        if closed is not None:
            closed.probed_at = now

    def unprobed(self, egress: str, site_key: str) -> None:
        """It did not go after all: the next one may."""
        self.probe(egress, site_key, 0)

    def _words(self, site: Site, closed: _Closed) -> str:
        host = site.hosts[0].name if site.hosts else site.key
        since = clock.iso(closed.since)[:16].replace("T", " ")
        until = clock.iso(closed.until)[11:16]
        return f"{host} has taken no connection since {since}Z, next try {until}Z: {closed.words[:200]}"
