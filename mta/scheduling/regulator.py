"""Regulator: what holds for the receivers of a process, whatever shard the mail is in.

Which zone a site belongs to, the connections and pace of each (egress, zone), what answers change, and
which sites do not answer. One per process, shared by its shards; knows no store and no network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mta.outcome.classify import classify
from mta.scheduling.flow import Flow
from mta.scheduling.share import Share
from mta.scheduling.unreachable import Unreachable
from mta.shaping.blame import Answer
from mta.shaping.model import Limits, Provider, TlsNeed, Zone
from mta.shaping.throttles import Heard, Throttles
from mta.transport.route import INBOUND_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.message import Attempt, Message, Recipient, RecipientResult
    from mta.scheduling.lane import Lane
    from mta.shaping.matching import ShapingBook
    from mta.shaping.throttle import Change
    from mta.transport.base import Site
    from mta.warmup.ledger import Ledger

ZONES_KEPT: Final = 100_000
OWN: Final = Provider(
    name="",
    title="",
    suffixes=(),
    limits=Limits(
        connections=20,
        zone_connections=0,
        messages_per_connection=1000,
        connection_rate=None,
        message_rate=None,
        recipients_per_message=100,
        tls=TlsNeed.OPPORTUNISTIC,
    ),
)
"""The smarthost and the box's own inbound listener: somebody chose them, no receiver's rules hold."""


@dataclass(slots=True, kw_only=True)
class Regulator:
    """Everything that slows mail down, in one place."""

    book: Callable[[], ShapingBook]
    throttles: Throttles
    ledger: Ledger
    unreachable: Unreachable = field(default_factory=Unreachable)
    share: Share = field(default_factory=Share)
    chosen: Provider = OWN  # for the next hops that somebody chose
    on_change: Callable[[Change], None] = lambda _: None  # a throttle moved
    on_plaintext: Callable[[str, int], None] = lambda _host, _ms: None
    _zones: dict[str, Zone] = field(default_factory=dict)
    _flows: dict[tuple[str, str], Flow] = field(default_factory=dict)
    _of_book: ShapingBook | None = None

    def zone_of(self, site: Site) -> Zone:
        """What limits and throttles apply to."""
        book = self.book()
        if book is not self._of_book:
            self._new_book(book)
        zone = self._zones.get(site.key)
        if zone is None:
            if len(self._zones) >= ZONES_KEPT:
                self._zones.clear()
            zone = self._zones[site.key] = self._zone(site, book)
        return zone

    def _zone(self, site: Site, book: ShapingBook) -> Zone:
        if site.is_smarthost or site.key == INBOUND_KEY:
            return Zone(site.key, self.chosen)
        return book.zone_of(site.hosts_key, (host.name for host in site.hosts))

    def _new_book(self, book: ShapingBook) -> None:
        """Rules were loaded anew: flows that stand take over the limits of their provider."""
        self._of_book = book
        self._zones.clear()
        for flow in self._flows.values():
            name = flow.zone.provider.name
            if flow.zone.provider is not self.chosen and name in book.providers:
                flow.zone = Zone(flow.zone.key, book.providers[name])

    def flow(self, egress: str, zone: Zone) -> Flow:
        """The connections and pace of an egress at a zone."""
        place = (egress, zone.key)
        flow = self._flows.get(place)
        if flow is None:
            flow = self._flows[place] = Flow(egress, zone, self.throttles, self.share)
        return flow

    def connections_of(self, egress: str, zone: Zone) -> int:
        """Connections that are open from an egress to a zone, of this process."""
        flow = self._flows.get((egress, zone.key))
        return flow.connections if flow is not None else 0

    def flows(self) -> list[Flow]:
        """Those that have lanes."""
        return list(self._flows.values())

    def forget(self, flow: Flow, now: int) -> None:
        """Its last lane is gone. What it still owes at a slow rate is remembered."""
        if not flow.lanes and flow.is_at_rest(now):
            self._flows.pop((flow.egress, flow.zone.key), None)

    def tidy(self, now: int) -> None:
        """Forget flows without lanes that owe nothing any more."""
        for flow in self.flows():
            self.forget(flow, now)

    def knows(self, zone: Zone, attempt: Attempt) -> bool:
        """Whether a rule of the provider is written for what it said when it ended the session.

        General rules are not asked: "too many messages in this connection" is no refusal, and who means
        one says it on a new connection too.
        """
        book, provider = self.book(), zone.provider.name
        return any(
            rule.provider
            for result in attempt.results
            if result.reply.code == 421
            for rule in book.find(result.reply, phase=result.phase, provider=provider)
        )

    def heard(
        self, lane: Lane, message: Message, recipients: list[Recipient], attempt: Attempt, now: int
    ) -> dict[int, Heard]:
        """What follows from the answers of an attempt, by recipient; only where something does."""
        found: dict[int, Heard] = {}
        told: dict[tuple[str, str], Heard] = {}  # an answer shared by many is one answer
        domains = {recipient.n: recipient.domain for recipient in recipients}
        for result in attempt.results:
            if result.reply.is_success:
                continue
            domain = domains[result.n]
            same = (result.reply.line(), domain)
            heard = told.get(same)
            if heard is None:
                heard = told[same] = self._hear(lane, message, domain, result, attempt, now)
            found[result.n] = heard
        return found

    def _hear(
        self,
        lane: Lane,
        message: Message,
        domain: str,
        result: RecipientResult,
        attempt: Attempt,
        now: int,
    ) -> Heard:
        zone, reply = lane.zone, result.reply
        rules = self.book().find(reply, phase=result.phase, provider=zone.provider.name)
        if not rules:
            return Heard()
        heard = self.throttles.heard(
            Answer(
                egress=lane.egress.name,
                zone=zone,
                tenant_id=message.tenant_id,
                domain=domain,
                host=attempt.host,
                reply=reply,
                scope=classify(reply, phase=result.phase, provider=attempt.host).scope,
                rules=rules,
            ),
            now,
        )
        for change in heard.changes:
            self.on_change(change)
        if heard.plaintext:
            self.on_plaintext(attempt.host, heard.plaintext)
        return heard
