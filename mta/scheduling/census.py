"""Census: what waits, counted by domain, site, provider, egress or tenant, and why.

Counts slice by slice (mta/spool/questions.py), so that mail is committed in between: a million
recipients take some seconds, and delay nobody by more than one slice. Who asks does not wait so long:
where counting takes more than a second, the answer is the last count, which says when it was made.
Site and provider are as the dispatcher last knew them; a domain that it never looked up has none.
What it waits for (why.py) is told of the oldest recipient of a group, and of the LOOKED_AT fullest only.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from appliance.core import clock, ids, tasks
from appliance.core.errors import StoreError, UsageError
from mta.scheduling.blocked import CLOSED, PAUSED
from mta.scheduling.reasons import by_reason, reasons_of
from mta.scheduling.why import Why, why_of, words_of
from mta.spool.questions import Kind
from mta.status import Status
from mta.warmup.model import OTHER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mta.directory import Directory
    from mta.message import Recipient
    from mta.scheduling.blocked import Blocked
    from mta.scheduling.dispatcher import Dispatcher
    from mta.scheduling.reasons import Reason
    from mta.spool.batch import Batch
    from mta.spool.questions import Tally
    from mta.spool.shard import Shard
    from mta.spool.store import SpoolStore

MOST_ROWS: Final = 500
LOOKED_AT: Final = 2_000
"""Destinations whose oldest recipient is read, to tell what it waits for: about 0.1 s of reading."""

SOON: Final = clock.HOUR
"""Counted apart: what is tried again within it."""

_BEFORE_ALL: Final = ("", "", "", -1, -1, -1)
"""Behind a tenant's id: before all its mail, in the order of the index of what waits."""

_SAMPLES: Final = 50
"""Rows whose words are read at once."""

PATIENCE: Final = 1.0
"""Seconds that somebody who asks once may wait."""

FRESH_SECONDS: Final = 5.0
_REST: Final = 20
"""A live view is counted anew after 20 times as long as counting takes: at most 5 % of the work."""

LOOK_UP_SECONDS: Final = 120.0
"""For the receivers of all domains that were never looked up; after a restart these may be many."""

WARM_SECONDS: Final = 60.0
_WARM_REST: Final = 100
"""With nobody looking it is counted anew after 100 times as long: the next to ask gets an answer at once."""

log = logging.getLogger(__name__)


class By(StrEnum):
    """How what waits may be grouped."""

    DOMAIN = "domain"
    SITE = "site"
    PROVIDER = "provider"
    EGRESS = "egress"  # from which it was tried last; "" = not tried yet
    TENANT = "tenant"
    REASON = "reason"  # the kind of thing that it waits for (mta/scheduling/reasons.py)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What waits alike."""

    name: str
    provider: str  # of its oldest recipient; "" when that is not known
    status: str
    count: int
    oldest: int  # accepted at, in ms
    next_due: int
    reason: str  # why its oldest recipient waits
    kind: Why  # the same, as a word
    words: str  # what was said at its last attempt; "" before the first
    egress: str  # from which that was made; "" before the first
    until: int  # until when it is kept back although it is due; 0: it is not, or nobody knows
    due_soon: int  # tried again within SOON, as far as anybody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A queue in numbers; `groups` are the fullest."""

    at: int
    counts: dict[str, int] = field(default_factory=dict)  # recipients by state
    oldest: int = 0  # accepted at, in ms; 0 = nothing waits
    oldest_waiting: int = 0  # the same, without what is held
    total: int = 0  # groups that there are
    groups: tuple[Group, ...] = ()
    reasons: tuple[Reason, ...] = ()  # by domain and by reason alone
    due_soon: int = 0  # recipients that are tried again within SOON


_Heap = tuple[int, int, int, str, int]
"""A group while it is counted: number, next due, oldest message, domain (or egress) of that one, due soon."""

_Heaps = dict[tuple[str, str], _Heap]
"""By name and state."""


