"""Way: one address to one receiver: how much its flow lets go, and when.

Connections are seconds of work: so many at once, each message takes the receiver's time. At a rate of one a
second and below the product's own flow says when the next message goes; those behind it are strictly spaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.scheduling.lane import Lane
from mta.transport.base import MxHost, Site
from warmup.queue import TENANT

if TYPE_CHECKING:
    from mta.message import Egress
    from mta.scheduling.regulator import Regulator
    from mta.shaping.model import Rate
    from warmup.figures import Receiver

QUIET: Final = 30 * clock.MINUTE
"""After a refusal it is looked at closely for so long."""

Pace = tuple["Rate | None", int]


def site_of(receiver: Receiver) -> Site:
    """Its hosts."""
    host = MxHost(name=receiver.host, preference=10, addresses=("192.0.2.25",))
    return Site(key=receiver.name, hosts=(host,), port=25)


class Way:
    """Mutable on purpose: how far into this step of the clock its work has come."""

    def __init__(
        self, egress: Egress, receiver: Receiver, site: Site, regulator: Regulator, tick: int
    ) -> None:
        self.egress, self.receiver, self.site = egress, receiver, site
        zone = regulator.zone_of(site)
        self.lane = Lane(egress, site, regulator.flow(egress.name, zone), lambda _: 1)
        self._throttles, self._tick = regulator.throttles, tick
        self._limits = zone.provider.limits
        self._free: Pace = (self._limits.message_rate, self._limits.connections)
        self._pace: Pace = (None, 0)
        self._end = 0  # of this step of the clock
        self._at = self._each = 0.0
        self.served_at = self.refused_at = 0
        self.joined = (
            0  # milliseconds of quiet before a step of the clock: work may have been done then
        )

    @property
    def at(self) -> int:
        """The moment that its work has come to."""
        return max(int(self._at), self._end - self._tick)

    @property
    def flying(self) -> int:
        """How many are under way at once: they learn of a refusal too late."""
        return max(1, round(self.receiver.seconds * clock.SECOND / self._each))

    def look(self, now: int) -> Pace:
        """Follow what shaping says; returns it."""
        if now + self._tick != self._end:
            self._end = now + self._tick
            self._at = max(self._at, now - self.joined)
        name, zone = self.egress.name, self.lane.zone
        allowed = self._throttles.connections(name, zone)
        most = self._limits.connections
        pace = (self._throttles.rate(name, zone), min(most, allowed) if allowed else most)
        if pace != self._pace:
            self._pace = pace
            self._each = self._time_of_one()
        return pace

    def room(self, now: int) -> int:
        """How many may go before it has to be looked at again."""
        self.look(now)
        if self._at < self._end and self._is_slow:
            self._at = max(self._at, self.lane.flow.sends_at(self.at))
        if self._at >= self._end:
            return 0
        return max(int(self._is_slow), int((self._end - self._at) / self._each))

    def went(self, count: int) -> None:
        """So many were sent."""
        self._at += count * self._each
        if count and self._is_slow:
            self.lane.flow.sent(TENANT, int(self._at - self._each))

    def catch_up(self, now: int) -> None:
        """What is refused is refused now."""
        self._at = max(self._at, now)

    def close(self) -> None:
        """Nothing more in this step of the clock."""
        self._at = self._end

    def is_over(self) -> bool:
        """Whether this step of the clock is used up."""
        return self._at >= self._end

    def minutes(self, count: int) -> float:
        """How long so many take when they go one behind the other."""
        return count * self._each / clock.MINUTE

    def is_halted(self, now: int) -> bool:
        """Whether nothing may go."""
        name, domain = self.egress.name, self.receiver.domain
        return self._throttles.wait(name, self.lane.zone, TENANT, domain, now) is not None

    def is_quiet(self, now: int) -> bool:
        """Whether the receiver has nothing to say to us."""
        if self.refused_at > now - QUIET or self.look(now) != self._free:
            return False
        return not self.is_halted(now)

    @property
    def _is_slow(self) -> bool:
        rate = self._pace[0]
        return rate is not None and rate.per_second <= 1

    def _time_of_one(self) -> float:
        """Milliseconds: of a connection, of opening one again and again, of the rate."""
        limits, (rate, connections) = self._limits, self._pace
        each = [self.receiver.seconds * clock.SECOND / connections]
        if rate is not None:
            each.append(clock.SECOND / rate.per_second)
        if limits.connection_rate is not None:
            turnover = limits.connection_rate.per_second * limits.messages_per_connection
            each.append(clock.SECOND / turnover)
        return max(each)
