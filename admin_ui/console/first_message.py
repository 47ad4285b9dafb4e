"""First message: how far a credential has come, as a time line with what is still to come.

    connected -> signed in -> refused, if that was the last word -> accepted -> delivered

Over appliance.credentials.Trial and what the event log says of the message.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import ids
from appliance.core.errors import NotFoundError, StoreError
from appliance.credentials import Trial
from mta.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from admin_ui.rooms import Rooms
    from appliance.core.scope import Scope
    from appliance.credentials import CredentialRecord
    from appliance.history import Found

_BAD: Final = {
    Status.BOUNCED: "Refused by the receiver",
    Status.EXPIRED: "Given up after many tries",
    Status.CANCELLED: "Cancelled",
    Status.SUPPRESSED: "Not sent: the address is suppressed",
    Status.CORRUPT: "Its bytes are damaged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A step of the time line; `at` 0 for what is to come."""

    at: int
    title: str
    text: str
    kind: str = ""  # good, look, bad; "" to come
    words: str = ""  # of us or of the remote, verbatim
    href: str = ""  # a way on
    way: str = ""  # its words


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """How far it has come."""

    nodes: tuple[Node, ...]
    is_delivered: bool
    is_refused: bool


async def story_of(rooms: Rooms, scope: Scope, one: CredentialRecord) -> Story:
    """Of one credential."""
    trial = (await rooms.tries.of(scope, [one.id])).get(one.id, Trial())
    found = await _message(rooms, scope, trial)
    return Story(
        nodes=tuple(_nodes(one, trial, found)),
        is_delivered=trial.delivered_at > 0,
        is_refused=trial.is_refused,
    )


async def _message(rooms: Rooms, scope: Scope, trial: Trial) -> Found | None:
    """The message, as the log has it: not for seconds, and not for ever."""
    if not trial.message_id:
        return None
    try:
        history = await asyncio.to_thread(rooms.log.show, scope, trial.message_id)
    except (NotFoundError, StoreError):
        return None
    return history.recipients[0] if history.recipients else None


def _nodes(one: CredentialRecord, trial: Trial, found: Found | None) -> Iterator[Node]:
    user = one.logins[0].username if one.logins else one.name
    if trial.signed_in_at:
        tls = trial.tls.partition(" ")[0] or "in the clear"
        yield Node(
            at=trial.signed_in_at, title="Connected", text=f"{trial.address}, {tls}", kind="good"
        )
        yield Node(at=trial.signed_in_at, title="Signed in", text=f"AUTH as {user}", kind="good")
    else:
        yield Node(at=0, title="Connected", text="Waiting")
        yield Node(at=0, title="Signed in", text="Waiting")
    if trial.is_refused:
        yield _refused(trial)
    yield _accepted(trial)
    yield _delivered(trial, found)


def _refused(trial: Trial) -> Node:
    words = trial.refused_words
    if words.startswith(("535", "454", "421")) and not trial.refused_sender:
        text = "The user name or the password is not that of this credential."
        return Node(
            at=trial.refused_at, title="Sign-in refused", text=text, kind="bad", words=words
        )
    return Node(
        at=trial.refused_at,
        title="Message refused",
        text=f"From {trial.refused_sender or '<>'}.",
        kind="bad",
        words=words,
        href="/domains" if "domain" in words else "",
        way="Look at your domains" if "domain" in words else "",
    )


def _accepted(trial: Trial) -> Node:
    if not trial.accepted_at:
        return Node(at=0, title="Accepted", text="Waiting")
    name = ids.to_text(trial.message_id) if trial.message_id else ""
    return Node(
        at=trial.accepted_at,
        title="Accepted",
        text="",
        kind="good",
        href=f"/messages/{name}" if name else "",
        way=f"Message {name}" if name else "",
    )


def _delivered(trial: Trial, found: Found | None) -> Node:
    if trial.delivered_at:
        words = found.reply if found is not None else ""
        return Node(
            at=trial.delivered_at, title="Delivered", text="This works.", kind="good", words=words
        )
    if found is None or not trial.accepted_at:
        return Node(at=0, title="Delivered", text="Then you are done")
    if found.status in _BAD:
        return Node(
            at=found.status_at,
            title="Not delivered",
            text=_BAD[found.status],
            kind="bad",
            words=found.reply,
        )
    if found.status is Status.DEFERRED:
        text = "Not yet: it is tried again by itself."
        return Node(at=found.status_at, title="Deferred", text=text, kind="look", words=found.reply)
    text = "It is held: see the queue." if found.status is Status.HELD else "On its way"
    return Node(at=0, title="Delivered", text=text)
