"""Suppress: what the suppression list learns from events.

Hard bounces, complaints and unsubscriptions suppress at once; failures that are about the mailbox
and yet not for ever are counted, and a delivery clears the count. What a receiver holds against the
sender (RFC 3463 x.7.x, spam, policy) is never counted against the recipient.
The list applies an event once per id; within a batch the order between different addresses does not
matter, and of one address the last word counts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from appliance.core.ids import to_text
from appliance.suppressions import Reason, SoftBounce, SuppressionEvent
from mta.outcome.category import Category
from mta.status import EventKind, Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.history.model import LoggedEvent
    from appliance.suppressions import SuppressionList

_FAILED: Final = frozenset({EventKind.BOUNCED, EventKind.BOUNCED_LATE, EventKind.EXPIRED})
_ASKED: Final = {
    EventKind.COMPLAINED: Reason.COMPLAINT,
    EventKind.UNSUBSCRIBED: Reason.UNSUBSCRIBE,
}
_OF_THE_MAILBOX: Final = frozenset(
    {
        Category.USER_UNKNOWN,
        Category.MAILBOX_FULL,
        Category.MAILBOX_DISABLED,
        Category.DOMAIN_UNKNOWN,
    }
)
_OF_THE_SENDER: Final = re.compile(r"\d{3}[ -][245]\.7\.\d")


class SuppressionConsumer:
    """An EventConsumer."""

    name = "suppressions"

    def __init__(self, suppressions: SuppressionList) -> None:
        self._suppressions = suppressions

    async def apply(self, events: Sequence[LoggedEvent]) -> None:
        """Suppress, count, and clear."""
        final = [found for event in events if (found := suppression_of(event)) is not None]
        soft, delivered = soft_bounces_and_deliveries(events)
        if delivered:
            await self._suppressions.note_deliveries(delivered)
        if soft:
            await self._suppressions.apply_soft_bounces(soft)
        if final:
            await self._suppressions.apply_events(final)


def suppression_of(event: LoggedEvent) -> SuppressionEvent | None:
    """The suppression this event asks for."""
    facts = event.facts
    reason = _ASKED.get(event.kind)
    if event.kind in _FAILED and facts.hard:
        reason = Reason.HARD_BOUNCE
    if reason is None:
        return None
    return SuppressionEvent(_name(event), facts.tenant, facts.to, reason, event.at)


def soft_bounces_and_deliveries(
    events: Sequence[LoggedEvent],
) -> tuple[list[SoftBounce], set[tuple[int, str]]]:
    """Soft bounces that no delivery in the same batch came after, and who was delivered to."""
    soft: dict[tuple[int, str], list[SoftBounce]] = {}
    delivered: set[tuple[int, str]] = set()
    for event in events:
        key = (event.facts.tenant, event.facts.to.lower())
        if event.kind is EventKind.DELIVERED:
            delivered.add(key)
            soft.pop(key, None)
        elif is_soft(event):
            one = SoftBounce(_name(event), event.facts.tenant, event.facts.to, event.at)
            soft.setdefault(key, []).append(one)
    return [bounce for bounces in soft.values() for bounce in bounces], delivered


def _name(event: LoggedEvent) -> str:
    """What is applied once.

    A notice may be read twice (a crash between telling and filing it away): its news then come as
    two events and count as one.
    """
    notice = event.facts.notice
    return f"{to_text(event.message_id)}.{event.n} {notice}" if notice else event.id


def is_soft(event: LoggedEvent) -> bool:
    """Whether a failure counts against the mailbox without ending it."""
    facts = event.facts
    if event.kind not in _FAILED or facts.hard or _OF_THE_SENDER.match(facts.reply):
        return False
    if facts.category in _OF_THE_MAILBOX:
        return True
    is_refusal = event.kind is not EventKind.EXPIRED
    return is_refusal and facts.category == Category.OTHER and facts.scope == Scope.RECIPIENT
