"""Throttles: what answers have changed, for all egresses and zones of one process.

    heard()   an answer that shaping rules know: slows, suspends, or says how to treat the answer
    wait()    before every message: is anything suspended? A dictionary miss when nothing is
    step()    once a second: suspensions end, speed comes back; costs what is due, not what there is
    dirty()   what is to be stored; load() takes what others, or an earlier life of ours, stored

Promises: memory is bounded. Of two versions of a throttle the one changed later holds, so processes
that slow the same subject at once end with one state. Not thread-safe; nothing here waits or fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.shaping.agenda import Agenda
from mta.shaping.blame import BLAMED, subject_of
from mta.shaping.hits import Hits
from mta.shaping.model import ActionKind
from mta.shaping.moves import ceiling, lift, next_at, set_back, slow, slower, suspend, up
from mta.shaping.standing import KEPT, MAX_LIVE, Standing
from mta.shaping.throttle import ChangeKind, Fault, Subject, Throttle, clean, time_words
from mta.warmup.model import Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from mta.shaping.blame import Answer
    from mta.shaping.matching import ShapingBook
    from mta.shaping.model import Action, Limits, Rate, Rule, Zone
    from mta.shaping.throttle import Change

MAX_COUNTED: Final = 10_000
"""Subjects whose answers are counted for rules that want several."""

CLOCK_BACK: Final = clock.MINUTE
"""How far the clock may go back before times to come are moved; less is waited out."""


class Treat(StrEnum):
    """What an answer is taken for, whatever its code says."""

    DEFER = "defer"
    BOUNCE = "bounce"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What follows from an answer, beside what it changed for everybody."""

    treat: Treat | None = None
    wait: int = 0  # ms before the next attempt, at least, when it is deferred
    next_address: bool = False  # try again soon, from another egress
    plaintext: int = 0  # ms without STARTTLS with this host; 0 = as before
    changes: tuple[Change, ...] = ()


NOTHING: Final = Heard()