@dataclass(slots=True)
class _Kept:
    """A count, and what it took, in seconds of a clock that never steps."""

    summary: Summary
    at: float = 0.0
    took: float = 0.0
    counting: asyncio.Task[None] | None = None  # the next one


class Census:
    """Counts one shard."""

    def __init__(
        self, shard: Shard, dispatcher: Dispatcher, directory: Callable[[], Directory]
    ) -> None:
        self._shard, self._dispatcher, self._directory = shard, dispatcher, directory
        self._kept: dict[By, _Kept] = {}

    async def summary(self, by: By = By.DOMAIN, limit: int = MOST_ROWS) -> Summary:
        """Count now."""
        return _cut(await self._whole(_counted_by(by)), by, limit)

    async def _whole(self, by: By) -> Summary:
        heaps: _Heaps = {}
        name_of = self._namer(by)
        async for tallies in self._slices(by):
            _add(heaps, tallies, name_of)
        return await self._summary(heaps, by)

    async def _summary(self, heaps: _Heaps, by: By) -> Summary:
        # In a thread, because choosing among a hundred thousand takes a while.
        most = LOOKED_AT if by is By.DOMAIN else MOST_ROWS
        order = await asyncio.to_thread(_fullest, heaps, most)
        counts, oldest, waiting, soon = await asyncio.to_thread(_sums, heaps)
        groups = await self._groups(order, by)
        kept_back = sum(heap[4] for _, heap in order) - sum(group.due_soon for group in groups)
        found = Summary(
            at=clock.now_ms(),
            counts=counts,
            oldest=ids.time_of(oldest) if oldest else 0,
            oldest_waiting=ids.time_of(waiting) if waiting else 0,
            total=len(heaps),
            groups=tuple(groups),
            due_soon=soon - kept_back,
        )
        if by is not By.DOMAIN:
            return found
        reasons = await asyncio.to_thread(reasons_of, groups, sum(counts.values()), heaps.keys())
        return replace(found, reasons=tuple(reasons))

    async def of_tenant(
        self, tenant_id: int, by: By, limit: int, kind: Why | None = None
    ) -> Summary:
        """Count one tenant's mail now; it costs what that tenant has, not what the queue has."""
        if by is By.EGRESS:
            raise UsageError(
                "one tenant's mail is not counted by egress: count by domain, site or provider",
                field="by",
            )
        heaps: _Heaps = {}
        counted = _counted_by(by)
        name_of, soon = self._namer(counted), clock.now_ms() + SOON
        for index in (Kind.WAITING, Kind.HELD):
            after: Any = (tenant_id, *_BEFORE_ALL)
            while after is not None and after[0] <= tenant_id:
                tallies, after = await self._shard.call(partial(_tally, index, soon, after))
                _add(heaps, [one for one in tallies if one[0] == tenant_id], name_of)
        return _cut(await self._summary(heaps, counted), by, limit, kind)

    async def recent(self, by: By, limit: int, kind: Why | None = None) -> Summary:
        """For a person: counted now if that takes no longer than PATIENCE, else the last count.

        `kind`: only the groups whose oldest recipient waits for it.
        """
        return _cut(await self._kept_or_new(_counted_by(by), 0.0), by, limit, kind)

    async def latest(self, limit: int) -> Summary:
        """By domain, for who looks again and again: it may be some seconds old."""
        return _cut(await self._kept_or_new(By.DOMAIN, FRESH_SECONDS), By.DOMAIN, limit)

    async def _kept_or_new(self, by: By, fresh: float) -> Summary:
        kept = self._kept.get(by)
        if kept is None or not kept.summary.at:
            kept = await self._count(by)
        elif clock.monotonic() >= kept.at + (fresh and max(fresh, _REST * kept.took)):
            if kept.took < PATIENCE:
                kept = await self._count(by)
            else:
                self._begin(by, kept)
        return kept.summary

    def keep_warm(self) -> None:
        """Begin a count by domain when the last one is old even for who never looked."""
        kept = self._kept.setdefault(By.DOMAIN, _Kept(Summary(at=0)))
        if clock.monotonic() >= kept.at + max(WARM_SECONDS, _WARM_REST * kept.took):
            self._begin(By.DOMAIN, kept)

    async def domains(self, *, site: str, provider: str) -> frozenset[str]:
        """Domains of a site or provider for which mail waits.

        Those that were never looked up are, now: nothing that is meant is left out. Raises StoreError
        when that takes too long; what was found by then is known to who asks again.
        """
        found: set[str] = set()
        sites = self._dispatcher.sites
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                async for tallies in self._slices(By.DOMAIN):
                    names = {tally[1] for tally in tallies}
                    new = [name for name in names if sites.last_known(name) is None]
                    await asyncio.gather(*map(sites.find, new))
                    found.update(name for name in names if self._is_at(name, site, provider))
        except TimeoutError as error:
            raise StoreError(
                "the receivers of so many domains could not be looked up at once: ask again, or by domain"
            ) from error
        return frozenset(found)

    def provider_of(self, domain: str) -> str:
        """The provider of a domain, OTHER for one without a name; "" where its site was never known."""
        site = self._dispatcher.sites.last_known(domain)
        if site is None:
            return ""
        return self._dispatcher.zone_of(site).provider.name or OTHER

    def why(self, recipient: Recipient) -> str:
        """Why a recipient waits: what keeps it back this moment, else the remote's last words."""
        blocked = self._kept_back(recipient, clock.now_ms())
        return recipient.reason if blocked is None else blocked.why

    def kind(self, recipient: Recipient) -> Why:
        """What a recipient waits for, as a word."""
        now = clock.now_ms()
        return why_of(recipient, self._kept_back(recipient, now), now)

    # -- counting ------------------------------------------------------------

    async def _count(self, by: By) -> _Kept:
        started = clock.monotonic()
        found = await self._whole(by)
        ended = clock.monotonic()
        kept = self._kept[by] = _Kept(found, ended, ended - started)
        return kept

    def _begin(self, by: By, kept: _Kept) -> None:
        """Count, unless that is being done."""
        if kept.counting is None or kept.counting.done():
            kept.counting = tasks.spawn(self._count_again(by), name="census")

    async def _count_again(self, by: By) -> None:
        try:
            await self._count(by)
        except StoreError as error:  # who asks next tries again
            log.warning("the queue could not be counted: %s", error)

    async def _slices(self, by: By) -> AsyncIterator[list[Tally]]:
        soon = clock.now_ms() + SOON
        for kind in (Kind.EGRESS,) if by is By.EGRESS else (Kind.WAITING, Kind.HELD):
            after = None
            while True:
                tallies, after = await self._shard.call(partial(_tally, kind, soon, after))
                yield tallies
                if after is None:
                    break

    def _namer(self, by: By) -> Callable[[Tally], str]:
        match by:
            case By.DOMAIN | By.EGRESS | By.REASON:
                return lambda tally: tally[1]
            case By.PROVIDER:
                return lambda tally: self.provider_of(tally[1])
            case By.SITE:
                return lambda tally: self._site_of(tally[1])
            case By.TENANT:
                names = {number: one.name for number, one in self._directory().tenants.items()}
                return lambda tally: names.get(tally[0], str(tally[0]))

    def _site_of(self, domain: str) -> str:
        site = self._dispatcher.sites.last_known(domain)
        return site.name if site is not None else ""

    def _is_at(self, domain: str, site: str, provider: str) -> bool:
        if site and self._site_of(domain) != site:
            return False
        return not provider or self.provider_of(domain) == provider

    # -- words ---------------------------------------------------------------

    async def _groups(self, order: list[tuple[tuple[str, str], _Heap]], by: By) -> list[Group]:
        found: list[Group] = []
        for start in range(0, len(order), _SAMPLES):
            page = order[start : start + _SAMPLES]
            samples = await self._samples(page, by)
            now = clock.now_ms()
            found += [
                self._group(*place, heap, sample, now)
                for (place, heap), sample in zip(page, samples, strict=True)
            ]
        return found

    async def _samples(
        self, page: list[tuple[tuple[str, str], _Heap]], by: By
    ) -> list[Recipient | None]:
        kind = Kind.EGRESS if by is By.EGRESS else Kind.WAITING
        oldest = [(0, heap[3], status, *heap[:3], 0) for (_, status), heap in page]
        return await self._shard.call(lambda store, _: store.questions.samples(oldest, kind))

    def _group(
        self, name: str, status: str, heap: _Heap, sample: Recipient | None, now: int
    ) -> Group:
        blocked = self._kept_back(sample, now) if sample else None
        return Group(
            name=name,
            provider=self.provider_of(sample.domain) if sample else "",
            status=status,
            count=heap[0],
            oldest=ids.time_of(heap[2]),
            next_due=heap[1],
            reason=blocked.why if blocked else sample.reason if sample else "",
            kind=why_of(sample, blocked, now) if sample else Why.LEAVING,
            words=words_of(sample) if sample else "",
            egress=sample.last_egress if sample else "",
            until=blocked.until if blocked else 0,
            due_soon=0 if blocked and _lasts(blocked, now + SOON) else heap[4],
        )

    def _kept_back(self, recipient: Recipient, now: int) -> Blocked | None:
        waits = recipient.status.is_waiting
        return self._dispatcher.kept_back(recipient, now) if waits else None


