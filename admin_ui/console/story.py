"""Story: a message as its page tells it: how it stands, what happened, what comes next, each try's steps. Pure.

    told = story_of(past, waiting)      past: the log's (a second behind); waiting: the queue's, or None

The queue's owner knows how what waits stands this moment, the log knows the rest; an event that both have is
told once. Of a message to very many the first are told; `is_cut` says so.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from admin_ui.console.mail import State, state_of
from appliance.core import ids
from mta.scheduling.why import SENTENCES, TITLES, Why
from mta.status import EventKind, Status, TrafficClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from appliance.history import Flag, Found, MessageHistory

MOST_SHOWN: Final = 200
Row = dict[str, Any]
_OPEN: Final = frozenset({Status.QUEUED, Status.DEFERRED, Status.HELD, Status.SENDING})
_FAILED: Final = frozenset({Status.BOUNCED, Status.EXPIRED, Status.CORRUPT})
_WORDS: Final = {
    Status.DELIVERED: "delivered",
    Status.HELD: "held",
    Status.QUEUED: "waiting",
    Status.DEFERRED: "waiting",
    Status.SENDING: "being sent",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """An event. n -1: to every recipient."""

    n: int
    kind: EventKind
    at: int
    data: Row
    id: str = ""

    @property
    def raw(self) -> str:
        """Its data as JSON."""
        return json.dumps(self.data, indent=2, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A recipient, as it stands."""

    n: int
    address: str
    status: Status
    state: State
    attempts: int
    provider: str = ""
    next: int = 0
    kind: str = ""  # what it waits for (mta.scheduling.why)
    reason: str = ""
    egress: str = ""
    pool: str = ""
    expires: int = 0
    has_failed: bool = False

    @property
    def is_open(self) -> bool:
        """Whether something may still be done about it."""
        return self.status in _OPEN

    @property
    def waits_for(self) -> str:
        """The kind of waiting in a sentence."""
        return f"{TITLES[Why(self.kind)]}: {SENTENCES[Why(self.kind)]}" if self.kind else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A message, told."""

    id: str
    number: int
    tenant_id: int
    credential_id: int
    source: str
    client: str
    sender: str
    header_from: str
    message_id_header: str
    subject: str
    tags: tuple[str, ...]
    metadata: str
    traffic_class: TrafficClass
    size: int
    accepted_at: int
    signing_domain: str
    selectors: tuple[str, ...]
    people: tuple[Person, ...]
    events: tuple[Happened, ...]
    is_cut: bool = False

    @property
    def open(self) -> tuple[Person, ...]:
        """Whom it still waits for."""
        return tuple(one for one in self.people if one.is_open)

    @property
    def closed(self) -> tuple[Person, ...]:
        """For whom it is over."""
        return tuple(one for one in self.people if not one.is_open)

    @property
    def held(self) -> tuple[Person, ...]:
        """For whom it is held."""
        return tuple(one for one in self.people if one.status is Status.HELD)

    @property
    def state(self) -> State:
        """In a badge: "Waiting for 1 of 3"."""
        if len(self.people) == 1:
            return self.people[0].state
        whole, open_ = len(self.people), len(self.open)
        failed = sum(one.has_failed for one in self.people)
        if open_:
            is_held = len(self.held) == open_
            return (
                (f"Held for {open_} of {whole}", "look", "circle-pause")
                if is_held
                else (f"Waiting for {open_} of {whole}", "way", "clock")
            )
        if failed:
            return f"Failed for {failed} of {whole}", "bad", "x"
        done = sum(one.status is Status.DELIVERED for one in self.people)
        return f"Delivered to {done} of {whole}", "good" if done else "off", "check"

    @property
    def counted(self) -> str:
        """How its recipients stand: 1 delivered, 1 bounced, 1 waiting."""
        found = Counter(_WORDS.get(one.status, one.status.value) for one in self.people)
        return ", ".join(f"{count} {word}" for word, count in found.items())


def story_of(past: MessageHistory | None, waiting: Mapping[str, Any] | None) -> Story:
    """From what is known. One of the two must be."""
    if past is None:
        assert waiting is not None
        return _of_queue(waiting)
    events = [
        Happened(n=one.n, kind=one.kind, at=one.at, data=one.data, id=one.id) for one in past.events
    ]
    fresh = _events(waiting, past.message_id) if waiting else []
    live = {row["n"]: row for row in waiting["recipients"]} if waiting else {}
    providers, planned = _providers(events), _planned(events)
    return Story(
        id=ids.to_text(past.message_id),
        number=past.message_id,
        tenant_id=past.tenant_id,
        credential_id=past.credential_id,
        source=past.source,
        client=past.client,
        sender=past.sender,
        header_from=past.header_from,
        message_id_header=past.message_id_header,
        subject=past.subject,
        tags=past.tags,
        metadata=past.metadata,
        traffic_class=past.traffic_class,
        size=past.size,
        accepted_at=past.accepted_at,
        signing_domain=past.signing_domain,
        selectors=past.selectors,
        people=tuple(
            _person(one, live.get(one.n), providers.get(one.n, ""), planned.get(one.n, 0))
            for one in past.recipients
        ),
        events=_told_once(events, fresh),
        is_cut=past.is_cut,
    )


def _told_once(past: Sequence[Happened], fresh: Iterable[Happened]) -> tuple[Happened, ...]:
    known = {(one.kind, one.n, one.at) for one in past}
    every = [*past, *(one for one in fresh if (one.kind, one.n, one.at) not in known)]
    return tuple(sorted(every, key=lambda one: one.at))


def _of_queue(waiting: Mapping[str, Any]) -> Story:
    """A message that the log does not have yet."""
    one = waiting["message"]
    number = ids.from_text(one["id"])
    return Story(
        id=one["id"],
        number=number,
        tenant_id=one["tenant_id"],
        credential_id=one["credential_id"],
        source="",
        client=one.get("client", ""),
        sender=one["sender"],
        header_from=one["from"],
        message_id_header=one["message_id"],
        subject=one["subject"],
        tags=tuple(one["tags"]),
        metadata=one.get("metadata", ""),
        traffic_class=TrafficClass(one["class"]),
        size=one["size"],
        accepted_at=one["accepted_at"],
        signing_domain=one.get("signing_domain", ""),
        selectors=(),
        people=tuple(_waiting_person(row, "", ()) for row in waiting["recipients"]),
        events=_told_once((), _events(waiting, number)),
    )


def _events(waiting: Mapping[str, Any], number: int) -> list[Happened]:
    text = ids.to_text(number)
    return [
        Happened(n=n, kind=EventKind(kind), at=at, data=dict(data), id=f"{text}.{n}.{seq}")
        for seq, n, kind, at, data in waiting["events"]
    ]


def _providers(events: Iterable[Happened]) -> dict[int, str]:
    return {one.n: one.data["provider"] for one in events if one.data.get("provider")}


def _planned(events: Iterable[Happened]) -> dict[int, int]:
    """When the next try was to be, as the last one said."""
    return {one.n: int(one.data["next"]) for one in events if one.data.get("next")}


def _person(found: Found, row: Row | None, provider: str, planned: int) -> Person:
    if row is not None and not found.status.is_final:
        return _waiting_person(row, provider, found.flags)
    return Person(
        n=found.n,
        address=found.address,
        status=found.status,
        state=state_of(found.status, "", found.flags),
        attempts=found.attempts,
        provider=provider,
        next=planned if found.status is Status.DEFERRED else 0,
        reason=found.reply,
        egress=found.egress,
        has_failed=found.status in _FAILED
        or any(one.name == "BOUNCED_LATE" for one in found.flags),
    )


def _waiting_person(row: Row, provider: str, flags: Iterable[Flag]) -> Person:
    status = Status(row["status"])
    return Person(
        n=row["n"],
        address=row["address"],
        status=status,
        state=state_of(status, "", flags),
        attempts=row["attempts"],
        provider=provider,
        next=row["next"] if status.is_waiting else 0,
        kind=row["kind"] or "",
        reason=row["reason"],
        egress=row["egress"],
        pool=row["pool"],
        expires=row["expires"],
        has_failed=status in _FAILED,
    )
