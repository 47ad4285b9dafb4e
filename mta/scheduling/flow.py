"""Flow: connections and pace of one egress at one zone, whatever the number of its sites.

A lane serves one site; a provider with ten thousand sites is still one receiver, so what holds for the
provider is kept here and shared by its lanes. `limits` are the configured ones, `throttles` what the
receiver's answers have made of them, `share` the part of this process.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.scheduling.line import Line
from mta.shaping.pace import Pace

if TYPE_CHECKING:
    from mta.scheduling.lane import Lane
    from mta.scheduling.share import Share
    from mta.shaping.model import Limits, Rate, Zone
    from mta.shaping.throttles import Throttles
    from mta.transport.base import Site

FIRST_REST: Final = clock.SECOND
LONGEST_REST: Final = clock.MINUTE

REACH: Final = 10.0
"""Seconds for which work may stand ready in a lane."""


class Flow:
    """Mutable on purpose: asked before every message."""

    __slots__ = (
        "_at_hosts",
        "_connection_pace",
        "_message_pace",
        "_rates",
        "_rests",
        "_share",
        "_tenants",
        "_throttles",
        "connections",
        "egress",
        "hungry",
        "lanes",
        "next",
        "zone",
    )

    def __init__(self, egress: str, zone: Zone, throttles: Throttles, share: Share) -> None:
        self.egress, self.zone = egress, zone
        self.connections = 0  # open or opening, of this process
        self.lanes = 0  # that belong to it
        self.next: Lane | None = None  # a connection was opened for it ahead of the next turn
        self.hungry = Line()  # lanes that wait for one of the zone's connections, of all shards
        self._at_hosts: dict[
            str, int
        ] = {}  # connections by site; what is demanded of TLS is all one
        self._throttles, self._share = throttles, share
        self._rests: dict[str, tuple[int, int]] = {}  # by site: failures in a row, rests until
        self._message_pace, self._connection_pace = Pace(), Pace()
        self._rates: tuple[Rate | None, Rate | None] = (None, None)
        self._tenants: dict[int, tuple[Pace, Rate | None]] = {}

    @property
    def limits(self) -> Limits:
        """As configured."""
        return self.zone.provider.limits

    def room_at_site(self, site: Site, now: int) -> bool:
        """Whether a site may have another connection."""
        open_now = self._at_hosts.get(site.hosts_key, 0)
        return open_now < self._share.connections(self.limits.connections, now)

    def room_in_zone(self, now: int) -> bool:
        """Whether all sites of the zone together may have another connection."""
        allowed = self._throttles.connections(self.egress, self.zone)
        return not allowed or self.connections < self._share.connections(allowed, now)

    def has_too_many(self, site: Site, now: int) -> bool:
        """Whether a connection should end: fewer are allowed by now than there are."""
        at_site = self._at_hosts.get(site.hosts_key, 0)
        if at_site > self._share.connections(self.limits.connections, now):
            return True
        allowed = self._throttles.connections(self.egress, self.zone)
        return bool(allowed) and self.connections > self._share.connections(allowed, now)

    def connects_at(self, site: Site, now: int) -> int:
        """When a connection to a site may be opened: `now` if at once."""
        self._follow(now)
        at = self._connection_pace.ready_at(now)
        return max(at, self._rests_until(site, now)) if self._rests else at

    def failed(self, site: Site, now: int) -> None:
        """A task of ours crashed, or a connection was refused beside others: rest, longer each time."""
        if now < self._rests_until(site, now):
            return  # several that fail together are one failure
        failures, _ = self._rests.get(site.hosts_key, (0, 0))
        until = now + min(FIRST_REST << min(failures, 10), LONGEST_REST)
        self._rests[site.hosts_key] = failures + 1, until

    def worked(self, site: Site) -> None:
        """A new connection was made, and a transaction took place over it."""
        if self._rests:
            self._rests.pop(site.hosts_key, None)

    def connected(self, site: Site, now: int) -> None:
        """A connection is being opened."""
        self.connections += 1
        self._at_hosts[site.hosts_key] = self._at_hosts.get(site.hosts_key, 0) + 1
        self._connection_pace.take(now)

    def disconnected(self, site: Site) -> None:
        """It has ended."""
        self.connections -= 1
        left = self._at_hosts[site.hosts_key] - 1
        if left:
            self._at_hosts[site.hosts_key] = left
        else:
            del self._at_hosts[site.hosts_key]

    @property
    def reach(self) -> int:
        """How many messages leave within REACH at the rate that holds, of this process; at least one.

        More need not stand ready: they may find a faster address meanwhile.
        """
        rate = self._throttles.rate(self.egress, self.zone)
        if rate is None:
            return sys.maxsize
        return max(1, int(rate.per_second * self._share.of_rates * REACH))

    def sends_at(self, now: int) -> int:
        """When the next message may go, whose ever: `now` if at once."""
        self._follow(now)
        return self._message_pace.ready_at(now)

    def tenant_sends_at(self, tenant_id: int, now: int) -> int:
        """When the next message of this tenant may go."""
        pace = self._tenant_pace(tenant_id, now)
        return now if pace is None else pace.ready_at(now)

    def sent(self, tenant_id: int, now: int) -> None:
        """A transaction begins."""
        self._message_pace.take(now)
        if self._tenants and tenant_id in self._tenants:
            self._tenants[tenant_id][0].take(now)

    def is_at_rest(self, now: int) -> bool:
        """Whether nothing is open and nothing is owed: it may be made anew when needed."""
        if self.lanes or self.connections:
            return False
        paces = (self._message_pace, self._connection_pace, *(p for p, _ in self._tenants.values()))
        rests = any(_is_ahead(until, now) for _, until in self._rests.values())
        return not (rests or any(pace.owes(now) for pace in paces))

    def _rests_until(self, site: Site, now: int) -> int:
        _, until = self._rests.get(site.hosts_key, (0, 0))
        return until if _is_ahead(until, now) else 0

    def _follow(self, now: int) -> None:
        """Take over what was configured or has been learned since."""
        rates = (self._throttles.rate(self.egress, self.zone), self.limits.connection_rate)
        if rates != self._rates:
            self._rates = rates
            self._message_pace.set_rate(rates[0], now, self._share.of_rates)
            self._connection_pace.set_rate(rates[1], now, self._share.of_rates)

    def _tenant_pace(self, tenant_id: int, now: int) -> Pace | None:
        """The pace of a tenant that is slower than the others; None when it is not."""
        rate = self._throttles.rate(self.egress, self.zone, tenant_id)
        if rate == self._rates[0]:
            self._tenants.pop(tenant_id, None)
            return None
        known = self._tenants.get(tenant_id)
        if known is None:
            known = self._tenants[tenant_id] = (Pace(rate, self._share.of_rates), rate)
        elif known[1] != rate:
            known[0].set_rate(rate, now, self._share.of_rates)
            self._tenants[tenant_id] = (known[0], rate)
        return known[0]


def _is_ahead(until: int, now: int) -> bool:
    """Whether a rest goes on; one that seems longer than the longest began before the clock went back."""
    return now < until <= now + LONGEST_REST