def _lasts(blocked: Blocked, soon: int) -> bool:
    """Whether it keeps mail back until `soon`, as far as anybody knows."""
    if blocked.until:
        return blocked.until > soon
    return blocked.place[0] in (CLOSED, PAUSED)


def _counted_by(by: By) -> By:
    """Reasons are those of destinations."""
    return By.DOMAIN if by is By.REASON else by


def _cut(summary: Summary, by: By, limit: int, kind: Why | None = None) -> Summary:
    """What was counted, as it was asked for."""
    groups, total = summary.groups, summary.total
    if kind is not None:
        groups = tuple(group for group in groups if group.kind is kind)
        total = len(groups)
    if by is By.REASON:
        groups = by_reason(groups)
        total = len(groups)
    return replace(summary, groups=groups[: min(limit, MOST_ROWS)], total=total)


def _tally(
    kind: Kind, soon: int, after: Any, store: SpoolStore, _: Batch
) -> tuple[list[Tally], Any]:
    return store.questions.tally(kind, after, soon)


def _add(heaps: _Heaps, tallies: list[Tally], name_of: Callable[[Tally], str]) -> None:
    for tally in tallies:
        place = name_of(tally), tally[2]
        number, due, oldest, at = tally[3], tally[4], tally[5], tally[1]
        soon = 0 if tally[2] == Status.HELD else tally[6]
        heap = heaps.get(place)
        if heap is not None:
            number, due, soon = number + heap[0], min(due, heap[1]), soon + heap[4]
            if heap[2] < oldest:
                oldest, at = heap[2], heap[3]
        heaps[place] = (number, due, oldest, at, soon)


def _fullest(heaps: _Heaps, limit: int) -> list[tuple[tuple[str, str], _Heap]]:
    return heapq.nsmallest(limit, heaps.items(), key=lambda one: (-one[1][0], one[0]))


def _sums(heaps: _Heaps) -> tuple[dict[str, int], int, int, int]:
    """Recipients by state; the oldest message, and the oldest that is not held (0: none); due soon."""
    counts: Counter[str] = Counter()
    for (_, status), heap in heaps.items():
        counts[status] += heap[0]
    oldest = min((heap[2] for heap in heaps.values()), default=0)
    free = (heap[2] for (_, status), heap in heaps.items() if status != Status.HELD)
    soon = sum(heap[4] for heap in heaps.values())
    return dict(counts), oldest, min(free, default=0), soon
