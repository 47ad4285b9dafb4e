"""Changes: what a person's action writes, as moves of recipients with the events that tell of them; pure.

Each gives back the piece of work for the committing thread, which answers whom it changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mta.spool.batch import Event
from mta.spool.store import Move, Reroute
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mta.message import Recipient
    from mta.spool.batch import Batch
    from mta.spool.questions import Place
    from mta.spool.store import SpoolStore

Change = Callable[["SpoolStore", "Batch"], "list[Place]"]


class Action(StrEnum):
    """What can be done to waiting mail."""

    RETRY = "retry"
    HOLD = "hold"
    RELEASE = "release"
    REROUTE = "reroute"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """Who acts and when; to which pool a reroute leads."""

    by: str
    at: int
    pool: str = ""


_STEPS: dict[Action, tuple[Status, EventKind]] = {
    Action.RETRY: (Status.QUEUED, EventKind.RETRIED),
    Action.HOLD: (Status.HELD, EventKind.HELD),
    Action.RELEASE: (Status.QUEUED, EventKind.RELEASED),
    Action.CANCEL: (Status.CANCELLED, EventKind.CANCELLED),
}


def change_of(action: Action, concerned: list[Recipient], hand: Hand) -> Change:
    """What the action does to these recipients."""
    if action is Action.REROUTE:
        routes = [_reroute(recipient, hand) for recipient in concerned]
        return lambda store, batch: _places(store.reroute(routes, batch))
    moves = [_move(action, recipient, hand) for recipient in concerned]

    def carry_out(store: SpoolStore, batch: Batch) -> list[Place]:
        changed: list[Move] = []
        if action is not Action.RELEASE:
            changed += store.move(moves, batch, held=False)
        if action in (Action.RELEASE, Action.CANCEL):
            changed += store.move(moves, batch, held=True)
        return _places(changed)

    return carry_out


def concerns_held(action: Action) -> bool:
    """Whether the action reaches mail that is held."""
    return action in (Action.RELEASE, Action.CANCEL, Action.REROUTE)


def expiry_of(recipient: Recipient, now: int) -> Move:
    """The end of mail that was held until its life was over."""
    reason = f"held until its life was over; {recipient.reason}"
    data: dict[str, object] = {
        "tenant": recipient.tenant_id,
        "to": recipient.address,
        "reason": reason,
    }
    event = Event(
        message_id=recipient.message_id, n=recipient.n, kind=EventKind.EXPIRED, at=now, data=data
    )
    return Move(recipient.message_id, recipient.n, Status.EXPIRED, 0, reason, event)


def _move(action: Action, recipient: Recipient, hand: Hand) -> Move:
    status, kind = _STEPS[action]
    reason = f"{kind} by {hand.by}"
    if action is Action.RETRY:  # it is due again; how it stands and why stay as they are
        status, reason = recipient.status, recipient.reason
    due_at = hand.at if status.is_waiting else recipient.due_at
    event = _event(kind, recipient, hand)
    return Move(recipient.message_id, recipient.n, status, due_at, reason, event)


def _reroute(recipient: Recipient, hand: Hand) -> Reroute:
    event = _event(EventKind.REROUTED, recipient, hand, pool=hand.pool)
    return Reroute(recipient.message_id, recipient.n, hand.pool, event)


def _event(kind: EventKind, recipient: Recipient, hand: Hand, **more: object) -> Event:
    data = {"tenant": recipient.tenant_id, "to": recipient.address, "by": hand.by, **more}
    return Event(message_id=recipient.message_id, n=recipient.n, kind=kind, at=hand.at, data=data)


def _places(changed: Sequence[Move | Reroute]) -> list[Place]:
    return [(one.message_id, one.n) for one in changed]
