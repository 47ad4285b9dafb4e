"""Queries: a search as one statement that every day answers for itself; pure.

The statement names its leading index on SQLite, which keeps no statistics here and would guess;
PostgreSQL has its own and chooses. It finds the keys first and fetches the rows of one page only.
Results are ordered by (message_id, n), newest first: the key of paging, since no two share it.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Integer, and_, bindparam, exists, func, literal_column, or_, select, tuple_

from appliance.core import ids
from appliance.core.errors import UsageError
from appliance.history import tables as t
from appliance.history.rows import TEXT
from mta.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.engine import Dialect

    from appliance.core.scope import Scope
    from appliance.history.model import EventFilters, Filters

MIN_PREFIX: Final = 3
_LAST_CHARACTER: Final = "\U0010ffff"
_ZERO: Final[ColumnElement[int]] = literal_column("0")
_HINT: Final = "INDEXED BY ix_log_recipient_%s"
p = bindparam
_r = t.recipient.alias("r")
_ASCII_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# Exactly the conditions of the partial indexes: SQLite uses those for nothing else.
_TROUBLED: Final[ColumnElement[bool]] = literal_column("r.status <> 'delivered'")
_FLAGGED: Final[ColumnElement[bool]] = literal_column("r.flags <> 0")


@dataclass(frozen=True, slots=True)
class Query:
    """A statement with its values; those of the day and the page are given at each execution."""

    sql: str
    names: tuple[str, ...]
    fixed: Mapping[str, Any]

    def values(self, **given: Any) -> tuple[Any, ...]:
        """In the order of the statement's places."""
        every = {**self.fixed, **given}
        return tuple(every[name] for name in self.names)


def compiled(statement: Select[Any], dialect: Dialect) -> Query:
    """The statement as text for this database."""
    made: Any = statement.compile(dialect=dialect)
    return Query(str(made), tuple(made.positiontup or ()), made.params)


def recipients(filters: Filters, scope: Scope, dialect: Dialect) -> Query:
    """A page of recipients. Given at execution: lo, hi (ids), cursor_id, cursor_n, limit."""
    keys = _by_tag(filters, scope) if filters.tag else _by_index(filters, scope)
    page = keys.limit(p("limit", type_=Integer)).offset(_ZERO).subquery("page")
    whole = t.recipient.alias("whole")
    same = and_(whole.c.message_id == page.c.message_id, whole.c.n == page.c.n)
    rows = (
        select(*whole.c)
        .select_from(page.join(whole, same))
        .where(*_in_day(whole.c.message_id))
        .order_by(whole.c.message_id.desc(), whole.c.n.desc())
    )
    return compiled(rows, dialect)


def _by_index(filters: Filters, scope: Scope) -> Select[Any]:
    leads = _leads(filters)
    conditions = [condition for _, some in leads for condition in some]
    if scope.tenant_id is not None:
        conditions.append(_r.c.tenant_id == scope.tenant_id)
        leads.append(("tenant", []))
    keys = _keys(_r.c.message_id).where(*conditions)
    lead = next((index for index, _ in leads if index), "")
    if lead and not message_id_of(filters.message):
        keys = keys.with_hint(_r, _HINT % lead, "sqlite")
    return keys


def _by_tag(filters: Filters, scope: Scope) -> Select[Any]:
    tag = t.tag.c
    others = [condition for _, some in _leads(filters) for condition in some]
    keys = _keys(tag.message_id).select_from(t.tag.join(_r, _r.c.message_id == tag.message_id))
    keys = keys.where(tag.tag == filters.tag[:TEXT], *_in_day(_r.c.message_id))
    if scope.tenant_id is not None:
        keys = keys.where(tag.tenant_id == scope.tenant_id)
    return keys.where(*others)


def _keys(leading: ColumnElement[int]) -> Select[Any]:
    """The keys behind the cursor, newest first, by the message id of the table that leads."""
    place = tuple_(leading, _r.c.n)
    return (
        select(leading.label("message_id"), _r.c.n)
        .where(*_in_day(leading), place < tuple_(p("cursor_id"), p("cursor_n")))
        .order_by(leading.desc(), _r.c.n.desc())
    )


