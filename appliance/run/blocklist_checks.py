"""BlocklistChecks: looks the egress addresses up in DNS blocklists, and acts on what they say (MTA-17).

    step()           the worker's loop: a whole look when one is due, or the addresses have changed
    look(...)        a look at some addresses now; what it finds is acted on just the same

Listed: a warning in the log, a notice until it is over, and, if `blocklists.drain` and the list say so,
the egress drains, but never the last enabled one of the box or of a pool. Delisted, or not looked up any
more: the notice is over, and the egress is enabled again if it drains for this reason and no other list
still holds it. What a person set by hand is left alone.

Promises: an answer that DNS could not give, or a list refused, changes nothing; one address that
cannot be dealt with does not stop the others; a crash at any point is made good by the next look,
because the row of a listing opens before and closes after what depends on it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.blocklists import (
    Blocklists,
    ListState,
    Sighting,
    Survey,
    Verdict,
    file_of,
    load_lists,
    look_up,
)
from appliance.blocklists.rules import (
    WHY,
    is_drained_by_us,
    meaning,
    others_holding,
    targets_of,
    why_not_drain,
)
from appliance.core import clock, tasks
from appliance.core.dns import Resolver
from appliance.core.errors import ConfigError, UsageError
from appliance.core.scope import Scope
from appliance.notices import Finding, Notices, Severity
from mta.egress import EgressState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.blocklists import (
        Answer,
        Blocklist,
        Listing,
        Lookup,
        Probe,
        Target,
    )
    from appliance.core.home import Home
    from appliance.core.settings import Blocklists as Options
    from appliance.core.settings import Settings
    from appliance.run.egress_drainer import Drainer
    from mta.egress import EgressPlan

LISTED: Final = "blocklist"
UNUSABLE: Final = "blocklist-unusable"
FILE_WRONG: Final = "blocklist-file"
"""Kinds of notices."""

_SYSTEM: Final = Scope.system(by="worker")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a look works with."""

    store: Blocklists
    notices: Notices
    drainer: Drainer
    lists: Callable[[], tuple[Blocklist, ...]]  # reads the file anew: no restart after a change
    lookup: Callable[[], Lookup]  # a fresh one remembers nothing from before


