"""Time line: what happened to a message in words for people, in order, with what comes next. Pure.

Each moment names what, to whom, where and why; what a remote said stands apart, word for word. Ours are the
sentences, theirs the quote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from admin_ui.console.mail import category_words
from admin_ui.console.story import MOST_SHOWN
from admin_ui.console.words import duration, size
from mta.outcome.category import SENTENCES, Category
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admin_ui.console.story import Happened, Person, Story

_DOORS: Final = {
    "smtp": "by SMTP",
    "api": "over HTTP",
    "notice": "by the box itself",
    "tls_report": "by the box itself",
}
_LOOKS: Final[dict[EventKind, tuple[str, str, str]]] = {
    EventKind.DELIVERED: ("good", "check", "Delivered to {to}"),
    EventKind.DEFERRED: ("look", "clock", "Deferred: {to}"),
    EventKind.BOUNCED: ("bad", "x", "Bounced: {to}"),
    EventKind.EXPIRED: ("bad", "hourglass", "Given up: {to}"),
    EventKind.SUPPRESSED: ("off", "ban", "Suppressed: {to}"),
    EventKind.CANCELLED: ("off", "circle-x", "Cancelled: {to}"),
    EventKind.CORRUPT: ("bad", "file-text", "Unreadable: {to}"),
    EventKind.HELD: ("look", "circle-pause", "Held: {to}"),
    EventKind.RELEASED: ("way", "circle-play", "Released: {to}"),
    EventKind.RETRIED: ("way", "refresh-cw", "Next try asked for: {to}"),
    EventKind.REROUTED: ("way", "route", "Rerouted: {to}"),
    EventKind.BOUNCED_LATE: ("bad", "corner-down-left", "Bounced after it was taken: {to}"),
    EventKind.DELAYED_LATE: ("look", "clock", "Delayed at the receiver: {to}"),
    EventKind.COMPLAINED: ("look", "triangle-alert", "Complaint of {to}"),
    EventKind.UNSUBSCRIBED: ("off", "user-minus", "Unsubscribed: {to}"),
}
_TRIED: Final = frozenset(
    {EventKind.DELIVERED, EventKind.DEFERRED, EventKind.BOUNCED, EventKind.EXPIRED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One node of the line. at 0: no time is known for it."""

    at: int
    kind: str  # good | way | look | bad | off
    shape: str
    title: str
    text: str = ""
    quote: str = ""
    since: int | None = None  # ms after the moment before it
    is_future: bool = False


def time_line(story: Story, credential: str = "") -> tuple[Moment, ...]:
    """What happened, oldest first, then what comes."""
    past = [
        moment for one in story.events[:MOST_SHOWN] for moment in _moments(one, story, credential)
    ]
    apart = [None, *(b.at - a.at for a, b in pairwise(past))]
    told = [replace(one, since=ms) for one, ms in zip(past, apart, strict=True)]
    return (*told, *_coming(story))


def _moments(event: Happened, story: Story, credential: str) -> Iterator[Moment]:
    if event.kind is EventKind.ACCEPTED:
        yield _accepted(event, story, credential)
        yield _signed(event)
        return
    kind, shape, title = _LOOKS[event.kind]
    data = event.data
    to = str(data.get("to") or "every recipient")
    host = str(data.get("host") or data.get("remote_mta") or "")
    reply = str(data.get("reply") or "")
    text = _sentences(event, host)
    yield Moment(
        at=event.at,
        kind=kind,
        shape=shape,
        title=title.replace("{to}", to),
        text=text if reply and host else f"{text} {reply}".strip(),
        quote=reply if host else "",
    )


def _accepted(event: Happened, story: Story, credential: str) -> Moment:
    data = event.data
    door = _DOORS.get(str(data.get("source", "")), "")
    client = f"From {data['client']} " if data.get("client") else ""
    by = f", credential “{credential}”" if credential else ""
    people = len(data.get("recipients", ()))
    whom = f", for {people} recipients" if people > 1 else ""
    text = f"{client}{door}{by}{whom}. {size(story.size)}, safe on disk."
    return Moment(
        at=event.at, kind="off", shape="arrow-down", title="Accepted", text=text.lstrip(" ,")
    )


def _signed(event: Happened) -> Moment:
    selectors = ", ".join(event.data.get("signed", ()))
    domain = event.data.get("signing_domain", "")
    if not selectors:
        words = "No DKIM key of the sender's domain: it leaves without a signature."
        return Moment(
            at=event.at, kind="look", shape="triangle-alert", title="Not signed", text=words
        )
    return Moment(
        at=event.at,
        kind="off",
        shape="pencil",
        title="Signed when sent",
        text=f"DKIM ({selectors}) for {domain}.",
    )


