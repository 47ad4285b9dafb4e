"""Stream queries: events in the order in which the log took them in; pure.

Of the filters' shape a statement is made once; its values are given at each execution.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Integer, and_, case, exists, false, func, literal_column, or_, select, tuple_

from appliance.history import tables as t
from appliance.history.model import FLAG_OF
from appliance.history.queries import (
    ZERO,
    Query,
    Shape,
    at_most,
    compiled,
    conditions,
    given_of_address,
    in_day,
    message_id_of,
    p,
    r,
    storable,
)
from mta.status import FINAL, EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Dialect

    from appliance.core.scope import Scope
    from appliance.history.model import EventFilters

_ONCE: Final = sorted({EventKind.ACCEPTED.value, *(EventKind(end).value for end in FINAL)})
_LATE: Final = sorted(kind.value for kind in FLAG_OF)


def last_position(dialect: Dialect) -> Query:
    """The journal's last place in a day. Given at execution: lo, hi."""
    j = t.journal.c
    return compiled(select(func.max(j.position)).where(*in_day(j.message_id)), dialect)


def far_on(dialect: Dialect) -> Query:
    """The place so many further on. Given at execution: lo, hi, after, upto, skip."""
    j = t.journal.c
    wanted = (
        select(j.position)
        .where(j.position > p("after"), j.position <= p("upto"), *in_day(j.message_id))
        .order_by(j.position)
        .limit(literal_column("1"))
        .offset(p("skip", type_=Integer))
    )
    return compiled(wanted, dialect)


def events(filters: EventFilters, scope: Scope, dialect: Dialect) -> Query:
    """Events in the order of the journal. Given: lo, hi, after, upto, limit (places)."""
    given: dict[str, Any] = {}
    if filters.message:
        given["own"] = message_id_of(filters.message)
    if filters.address:
        given |= given_of_address(filters.address)
    if filters.domain:
        given["domain"] = filters.domain.lower()
    if scope.tenant_id is not None:
        given["tenant"] = scope.tenant_id
    given = {name: storable(value) for name, value in given.items()}
    kinds = tuple(sorted(kind.value for kind in filters.kinds))
    sql, names, fixed = _events(frozenset(given), kinds, dialect)
    return Query(sql, names, {**fixed, **given})


@lru_cache(256)
def _events(
    shape: Shape, kinds: tuple[str, ...], dialect: Dialect
) -> tuple[str, tuple[str, ...], Any]:
    j, e = t.journal.c, t.event.c
    same = and_(e.message_id == j.message_id, e.n == j.n, e.seq == j.seq)
    statement = (
        select(j.position, *e)
        .select_from(t.journal.join(t.event, same))
        .where(
            j.position > p("after"),
            j.position <= p("upto"),
            *in_day(j.message_id),
            *in_day(e.message_id),
            *_of_events(shape, kinds),
        )
        .order_by(j.position)
    )
    found = compiled(at_most(statement), dialect)
    return found.sql, found.names, found.fixed


def _of_events(shape: Shape, kinds: tuple[str, ...]) -> list[ColumnElement[bool]]:
    j = t.journal.c
    wanted: list[ColumnElement[bool]] = []
    if kinds:
        wanted.append(_is_one_of(j.kind, kinds))
    if "own" in shape:
        wanted.append(j.message_id == p("own"))
    if "tenant" in shape:
        wanted.append(j.tenant_id == p("tenant"))
    about = conditions(shape - {"own", "tenant"})
    if about:
        one = and_(r.c.message_id == j.message_id, or_(j.n < ZERO, r.c.n == j.n))
        wanted.append(exists().where(one, *about, *in_day(r.c.message_id)))
    return wanted


def told(dialect: Dialect) -> Query:
    """Events with their recipients, for those that count. Given: lo, hi, after, upto, limit."""
    j, e = t.journal.c, t.event.c
    same = and_(e.message_id == j.message_id, e.n == j.n, e.seq == j.seq)
    whose = and_(r.c.message_id == j.message_id, r.c.n == j.n, *in_day(r.c.message_id))
    statement = (
        select(
            *(j.position, j.message_id, j.n, j.kind, e.at, e.data),
            *(r.c.header_from, r.c.traffic_class, r.c.tags, r.c.accepted_at),
            _delivery().label("delivery"),
            _was_told().label("was_told"),
        )
        .select_from(t.journal.join(t.event, same).outerjoin(r, whose))
        .where(
            j.position > p("after"),
            j.position <= p("upto"),
            *in_day(j.message_id),
            *in_day(e.message_id),
        )
        .order_by(j.position)
    )
    return compiled(at_most(statement), dialect)


def _delivery() -> ColumnElement[Any]:
    """The data of the delivery that late news are about."""
    j, done = t.journal.c, t.event.alias("done")
    data = (
        select(done.c.data)
        .where(
            done.c.message_id == j.message_id,
            done.c.n == j.n,
            done.c.kind == literal_column("'delivered'"),
            *in_day(done.c.message_id),
        )
        .order_by(done.c.seq)
        .limit(literal_column("1"))
        .correlate(t.journal)
        .scalar_subquery()
    )
    return case((_is_one_of(j.kind, _LATE), data))


def _was_told() -> ColumnElement[bool]:
    """Whether the same acceptance, or another end of the recipient, came before."""
    j, e, other = t.journal.c, t.event.c, t.event.alias("other")
    before = exists().where(
        other.c.message_id == j.message_id,
        other.c.n == j.n,
        _is_one_of(other.c.kind, _ONCE),
        tuple_(other.c.at, other.c.seq) < tuple_(e.at, e.seq),
        *in_day(other.c.message_id),
    )
    is_once = _is_one_of(j.kind, _ONCE)
    return case((is_once, before.correlate(t.journal, t.event)), else_=false())


def _is_one_of(column: ColumnElement[str], words: Iterable[str]) -> ColumnElement[bool]:
    # In words: given as values they would be sent with each execution.
    return or_(*(column == literal_column(f"'{word}'") for word in words))