def _in_day(message_id: ColumnElement[int]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Said of every table: PostgreSQL then looks at one partition of each."""
    return message_id >= p("lo"), message_id < p("hi")


def _leads(filters: Filters) -> list[tuple[str, list[ColumnElement[bool]]]]:
    """The conditions with their indexes, the one that leaves the fewest rows first."""
    found = []
    if filters.message:
        found.append(_of_message(filters.message))
    if filters.address:
        found.append(("address", _of_address(filters.address)))
    if filters.flags:
        flags = _r.c.flags.bitwise_and(int(filters.flags)) != _ZERO
        found.append(("flags", [_FLAGGED, flags]))
    if filters.status is not None:
        found.append(_of_status(filters.status))
    if filters.sender:
        found.append(("header_from", [func.lower(_r.c.header_from) == _lower(filters.sender)]))
    if filters.domain:
        found.append(("domain", [_r.c.domain == filters.domain.lower()[:TEXT]]))
    return found


def _of_message(text: str) -> tuple[str, list[ColumnElement[bool]]]:
    own = message_id_of(text)
    if own:
        return "", [_r.c.message_id == own]
    return "message_id_header", [_r.c.message_id_header == bracketed(text)]


def message_id_of(text: str) -> int:
    """Our id, 0 when the text is none (then it is a Message-ID header)."""
    try:
        return ids.from_text(text)
    except ValueError:
        return 0


def bracketed(header: str) -> str:
    """A Message-ID header as the log has it."""
    return f"<{header.strip().strip('<>')}>"[:TEXT]


def _of_address(text: str) -> list[ColumnElement[bool]]:
    address = func.lower(_r.c.address)
    if not text.endswith("*"):
        return [address == _lower(text)]
    prefix = _lower(text[:-1])
    if len(prefix) < MIN_PREFIX:
        raise UsageError(f"{text}: give at least {MIN_PREFIX} characters before the *")
    return [address >= prefix, address < prefix + _LAST_CHARACTER]


def _lower(text: str) -> str:
    """As both databases lower: ASCII only (the columns are bytewise)."""
    return text.translate(_ASCII_LOWER)[:TEXT]


def _of_status(status: Status) -> tuple[str, list[ColumnElement[bool]]]:
    """Delivered ones are not in the index: they are nearly all there is, at every place."""
    if status is Status.DELIVERED:
        return "", [_r.c.status == status.value]
    return "status", [_TROUBLED, _r.c.status == status.value]


def recipients_of(dialect: Dialect) -> Query:
    """The recipients of a message. Given at execution: message_id, limit."""
    r = t.recipient.c
    statement = select(*r).where(r.message_id == p("message_id")).order_by(r.n)
    return compiled(_at_most(statement), dialect)


def events_of(dialect: Dialect) -> Query:
    """The events of a message, in order. Given at execution: message_id, limit."""
    e = t.event.c
    statement = select(*e).where(e.message_id == p("message_id")).order_by(e.seq)
    return compiled(_at_most(statement), dialect)


def _at_most(statement: Select[Any]) -> Select[Any]:
    return statement.limit(p("limit", type_=Integer)).offset(_ZERO)


def original(dialect: Dialect) -> Query:
    """Recipients of the messages with a Message-ID. Given: lo, hi, header, limit."""
    keys = select(_r.c.message_id, _r.c.n, _r.c.tenant_id, _r.c.address)
    keys = keys.where(_r.c.message_id_header == p("header"), *_in_day(_r.c.message_id))
    return compiled(_at_most(keys.order_by(_r.c.message_id.desc(), _r.c.n)), dialect)


def last_position(dialect: Dialect) -> Query:
    """The journal's last place in a day. Given at execution: lo, hi."""
    j = t.journal.c
    return compiled(select(func.max(j.position)).where(*_in_day(j.message_id)), dialect)


def events(filters: EventFilters, scope: Scope, dialect: Dialect) -> Query:
    """Events in the order of the journal. Given: lo, hi, after, upto, limit (places)."""
    j, e = t.journal.c, t.event.c
    same = and_(e.message_id == j.message_id, e.n == j.n, e.seq == j.seq)
    statement = (
        select(j.position, *e)
        .select_from(t.journal.join(t.event, same))
        .where(
            j.position > p("after"),
            j.position <= p("upto"),
            *_in_day(j.message_id),
            *_in_day(e.message_id),
            *_of_events(filters),
        )
        .order_by(j.position)
    )
    if scope.tenant_id is not None:
        statement = statement.where(j.tenant_id == scope.tenant_id)
    return compiled(_at_most(statement), dialect)


def _of_events(filters: EventFilters) -> list[ColumnElement[bool]]:
    j = t.journal.c
    conditions: list[ColumnElement[bool]] = []
    if filters.kinds:
        conditions.append(or_(*(j.kind == kind.value for kind in sorted(filters.kinds))))
    if filters.message:
        conditions.append(j.message_id == message_id_of(filters.message))
    about: list[ColumnElement[bool]] = []
    if filters.address:
        about += _of_address(filters.address)
    if filters.domain:
        about.append(_r.c.domain == filters.domain.lower())
    if about:
        one = and_(_r.c.message_id == j.message_id, or_(j.n < _ZERO, _r.c.n == j.n))
        conditions.append(exists().where(one, *about, *_in_day(_r.c.message_id)))
    return conditions