class Throttles:
    """The throttles of one process; `book` gives the file as it stands now."""

    def __init__(self, book: Callable[[], ShapingBook], *, max_live: int = MAX_LIVE) -> None:
        self._book = book
        self._standing = Standing(max_live)
        self._live, self._pairs = self._standing.live, self._standing.pairs  # read at every message
        self._agenda = Agenda()
        self._hits = Hits(MAX_COUNTED)
        self._looked_at = 0

    @property
    def in_force(self) -> int:
        """How many subjects are slowed or suspended."""
        return len(self._live)

    def live(self) -> list[Throttle]:
        """Everything that is in force, what moved last at the end."""
        return list(self._live.values())

    # -- answers -------------------------------------------------------------

    def heard(self, answer: Answer, now: int) -> Heard:
        """A receiver said something that rules know."""
        fired = list(self._fired(answer, now))
        if not fired:
            return NOTHING
        moved = (self._act(each, answer, now) for each in fired if each.action.kind in BLAMED)
        changes = tuple(change for change in moved if change is not None)
        return _heard([each.action for each in fired], changes)

    def _fired(self, answer: Answer, now: int) -> Iterator[_Fired]:
        """The actions of the rules that have heard enough, and whom they are about."""
        for rule in answer.rules:
            enough: dict[Subject, bool] = {}  # one answer counts once for each subject
            for action in rule.actions:
                subject = _counted_for(action.kind, answer)
                if subject is None:
                    continue
                if subject not in enough:
                    enough[subject] = self._hits.enough(rule, subject, now)
                if enough[subject]:
                    yield _Fired(rule, action, subject)

    def _act(self, fired: _Fired, answer: Answer, now: int) -> Change | None:
        fault = Fault(fired.rule.id, clean(answer.reply.line()), clean(answer.host), now)
        old = self._standing.get(fired.subject) or Throttle(subject=fired.subject, fault=fault)
        move = slow if fired.action.kind is ActionKind.SLOW else suspend
        new = move(old, fired.action, fault, answer.zone.provider.limits)
        if new is old:
            return None
        self._put(new)
        return new.history[-1] if new.history is not old.history else None

    # -- what holds ----------------------------------------------------------

    def wait(self, egress: str, zone: Zone, tenant_id: int, domain: str, now: int) -> Wait | None:
        """Until when nothing may go, and why; None when it may, at the pace of `rate`."""
        key = zone.key
        if (egress, key) not in self._pairs:
            return None
        until, longest = now, None
        for subject in (
            Subject(egress, key),
            Subject(egress, key, tenant_id),
            Subject(egress, key, 0, domain),
        ):
            found = self._live.get(subject)
            if found is not None and found.suspended_until > until:
                until, longest = found.suspended_until, found
        return None if longest is None else Wait(until=until, why=_why(longest, zone, now))

    def rate(self, egress: str, zone: Zone, tenant_id: int = 0) -> Rate | None:
        """Messages to the zone over all processes, of one tenant if named; None = no limit."""
        rate = zone.provider.limits.message_rate
        if (egress, zone.key) not in self._pairs:
            return rate
        for subject in (Subject(egress, zone.key), Subject(egress, zone.key, tenant_id)):
            if (found := self._live.get(subject)) is not None:
                rate = slower(rate, found.rate)
        return rate

    def connections(self, egress: str, zone: Zone) -> int:
        """Connections at once to the whole zone over all processes; 0 = no limit of its own."""
        limits = zone.provider.limits
        if (egress, zone.key) not in self._pairs:
            return limits.zone_connections
        found = self._live.get(Subject(egress, zone.key))
        if found is None or not found.connections:
            return limits.zone_connections
        return min(found.connections, ceiling(limits))

    def explain(self, egresses: Collection[str], zone: Zone, now: int) -> list[Throttle]:
        """What holds for the zone, and what has ended within a day; the latest change first."""
        fits = (
            each
            for each in self._standing
            if each.subject.zone == zone.key
            and each.subject.egress in egresses
            and (each.in_force or each.changed_at > now - KEPT)
        )
        return sorted(fits, key=lambda each: (not each.in_force, -each.changed_at))

    # -- time ----------------------------------------------------------------

    @property
    def next_change_at(self) -> int:
        """When `step` has something to do."""
        return self._agenda.next_at

    def step(self, now: int) -> list[Change]:
        """Let come back what is due."""
        self.follow_clock(now)
        changes = []
        for subject in self._agenda.due(now):
            found = self._live.get(subject)
            if found is None:
                continue
            if next_at(found) > now:  # a fault came since this was noted
                self._agenda.note(subject, next_at(found))
                continue
            moved = up(found, self._limits(subject.zone), now)
            self._put(moved)
            changes.append(moved.history[-1])
        self._standing.forget_past(now)
        return changes

    def follow_clock(self, now: int) -> None:
        """A clock that went back since it was last looked at takes what is in force along.

        Each process moves what it knows before it loads what others have moved: nothing moves twice.
        """
        back, self._looked_at = self._looked_at - now, now
        if back <= CLOCK_BACK:
            return
        self._hits = Hits(MAX_COUNTED)  # counted at times to come
        for each in self.live():
            self._put(set_back(each, back))

    def lift(self, subject: Subject, now: int, *, by: str, reason: str) -> Change | None:
        """A person ends a throttle; None when nothing is in force."""
        found = self._live.get(subject)
        if found is None:
            return None
        lifted = lift(found, now, by=by, reason=reason)
        self._put(lifted)
        self._hits.forget(subject)
        return lifted.history[-1]

    # -- store and other processes -------------------------------------------

    def dirty(self) -> list[Throttle]:
        """What is not stored; the same again until `saved`."""
        return self._standing.dirty()

    def saved(self, rows: Iterable[Throttle]) -> None:
        """These are stored; what has changed since is not."""
        self._standing.saved(rows)

    def load(self, rows: Iterable[Throttle], now: int) -> None:
        """Take what is stored, where it is newer."""
        for row in rows:
            mine = self._standing.get(row.subject)
            if mine is not None and mine.changed_at >= row.changed_at:
                continue
            if not row.in_force and row.changed_at <= now - KEPT:
                continue
            self._put(row, stored=True)
            if row.history and row.history[-1].kind is ChangeKind.LIFTED:
                self._hits.forget(row.subject)

    def _limits(self, zone_key: str) -> Limits:
        """A zone is named after its provider, or else is a site without one."""
        providers = self._book().providers
        return (providers.get(zone_key) or providers[""]).limits

    def _put(self, throttle: Throttle, *, stored: bool = False) -> None:
        self._standing.put(throttle, stored=stored)
        if throttle.in_force:
            self._agenda.note(throttle.subject, next_at(throttle))


@dataclass(frozen=True, slots=True)
class _Fired:
    """An action whose rule has heard enough, and whom it is about."""

    rule: Rule
    action: Action
    subject: Subject


def _counted_for(kind: ActionKind, answer: Answer) -> Subject | None:
    """Whose answers count. What is about this one message counts for everybody at the zone."""
    if kind in BLAMED:
        return subject_of(kind, answer)
    return Subject(answer.egress, answer.zone.key)


def _heard(actions: list[Action], changes: tuple[Change, ...]) -> Heard:
    """Of two rules that disagree about the answer the first in the file is right."""
    kinds = {
        ActionKind.DEFER: Treat.DEFER,
        ActionKind.NEXT_ADDRESS: Treat.DEFER,
        ActionKind.BOUNCE: Treat.BOUNCE,
    }
    treated = next((each for each in actions if each.kind in kinds), None)
    plain = (each.seconds for each in actions if each.kind is ActionKind.PLAINTEXT)
    return Heard(
        treat=None if treated is None else kinds[treated.kind],
        wait=0 if treated is None else round(treated.seconds * 1000),
        next_address=any(each.kind is ActionKind.NEXT_ADDRESS for each in actions),
        plaintext=round(max(plain, default=0.0) * 1000),
        changes=changes,
    )


def _why(throttle: Throttle, zone: Zone, now: int) -> str:
    subject = throttle.subject
    whom = f"egress {subject.egress}"
    if subject.tenant_id:
        whom = f"this tenant's mail from {whom}"
    elif subject.domain:
        whom = f"mail to {subject.domain} from {whom}"
    until = time_words(throttle.suspended_until, now)
    return f"{zone.title} suspended {whom} until {until}: {throttle.why}"
