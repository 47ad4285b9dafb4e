"""The audit log: who changed what, on which record, when, from where. Metadata only: never a secret, never a letter."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import get
from litestar.params import QueryParameter
from msgspec import Meta

from admin_ui.api.guard import RIGHT, WhoAsks
from admin_ui.api.messages import Since, Until, ms_of
from admin_ui.api.nouns import PLAIN, Whose, cut, view_of
from admin_ui.api.openapi import EXAMPLE
from admin_ui.api.shapes import Cursor, Example, Limit, moment, place_of
from admin_ui.rooms import Behind
from appliance.rights import Right
from appliance.tenancy import AuditEntry, AuditFilter

_ENTRY: Final = {
    "id": 902,
    "at": "2026-11-20T10:00:00Z",
    "tenant_id": 3,
    "by": "ada@shop.example",
    "action": "credential.revoke",
    "record": "credential 5 (web-app)",
    "detail": "",
    "address": "192.0.2.9",
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what, on which record, when, from where."""

    id: int
    at: datetime | None
    tenant_id: Annotated[int, Meta(description="0: the box's.")]
    by: str
    action: str
    record: str
    detail: str
    address: Annotated[str, Meta(description="From where; empty: by the box, or at its terminal.")]


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, newest first; `cursor` leads on, "" at the end."""

    items: list[Entry]
    cursor: str


def _text(words: str) -> QueryParameter:
    return QueryParameter(max_length=255, pattern=PLAIN, description=words)


@get(
    "/audit",
    opt={RIGHT: Right.AUDIT_READ, EXAMPLE: Example({"items": [_ENTRY], "cursor": ""})},
    tags=["audit"],
    summary="Read the audit log",
)
async def list_audit(  # noqa: PLR0913 - a filter each
    rooms: Behind,
    asker: WhoAsks,
    tenant: Whose = "",
    action: Annotated[str, _text("An action, or how it begins: domain.")] = "",
    by: Annotated[str, _text("Who did it.")] = "",
    record: Annotated[str, _text("On which record, as the log names it.")] = "",
    address: Annotated[str, _text("From where.")] = "",
    since: Since = None,
    until: Until = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> AuditPage:
    """A tenant's key reads its tenant's; the box's read all."""
    wanted = AuditFilter(
        action=action,
        by=by,
        record=record,
        address=address,
        since=ms_of(since),
        until=ms_of(until, "until"),
    )
    scope = await view_of(rooms, asker, tenant)
    found = await rooms.audit.list(scope, wanted, before=place_of(cursor), limit=limit + 1)
    items, last = cut(found, limit, lambda one: one.id)
    return AuditPage(items=[_shown(one) for one in items], cursor=last)


def _shown(one: AuditEntry) -> Entry:
    return Entry(
        id=one.id,
        at=moment(one.at),
        tenant_id=one.tenant_id,
        by=one.by,
        action=one.action,
        record=one.record,
        detail=one.detail,
        address=one.address,
    )


HANDLERS: Final[list[Any]] = [list_audit]
