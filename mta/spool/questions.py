"""Questions people ask of a queue, as statements: what waits, held or deferred, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select, tuple_

from mta.spool import tables as t
from mta.spool.statements import HELD, WAITING

if TYPE_CHECKING:
    from sqlalchemy import Select


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """Which recipients are meant; empty fields match everything."""

    message_id: int = 0
    n: int = -1
    tenant_id: int = 0
    credential_id: int = 0
    domain: str = ""
    address: str = ""
    status: str = ""
    expired_at: int = 0  # only those whose life was over at this time (ms)


@dataclass(frozen=True, slots=True)
class Destination:
    """What waits for one domain."""

    domain: str
    status: str
    count: int
    oldest: int  # accepted at, of the oldest message
    next_due: int
    reason: str  # of one of them


def select_recipients(
    wanted: QueueFilter, shard: int, after: tuple[int, int], limit: int
) -> Select[tuple[object, ...]]:
    """Waiting and held recipients, keyset-paged by (message, n)."""
    r = t.recipient.c
    statement = select(*t.recipient.columns).where(r.shard == shard, or_(WAITING, HELD))
    exact = (
        (r.message_id, wanted.message_id, 0),
        (r.n, wanted.n, -1),
        (r.tenant_id, wanted.tenant_id, 0),
        (r.domain, wanted.domain, ""),
        (r.address, wanted.address, ""),
        (r.status, wanted.status, ""),
    )
    for column, value, nothing in exact:
        if value != nothing:
            statement = statement.where(column == value)
    if wanted.expired_at:
        statement = statement.where(r.expires_at <= wanted.expired_at)
    if wanted.credential_id:
        of_credential = select(t.message.c.id).where(
            t.message.c.credential_id == wanted.credential_id
        )
        statement = statement.where(r.message_id.in_(of_credential))
    return (
        statement.where(tuple_(r.message_id, r.n) > tuple_(*after))
        .order_by(r.message_id, r.n)
        .limit(limit)
    )


def select_destinations(shard: int, limit: int) -> Select[tuple[object, ...]]:
    """Counts by domain and state."""
    r, m = t.recipient.c, t.message.c
    return (
        select(
            r.domain,
            r.status,
            func.count(),
            func.min(m.accepted_at),
            func.min(r.due_at),
            func.max(r.reason),
        )
        .join_from(t.recipient, t.message, m.id == r.message_id)
        .where(r.shard == shard, or_(WAITING, HELD))
        .group_by(r.domain, r.status)
        .order_by(func.count().desc(), r.domain)
        .limit(limit)
    )
