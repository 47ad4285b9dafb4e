"""Mail: recipients of messages as pages show them: when, to whom, about what, in which state, last words.

    rows = await recent(rooms, visit.scope, 6)     {{ mail.message_table(rows, visit) }} of mail.html

A state is a word with a kind and an icon; what came later (a bounce after 250, a complaint) goes before it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import ids
from appliance.history import Filters, Flag
from mta.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from admin_ui.rooms import Rooms
    from appliance.core.scope import Scope
    from appliance.history import Found

State = tuple[str, str, str]
"""Word, kind of its badge (atoms.html), icon."""

STATES: Final[dict[Status, State]] = {
    Status.QUEUED: ("Waiting", "way", "clock"),
    Status.DEFERRED: ("Waiting", "way", "clock"),
    Status.HELD: ("Held", "look", "circle-pause"),
    Status.SENDING: ("Being sent", "way", "send"),
    Status.DELIVERED: ("Delivered", "good", "check"),
    Status.BOUNCED: ("Bounced", "bad", "x"),
    Status.EXPIRED: ("Expired", "bad", "hourglass"),
    Status.SUPPRESSED: ("Suppressed", "off", "ban"),
    Status.CANCELLED: ("Cancelled", "off", "circle-x"),
    Status.CORRUPT: ("Unreadable", "bad", "file-text"),
}
LATE: Final[dict[Flag, State]] = {
    Flag.COMPLAINED: ("Complaint", "look", "triangle-alert"),
    Flag.BOUNCED_LATE: ("Bounced late", "bad", "corner-down-left"),
    Flag.UNSUBSCRIBED: ("Unsubscribed", "off", "user-minus"),
    Flag.DELAYED_LATE: ("Delayed there", "way", "clock"),
}
"""What came after the receiver had taken it, the gravest first."""

_NAMED: Final = frozenset({Status.BOUNCED})
_SPOKEN: Final = {"dns": "DNS", "tls": "TLS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """A message to one recipient, as a table shows it."""

    id: str
    n: int
    tenant_id: int
    tenant: str  # its name, where several are shown
    at: int
    address: str
    sender: str
    subject: str
    status: Status
    state: State
    words: str

    @property
    def key(self) -> str:
        """The row's own id in a page."""
        return f"m-{self.id}-{self.n}"


async def recent(rooms: Rooms, scope: Scope, limit: int = 6) -> list[MessageRow]:
    """The newest that the scope sees. Raises StoreError."""
    page = await asyncio.to_thread(rooms.log.search, scope, Filters(), limit=limit)
    return await rows_of(rooms, scope, page.rows)


async def rows_of(rooms: Rooms, scope: Scope, found: Sequence[Found]) -> list[MessageRow]:
    """As pages show them; of the whole box with whose they are."""
    whose = {one.tenant_id for one in found} if scope.is_system else set()
    names = await rooms.tenants.names(scope, whose) if whose else {}
    return [row_of(one, names.get(one.tenant_id, "")) for one in found]


def row_of(found: Found, tenant: str = "") -> MessageRow:
    """One of them."""
    return MessageRow(
        id=ids.to_text(found.message_id),
        n=found.n,
        tenant_id=found.tenant_id,
        tenant=tenant,
        at=found.accepted_at,
        address=found.address,
        sender=found.header_from or found.sender,
        subject=found.subject,
        status=found.status,
        state=state_of(found.status, found.category, found.flags),
        words=found.reply,
    )


def state_of(status: Status, category: str = "", flags: Iterable[Flag] = ()) -> State:
    """How a recipient stands: "Bounced, user unknown"."""
    came = set(flags)
    late = next((state for flag, state in LATE.items() if flag in came), None)
    if late is not None:
        return late
    word, kind, shape = STATES[status]
    if category and status in _NAMED:
        word = f"{word}, {category_words(category)}"
    return word, kind, shape


def category_words(category: str) -> str:
    """What a failure is about (mta/outcome/category.py): "user unknown"."""
    return _SPOKEN.get(category, category.replace("_", " "))
