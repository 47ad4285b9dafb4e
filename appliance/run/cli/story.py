"""Story: a message with everybody it goes to and all that happened, from the queue and the log.

The queue's owner knows how each recipient stands this moment; the log knows the past. What waits is
shown as the owner has it, what is over as the log has it; an event that both have is told once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from appliance.core import ids
from appliance.core.errors import NotFoundError, NotRunningError
from appliance.run.cli.output import Part, Table, ago, ahead, when

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appliance.history import Found, MessageHistory
    from appliance.run.cli.box import Box
    from appliance.run.cli.owners import Row

_WAITING: Final = ("queued", "deferred")


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One event. `n` -1: about every recipient."""

    n: int
    kind: str
    at: int
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A message, told."""

    message: Row
    recipients: list[Row]
    events: list[Happened]
    is_cut: bool = False

    def for_json(self) -> dict[str, object]:
        """As programs see it: each event with the fields of its data, steps by name."""
        events = [_event(event) for event in self.events]
        return {
            "message": self.message,
            "recipients": self.recipients,
            "events": events,
            "is_cut": self.is_cut,
        }


def _event(event: Happened) -> dict[str, object]:
    steps = [
        {"after_ms": at, "command": command, "reply": reply}
        for at, command, reply in event.data.get("steps", ())
    ]
    data = event.data | ({"steps": steps} if steps else {})
    return {"at": event.at, "kind": event.kind, "n": event.n if event.n >= 0 else None, **data}


# -- finding -----------------------------------------------------------------


def in_queue(box: Box, message_id: int) -> Story:
    """A message that waits, with its past from the log. Raises NotFoundError, NotRunningError."""
    # The owner first: what leaves its outbox meanwhile is in the log by then.
    waiting = _of_owner(box.owners.show(message_id))
    return _together(waiting, _past(box, message_id))


def anywhere(box: Box, message_id: int) -> Story:
    """A message, in the queue or over. Raises NotFoundError, or NotRunningError when that is unsure."""
    try:
        return in_queue(box, message_id)
    except (NotFoundError, NotRunningError) as error:
        past = _past(box, message_id)
        if past is not None:
            return past
        words = f"the log has no message {ids.to_text(message_id)}"
        if isinstance(error, NotRunningError):
            raise NotRunningError(f"{words}, and the queue cannot be asked: {error}") from error
        raise NotFoundError(f"{words}, and none such waits in the queue") from error


def _of_owner(shown: dict[str, Any]) -> Story:
    import msgspec

    events = [
        Happened(n=n, kind=kind, at=at, data=msgspec.json.decode(data))
        for _, n, kind, at, data in shown["events"]
    ]
    recipients = [
        {name: value for name, value in row.items() if name not in ("id", "message_id")}
        for row in shown["recipients"]
    ]
    return Story(message=shown["message"], recipients=recipients, events=events)


def _past(box: Box, message_id: int) -> Story | None:
    from appliance.core.scope import Scope

    with box.log() as log:
        try:
            found = log.show(Scope.system(), message_id)
        except NotFoundError:
            return None
    return Story(
        message=_message(found),
        recipients=[_recipient(one) for one in found.recipients],
        events=[Happened(n=e.n, kind=e.kind, at=e.at, data=e.data) for e in found.events],
        is_cut=found.is_cut,
    )


def _message(found: MessageHistory) -> Row:
    """Under the names that the queue's owner uses."""
    return {
        "id": ids.to_text(found.message_id),
        "tenant_id": found.tenant_id,
        "credential_id": found.credential_id,
        "class": found.traffic_class.value,
        "sender": found.sender,
        "from": found.header_from,
        "message_id": found.message_id_header,
        "subject": found.subject,
        "size": found.size,
        "accepted_at": found.accepted_at,
        "client": found.client,
        "tags": list(found.tags),
        "metadata": found.metadata,
        "signing_domain": found.signing_domain,
    }


def _recipient(found: Found) -> Row:
    return {
        "n": found.n,
        "tenant_id": found.tenant_id,
        "class": found.traffic_class.value,
        "address": found.address,
        "domain": found.domain,
        "status": found.status.value,
        "reason": found.reply,
        "next": 0,
        "expires": 0,
        "attempts": found.attempts,
        "host": found.host,
        "egress": found.egress,
        "category": found.category,
        "flags": flag_names(found.flags),
    }


def flag_names(flags: Iterable[Any]) -> list[str]:
    """Late news, as words."""
    return [flag.name.lower() for flag in flags]


def _together(waiting: Story, past: Story | None) -> Story:
    if past is None:
        return waiting
    events = {(event.kind, event.n, event.at): event for event in (*past.events, *waiting.events)}
    known = {row["n"]: row for row in past.recipients}
    return Story(
        message=waiting.message,
        recipients=[known.get(row["n"], {}) | row for row in waiting.recipients],
        events=sorted(events.values(), key=lambda event: event.at),
        is_cut=past.is_cut,
    )


# -- telling -----------------------------------------------------------------


def story_parts(story: Story, now: int, *, steps: bool) -> Iterator[Part]:
    """The story as text."""
    yield from _head(story.message, now)
    yield ""
    yield _standing(story.recipients, now)
    yield ""
    yield from time_line(story, steps=steps)
    if story.is_cut:
        yield "... and more than can be shown"


def _head(message: Row, now: int) -> Iterator[Part]:
    sender, header_from = message["sender"] or "<>", message["from"]
    author = f" (From: {header_from})" if header_from and header_from != sender else ""
    yield f"message   {message['id']}  {message['message_id']}"
    yield f"sender    {sender}{author}"
    yield f"subject   {message['subject']}"
    yield (
        f"accepted  {when(message['accepted_at'])} ({ago(message['accepted_at'], now)})"
        f" from {message['client'] or 'the box itself'}, {message['size']:,} octets"
    )
    tags = f", tags {', '.join(message['tags'])}" if message["tags"] else ""
    yield f"class     {message['class']}{tags}"
    yield f"signed    {message['signing_domain'] or 'not signed'}"


def _standing(recipients: list[Row], now: int) -> Table:
    return Table(
        ("RECIPIENT", "STATE", "TRIES", "NEXT TRY", "REASON"),
        [
            (
                row["address"],
                ", ".join([row["status"], *row.get("flags", ())]),
                str(row["attempts"]),
                _next(row, now),
                row["reason"] or "-",
            )
            for row in recipients
        ],
        empty="nobody",
    )


def _next(row: Row, now: int) -> str:
    if row["status"] not in _WAITING or not row["next"]:
        return "-"
    return f"{when(row['next'])} ({ahead(row['next'], now)})"


def time_line(story: Story, *, steps: bool) -> Iterator[str]:
    """Every event in words; with `steps`, every word of the conversations too."""
    from appliance.run.timeline import tell

    start = story.message["accepted_at"]
    for event in story.events:
        for told in tell(event.n, event.kind, event.at, event.data):
            yield line_of(told.at, told.what, told.words, start)
        if steps:
            yield from _steps(event)


def line_of(at: int, what: str, words: str, start: int) -> str:
    """A line of a time line: when, how long after it was accepted, what, in words."""
    since = f"+{max(0, at - start) / 1000:.3f} s"
    return f"{when(at)}  {since:>12}  {what:<12} {words}"


def _steps(event: Happened) -> Iterator[str]:
    for at, command, reply in event.data.get("steps", ()):
        yield f"{'':>20}  {f'{at} ms':>12}  {command or '(connected)'} -> {reply}"