class BlocklistChecks:
    """The hourly look."""

    def __init__(
        self,
        options: Options,
        parts: Parts,
        now: Callable[[], int] = clock.now_ms,
        *,
        private_too: bool = False,
    ) -> None:
        """`private_too` looks up addresses that no list can know: for tests."""
        self._options, self._parts, self._now = options, parts, now
        self._store, self._notices, self._drainer = parts.store, parts.notices, parts.drainer
        self._private_too = private_too
        self._looked_at: tuple[Target, ...] | None = None

    async def step(self) -> bool:
        """Look if it is time; never more to do at once."""
        if not self._options.enabled:
            await self._drop_all_but((), ())
            return False
        targets = targets_of(await self._drainer.plan(), private_too=self._private_too)
        if not await self._is_due(targets):
            return False
        await self._look_at_all(targets)
        return False

    async def at_once(self) -> Survey:
        """The whole look, because somebody asks. Raises UsageError where there is none."""
        if not self._options.enabled:
            raise UsageError("no blocklist is asked: blocklists.enabled is off")
        found = await self._look_at_all(
            targets_of(await self._drainer.plan(), private_too=self._private_too)
        )
        if found is None:
            raise UsageError(
                "blocklists.toml is wrong: `pillarbox blocklist check-config` says how"
            )
        return found

    async def _look_at_all(self, targets: tuple[Target, ...]) -> Survey | None:
        """None while the file of lists has a mistake."""
        lists = await self._lists()
        if lists is None:
            return None
        self._looked_at = targets
        found = Survey(probes={}, answers=())
        if targets:
            found = await self.look(lists, targets)
            await self._note_probes(lists, found)
        await self._drop_all_but(targets, [entry.zone for entry in lists])
        return found

    async def look(
        self,
        lists: Sequence[Blocklist],
        targets: Sequence[Target],
        on_answer: Callable[[Answer], None] = lambda _: None,
    ) -> Survey:
        """Look these addresses up now, and act on it."""
        found = await look_up(lists, targets, self._parts.lookup(), on_answer=on_answer)
        entries = {entry.zone: entry for entry in lists}
        for answer in found.answers:
            if answer.verdict is Verdict.LISTED:
                work = self._listed(entries[answer.zone], answer)
                await tasks.guard(work, name=f"listing of {answer.target.address}")
        clear = {
            (answer.target.egress, answer.target.address, answer.zone)
            for answer in found.answers
            if answer.verdict is Verdict.CLEAR
        }
        await self._let_go(lambda one: one.key not in clear)
        return found

    async def _is_due(self, targets: tuple[Target, ...]) -> bool:
        """Kept in the store, so that a worker that restarts often does not bother the lists."""
        if self._looked_at is not None and self._looked_at != targets:
            return True
        checks = await self._store.checks(_SYSTEM)
        last = max((check.checked_at for check in checks.values()), default=0)
        return last + int(self._options.every * clock.SECOND) <= self._now()

    async def _lists(self) -> tuple[Blocklist, ...] | None:
        """The lists of the file; None, and a notice, when it has a mistake: nothing changes then."""
        try:
            return self._parts.lists()
        except ConfigError as error:
            finding = Finding(
                kind=FILE_WRONG,
                subject="blocklists.toml",
                text=f"no blocklist is asked, because the file of lists is wrong: {error}",
                next_step="mend it, then run `pillarbox blocklist check-config`",
            )
            if (await self._notices.raise_(_SYSTEM, finding)).count == 1:
                _log.error("%s", finding.text)
            return None

    async def _drop_all_but(self, targets: Iterable[Target], zones: Collection[str]) -> None:
        """Nothing stands of addresses and lists that nobody looks at any more."""
        known = {(one.egress, one.address) for one in targets}
        await self._let_go(lambda one: one.key[:2] in known and one.zone in zones)
        for kind in (UNUSABLE, FILE_WRONG):
            for notice in await self._notices.list(_SYSTEM, kind=kind):
                if notice.subject not in zones:
                    await self._notices.resolve(_SYSTEM, kind, notice.subject)

    # -- listed ----------------------------------------------------------------

    async def _listed(self, entry: Blocklist, answer: Answer) -> None:
        seen = Sighting(
            target=answer.target, zone=answer.zone, codes=answer.codes, text=answer.text
        )
        listing = await self._store.note_listed(_SYSTEM, seen)
        what = f"{answer.target.address} is listed on {entry.name}: {_what(entry, listing)}"
        if listing.is_new:
            _log.warning("egress %s: %s", listing.egress, what)
        finding = Finding(
            kind=LISTED,
            subject=subject_of(listing),
            text=f"{what}. {await self._hold(entry, listing)}",
            next_step=f"see {entry.page_for(listing.address)} . {' '.join(entry.runbook)}",
            severity=Severity.CRITICAL if entry.drain else Severity.WARNING,
        )
        await self._notices.raise_(_SYSTEM, finding)

    async def _hold(self, entry: Blocklist, listing: Listing) -> str:
        """Drain the egress if that is wanted and may be; returns what became of it, in words."""
        plan = await self._drainer.plan()
        found = plan.entries.get(listing.egress)
        if found is None:
            return "Mail leaves from it."
        name = f"Egress {listing.egress}"
        wanted = self._options.drain and entry.drain and not listing.drained
        if wanted and found.state is EgressState.ENABLED:
            return await self._drain(entry, listing, plan)
        if wanted and is_drained_by_us(found):
            await self._store.note_drained(_SYSTEM, listing.id)
        if found.state is EgressState.ENABLED:
            return f"{name} is enabled: mail goes on leaving from it."
        return f"{name} is {found.state}: {found.why}."

    async def _drain(self, entry: Blocklist, listing: Listing, plan: EgressPlan) -> str:
        """Drained first, noted then: a crash in between leaves a reason that the next look knows."""
        hindrance = why_not_drain(plan, listing.egress)
        if hindrance:
            return f"Egress {listing.egress} is not drained, because {hindrance}."
        why = WHY + entry.zone
        if not await self._drainer.drain(listing.egress, why, why_prefix=WHY):
            return (
                f"Egress {listing.egress} was changed by somebody at this moment, and not drained."
            )
        await self._store.note_drained(_SYSTEM, listing.id)
        _log.warning("egress %s drains: mail leaves from the others", listing.egress)
        return f"Egress {listing.egress} drains until it is delisted."

    # -- delisted --------------------------------------------------------------

    async def _let_go(self, stays: Callable[[Listing], bool]) -> None:
        """Close every open listing that does not stay."""
        for listing in await self._store.listings(_SYSTEM):
            if not stays(listing):
                work = self._delisted(listing)
                await tasks.guard(work, name=f"delisting of {listing.address}")

    async def _delisted(self, listing: Listing) -> None:
        """The row closes last: until then the next look does the rest again."""
        if listing.drained:
            await self._release(listing)
        await self._notices.resolve(_SYSTEM, LISTED, subject_of(listing))
        if await self._store.close(_SYSTEM, listing.id):
            _log.info(
                "egress %s: %s is not listed on %s any more",
                listing.egress,
                listing.address,
                listing.zone,
            )

    async def _release(self, listing: Listing) -> None:
        others = others_holding(await self._store.listings(_SYSTEM), listing)
        if not others:
            if await self._drainer.enable_if_drained_by(listing.egress, WHY):
                _log.info("egress %s is enabled: no blocklist holds it now", listing.egress)
            return
        plan = await self._drainer.plan()
        if is_drained_by_us(plan.entries.get(listing.egress)):
            why = WHY + others[0].zone
            await self._drainer.drain(listing.egress, why, why_prefix=WHY)

    # -- lists -----------------------------------------------------------------

    async def _note_probes(self, lists: Iterable[Blocklist], found: Survey) -> None:
        for entry in lists:
            await self._tell_of(entry, found.probes[entry.zone])
        await self._store.note_probes(_SYSTEM, found.probes)

    async def _tell_of(self, entry: Blocklist, probe: Probe) -> None:
        """A check that silently does not work is worse than none. DNS trouble passes by itself."""
        match probe.state:
            case ListState.USABLE:
                await self._notices.resolve(_SYSTEM, UNUSABLE, entry.zone)
            case ListState.UNREACHABLE:
                _log.info("blocklist %s could not be asked: %s", entry.name, probe.why)
            case ListState.UNUSABLE:
                finding = Finding(
                    kind=UNUSABLE,
                    subject=entry.zone,
                    text=f"the blocklist {entry.name} is not used: {probe.why}",
                    next_step="ask through a resolver of your own, not a public one; where the list"
                    f" wants to know who asks, register there ({entry.lookup}); or take it out"
                    " in a blocklists.toml of your own",
                    severity=Severity.INFO,
                )
                await self._notices.raise_(_SYSTEM, finding)


def box_checks(
    settings: Settings, home: Home, engine: AsyncEngine, drainer: Drainer
) -> BlocklistChecks:
    """The look of a box, as its configuration says."""
    parts = Parts(
        store=Blocklists(engine),
        notices=Notices(engine),
        drainer=drainer,
        lists=lambda: load_lists(file_of(settings.blocklists, home)),
        lookup=lambda: Resolver(settings.dns),
    )
    return BlocklistChecks(settings.blocklists, parts)


def subject_of(listing: Listing) -> str:
    """What its notice is about."""
    return f"egress {listing.egress}: {listing.address} on {listing.zone}"


def _what(entry: Blocklist, listing: Listing) -> str:
    words = meaning(entry, listing.codes)
    return f"{words} ({listing.text})" if listing.text else words