def _sentences(event: Happened, host: str) -> str:
    data = event.data
    if event.kind in _TRIED:
        return " ".join(_of_try(event, host))
    if data.get("pool"):
        return f"To the pool {data['pool']}, by {data.get('by', 'the box')}."
    if event.kind is EventKind.COMPLAINED:
        return f"Reported through a feedback loop, by {data.get('reporter') or 'its receiver'}."
    if data.get("by"):
        return f"By {data['by']}."
    if event.kind in (EventKind.BOUNCED_LATE, EventKind.DELAYED_LATE):
        return f"A notice of {host} came back. {_about(data)}".strip() if host else _about(data)
    return str(data.get("reason") or "")


def _of_try(event: Happened, host: str) -> Iterator[str]:
    data = event.data
    if host:
        yield f"{_where(host, data)}."
    if event.kind is not EventKind.DELIVERED:
        yield _about(data)
    if event.kind is EventKind.DEFERRED:
        yield f"Try {data.get('attempt', 1)}."
    if data.get("hard"):
        yield "The address is suppressed from now on."


def _where(host: str, data: dict[str, Any]) -> str:
    """As in "mx.example [192.0.2.1], TLS 1.3, from out1"."""
    address = f" [{data['address']}]" if data.get("address") else ""
    version = str(data.get("tls", "")).partition(" ")[0].replace("TLSv", "TLS ")
    tls = f", {version}" if version else ", without TLS"
    egress = f", from {data['egress']}" if data.get("egress") else ""
    return f"{host}{address}{tls}{egress}"


def _about(data: dict[str, Any]) -> str:
    name = str(data.get("category") or "")
    if not name:
        return ""
    if name in tuple(Category):
        return SENTENCES[Category(name)]
    return category_words(name).capitalize() + "."


def _coming(story: Story) -> Iterator[Moment]:
    for one in story.open[:MOST_SHOWN]:
        if one.next or one.status in (Status.HELD, Status.SENDING):
            yield _next(one)


def _next(one: Person) -> Moment:
    if one.status is Status.HELD:
        title, text = f"Held: {one.address}", one.waits_for or one.reason
        return Moment(
            at=0, kind="look", shape="circle-pause", title=title, text=text, is_future=True
        )
    if one.status is Status.SENDING:
        title = f"Being sent to {one.address}"
        return Moment(at=0, kind="way", shape="send", title=title, is_future=True)
    way = f"From {one.pool}. " if one.pool else ""
    return Moment(
        at=one.next,
        kind="way",
        shape="clock",
        title=f"Next try for {one.address}",
        text=f"{way}{one.waits_for}".strip(),
        is_future=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One command of a conversation: when it began and how long it took, ms from the try's start."""

    name: str
    said: str
    starts: int
    took: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """An attempt whose conversation is known."""

    key: str
    label: str
    steps: tuple[StepRow, ...]

    @property
    def total(self) -> int:
        """How long the conversation took."""
        return max((one.starts + one.took for one in self.steps), default=0)


_NAMES: Final = {
    "CONNECT": "Connect, greeting",
    "MAIL": "MAIL FROM",
    "RCPT": "RCPT TO",
    ".": "End of data",
    "TLS": "TLS handshake",
}


def tries_of(story: Story) -> tuple[Try, ...]:
    """Every try with its steps, oldest first."""
    return tuple(_try(one) for one in story.events[:MOST_SHOWN] if one.data.get("steps"))


def _try(event: Happened) -> Try:
    label = f"{event.data.get('to', '')}, try {event.data.get('attempt', 1)}"
    return Try(key=f"{event.n}-{event.at}", label=label, steps=tuple(_steps(event.data["steps"])))


def _steps(steps: list[list[Any]]) -> Iterator[StepRow]:
    """Each began when the answer before it came; where the clock goes back, another connection begins."""
    base = before = 0
    for at, command, reply in steps:
        if at < before:
            base += before
            before = 0
        word, _, rest = str(command).partition(" ")
        said = f"{rest}; {reply}" if rest and word in ("CONNECT", "EHLO", "HELO") else str(reply)
        yield StepRow(
            name=_NAMES.get(word, word or "Greeting"),
            said=said.replace("\n", ", "),
            starts=base + before,
            took=at - before,
        )
        before = at


def waits(ms: int) -> str:
    """The difference under a time: +5 ms, +1.3 s, +4 m."""
    if ms < 100:
        return f"+{max(0, ms)} ms"
    return f"+{ms / 1000:.1f} s" if ms < 60_000 else f"+{duration(ms)}"
