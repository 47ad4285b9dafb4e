"""Queries: a search as one statement that every day answers for itself; pure.

The statement names its leading index on SQLite, which keeps no statistics here and would guess;
PostgreSQL has its own and chooses. It finds the keys first and fetches the rows of one page only.
Results are ordered by (message_id, n), newest first: the key of paging, since no two share it.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Integer,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)

from appliance.core import clock, ids
from appliance.core.errors import UsageError
from appliance.history import tables as t
from appliance.history.rows import TEXT
from mta.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.engine import Dialect

    from appliance.core.scope import Scope
    from appliance.history.model import Filters

MIN_PREFIX: Final = 3
MAX_WORDS: Final = 5
_LAST_CHARACTER: Final = "\U0010ffff"
ZERO: Final[ColumnElement[int]] = literal_column("0")
_HINT: Final = "INDEXED BY ix_log_recipient_%s"
p = bindparam
r = t.recipient.alias("r")
_ADDRESS: Final[ColumnElement[str]] = func.lower(r.c.address)
# With nothing behind it no database takes an index for it.
_PLAIN_ADDRESS: Final[ColumnElement[str]] = literal_column("(lower(r.address) || '')", Text)
_INDEXES: Final = {
    "header": "message_id_header",
    "address": "address",
    "prefix": "address",
    "flags": "flags",
    "status": "status",
    "sender": "header_from",
    "domain": "domain",
    "tenant": "tenant",
}
"""What leads a search, the one that leaves the fewest rows first."""

_SCAN_LEADS: Final = ("header", "address", "sender", "tenant", "flags", "status", "domain")
"""The same where rows are looked at in the order of time: a tenant's own before everybody's."""

SUBJECT: Final = tuple(f"subject{at}" for at in range(MAX_WORDS))
UNINDEXED: Final = frozenset({"credential", "class", "sender_domain", *SUBJECT})
"""What only a look at each row tells: an index would cost every message more than it is worth."""

Shape = frozenset[str]
"""The names of what a search asks for (given_of)."""


class Way(StrEnum):
    """The statements of a search."""

    BY_INDEX = "by index"
    BY_TIME = "by time"
    HOW_MANY = "how many"
    FAR_DOWN = "far down"
    SCAN = "scan"
    WINDOW = "window"


_NO_PATTERN: Final = str.maketrans({one: f"\\{one}" for one in "\\%_"})
_ASCII_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# Exactly the conditions of the partial indexes: SQLite uses those for nothing else.
_TROUBLED: Final[ColumnElement[bool]] = literal_column("r.status <> 'delivered'")
_FLAGGED: Final[ColumnElement[bool]] = literal_column("r.flags <> 0")
QUARTER: Final = ids.first_at(ids.EPOCH_MS + 15 * clock.MINUTE)
"""How far apart ids are that were made a quarter of an hour apart: every zone's hours are made of these."""

SEVERAL: Final = 50
"""Message ids that one statement looks for."""


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


@lru_cache(256)
def _compiled(shape: Shape, way: Way, dialect: Dialect) -> tuple[str, tuple[str, ...], Any]:
    """The text of a search: it hangs on what is asked for, not on the values. 4 ms when made."""
    made = _WAYS[way](shape)
    found = compiled(made, dialect)
    return found.sql, found.names, found.fixed


def recipients(filters: Filters, scope: Scope, dialect: Dialect, way: Way = Way.BY_INDEX) -> Query:
    """A page of recipients. Given at execution: lo, hi (ids), cursor_id, cursor_n, limit."""
    given = given_of(filters, scope)
    sql, names, fixed = _compiled(frozenset(given), way, dialect)
    return Query(sql, names, {**fixed, **given})


def given_of(filters: Filters, scope: Scope) -> dict[str, Any]:
    """What is asked for, by the name that it has in the statement."""
    given: dict[str, Any] = {}
    if filters.message:
        own = message_id_of(filters.message)
        given |= {"own": own} if own else {"header": bracketed(filters.message)}
    if filters.address:
        given |= given_of_address(filters.address)
    if filters.flags:
        given["flags"] = int(filters.flags)
    if filters.status is not None:
        # Delivered ones are not in the index: they are nearly all there is, at every place.
        name = "delivered" if filters.status is Status.DELIVERED else "status"
        given[name] = filters.status.value
    if filters.category:
        given["category"] = filters.category[:TEXT]
    if filters.sender:
        given["sender"] = _lower(filters.sender)
    if filters.domain:
        given["domain"] = filters.domain.lower()[:TEXT]
    if filters.tag:
        given["tag"] = filters.tag[:TEXT]
    given |= _given_unindexed(filters)
    if scope.tenant_id is not None:
        given["tenant"] = scope.tenant_id
    return {name: storable(value) for name, value in given.items()}


def _given_unindexed(filters: Filters) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if filters.credential:
        given["credential"] = filters.credential
    if filters.traffic_class:
        given["class"] = filters.traffic_class[:TEXT]
    if filters.sender_domain:
        given["sender_domain"] = f"%@{_literally(filters.sender_domain.removeprefix('@'))}"
    words = filters.subject.split()
    if len(words) > MAX_WORDS:
        raise UsageError(f"give at most {MAX_WORDS} words", field="subject")
    return given | {
        name: f"%{_literally(word)}%" for name, word in zip(SUBJECT, words, strict=False)
    }


def _literally(text: str) -> str:
    """For LIKE: nothing in it stands for anything else."""
    return _lower(text).translate(_NO_PATTERN)


def storable(value: Any) -> Any:
    """A text as a database may have it; no text of the log has a NUL or half a character."""
    if not isinstance(value, str):
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def given_of_address(text: str) -> dict[str, Any]:
    """An address, or a prefix followed by *."""
    if not text.endswith("*"):
        return {"address": _lower(text)}
    prefix = _lower(text[:-1])
    if len(prefix) < MIN_PREFIX:
        raise UsageError(f"{text}: give at least {MIN_PREFIX} characters before the *")
    return {"prefix": prefix, "prefix_end": prefix + _LAST_CHARACTER}


def _page(keys: Select[Any]) -> Select[Any]:
    """The rows of one page of keys."""
    page = keys.limit(p("limit", type_=Integer)).offset(ZERO).subquery("page")
    whole = t.recipient.alias("whole")
    same = and_(whole.c.message_id == page.c.message_id, whole.c.n == page.c.n)
    return (
        select(*whole.c)
        .select_from(page.join(whole, same))
        .where(*in_day(whole.c.message_id))
        .order_by(whole.c.message_id.desc(), whole.c.n.desc())
    )


def _by_index(shape: Shape) -> Select[Any]:
    """By the condition that leaves the fewest rows."""
    if "tag" in shape:
        return _page(_by_tag(shape))
    keys = _keys(r.c.message_id).where(*conditions(shape))
    lead = next((index for name, index in _INDEXES.items() if name in shape), "")
    if lead and "own" not in shape:
        keys = keys.with_hint(r, _HINT % lead, "sqlite")
    return _page(keys)


def _by_tag(shape: Shape) -> Select[Any]:
    tag = t.tag.c
    keys = _keys(tag.message_id).select_from(t.tag.join(r, r.c.message_id == tag.message_id))
    keys = keys.where(tag.tag == p("tag"), *in_day(r.c.message_id))
    if "tenant" in shape:
        keys = keys.where(tag.tenant_id == p("tenant"))
    return keys.where(*conditions(shape - {"tenant"}))


def _by_time(shape: Shape) -> Select[Any]:
    """The newest first, each looked at (SQLite)."""
    keys = _keys(r.c.message_id).where(*conditions(shape, address=_PLAIN_ADDRESS))
    if "tenant" in shape:
        keys = keys.with_hint(r, _HINT % "tenant", "sqlite")
    return _page(keys)


def _how_many(shape: Shape) -> Select[Any]:
    """Hits of a prefix, counted up to `limit`, of all tenants and times: from the index alone."""
    of_prefix = conditions(shape & {"prefix", "prefix_end"})
    some: Select[Any] = select(literal_column("1")).select_from(r).where(*of_prefix)
    some = some.with_hint(r, _HINT % "address", "sqlite").limit(p("limit", type_=Integer))
    return select(func.count()).select_from(some.offset(ZERO).subquery("some"))


def _far_down(shape: Shape) -> Select[Any]:
    """The key that lies `skip` rows behind the cursor."""
    keys = _keys(r.c.message_id).where(*conditions(shape & {"tenant"}))
    if "tenant" in shape:
        keys = keys.with_hint(r, _HINT % "tenant", "sqlite")
    return keys.limit(literal_column("1")).offset(p("skip", type_=Integer))


def _lead_of_scan(shape: Shape) -> str:
    return next((name for name in _SCAN_LEADS if name in shape and "own" not in shape), "")


def _scan(shape: Shape) -> Select[Any]:
    """The newest first of what leads, each looked at."""
    if "tag" in shape:
        return _page(_by_tag(shape))
    lead = _lead_of_scan(shape)
    by_address = _ADDRESS if lead == "address" else _PLAIN_ADDRESS
    return _page(_led(_keys(r.c.message_id).where(*conditions(shape, by_address)), lead))


def _window(shape: Shape) -> Select[Any]:
    """How many of the next `limit` there are of what leads a scan, and the message of the last."""
    lead = _lead_of_scan(shape)
    if "tag" in shape:
        tag = t.tag.c
        keys = select(tag.message_id).where(tag.tag == p("tag"), *in_day(tag.message_id))
        keys = keys.where(tag.message_id < p("cursor_id")).order_by(tag.message_id.desc())
    else:
        keys = _led(_keys(r.c.message_id).where(*conditions(shape & {lead})), lead)
    some = at_most(keys).subquery("some")
    how_many: Any = select(func.count(), func.min(some.c.message_id))
    found: Select[Any] = how_many.select_from(some)
    return found


def _led(keys: Select[Any], lead: str) -> Select[Any]:
    return keys.with_hint(r, _HINT % _INDEXES[lead], "sqlite") if lead else keys


_WAYS: Final[Mapping[Way, Callable[[Shape], Select[Any]]]] = {
    Way.BY_INDEX: _by_index,
    Way.BY_TIME: _by_time,
    Way.HOW_MANY: _how_many,
    Way.FAR_DOWN: _far_down,
    Way.SCAN: _scan,
    Way.WINDOW: _window,
}


def _keys(leading: ColumnElement[int]) -> Select[Any]:
    """The keys behind the cursor, newest first, by the message id of the table that leads."""
    place = tuple_(leading, r.c.n)
    return (
        select(leading.label("message_id"), r.c.n)
        .where(*in_day(leading), place < tuple_(p("cursor_id"), p("cursor_n")))
        .order_by(leading.desc(), r.c.n.desc())
    )


def in_day(message_id: ColumnElement[int]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Said of every table: PostgreSQL then looks at one partition of each."""
    return message_id >= p("lo"), message_id < p("hi")


def conditions(shape: Shape, address: ColumnElement[str] = _ADDRESS) -> list[ColumnElement[bool]]:
    """What each name in the shape asks of a recipient."""
    of_name: dict[str, tuple[ColumnElement[bool], ...]] = {
        "own": (r.c.message_id == p("own"),),
        "header": (r.c.message_id_header == p("header"),),
        "address": (address == p("address"),),
        "prefix": (address >= p("prefix"),),
        "prefix_end": (address < p("prefix_end"),),
        "flags": (_FLAGGED, r.c.flags.bitwise_and(p("flags")) != ZERO),
        "status": (_TROUBLED, r.c.status == p("status")),
        "delivered": (r.c.status == p("delivered"),),
        "category": (r.c.category == p("category"),),
        "sender": (func.lower(r.c.header_from) == p("sender"),),
        "domain": (r.c.domain == p("domain"),),
        "credential": (r.c.credential_id == p("credential"),),
        "class": (r.c.traffic_class == p("class"),),
        "sender_domain": (_like(r.c.header_from, "sender_domain"),),
        **{name: (_like(r.c.subject, name),) for name in SUBJECT},
        "tenant": (r.c.tenant_id == p("tenant"),),
    }
    return [one for name, some in of_name.items() if name in shape for one in some]


def _like(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    return func.lower(column).like(p(name), escape="\\")


def message_id_of(text: str) -> int:
    """Our id, 0 when the text is none (then it is a Message-ID header)."""
    try:
        return ids.from_text(text)
    except ValueError:
        return 0


def bracketed(header: str) -> str:
    """A Message-ID header as the log has it."""
    return f"<{header.strip().strip('<>')}>"[:TEXT]


def _lower(text: str) -> str:
    """As both databases lower: ASCII only (the columns are bytewise)."""
    return text.translate(_ASCII_LOWER)[:TEXT]


def recipients_of(dialect: Dialect) -> Query:
    """The recipients of a message. Given at execution: message_id, limit."""
    r = t.recipient.c
    statement = select(*r).where(r.message_id == p("message_id")).order_by(r.n)
    return compiled(at_most(statement), dialect)


def events_of(dialect: Dialect) -> Query:
    """The events of a message, in order. Given at execution: message_id, limit."""
    e = t.event.c
    statement = select(*e).where(e.message_id == p("message_id")).order_by(e.seq)
    return compiled(at_most(statement), dialect)


def several(dialect: Dialect) -> Query:
    """Recipients by their keys. Given at execution: SEVERAL times m0, n0, m1, n1, ..."""
    r = t.recipient.c
    these = (and_(r.message_id == p(f"m{at}"), r.n == p(f"n{at}")) for at in range(SEVERAL))
    return compiled(select(*r).where(or_(*these)), dialect)


def acceptances(dialect: Dialect) -> Query:
    """Events of acceptance. Given at execution: SEVERAL message ids, m0, m1, ..."""
    e = t.event.c
    these = e.message_id.in_([p(f"m{number}") for number in range(SEVERAL)])
    is_whole = e.n == literal_column("-1")
    accepted = e.kind == literal_column("'accepted'")
    return compiled(select(e.message_id, e.data).where(these, is_whole, accepted), dialect)


def waiting(dialect: Dialect) -> Query:
    """How many of a tenant wait, by quarters of an hour. Given: status, tenant, lo, hi, limit.

    Of the newest `limit` of everybody's: one tenant's few are not looked for among all.
    """
    newest = select(r.c.message_id, r.c.tenant_id).where(*conditions(frozenset({"status"})))
    newest = newest.where(*in_day(r.c.message_id)).with_hint(r, _HINT % "status", "sqlite")
    some = at_most(newest.order_by(r.c.message_id.desc())).subquery("some")
    quarter = (some.c.message_id // literal_column(str(QUARTER), Integer)).label("quarter")
    counted: Select[Any] = select(quarter, func.count()).where(some.c.tenant_id == p("tenant"))
    return compiled(counted.group_by(quarter), dialect)


def at_most(statement: Select[Any]) -> Select[Any]:
    return statement.limit(p("limit", type_=Integer)).offset(ZERO)


def original(dialect: Dialect) -> Query:
    """Recipients of the messages with a Message-ID. Given: lo, hi, header, limit."""
    keys = select(r.c.message_id, r.c.n, r.c.tenant_id, r.c.address)
    keys = keys.where(r.c.message_id_header == p("header"), *in_day(r.c.message_id))
    return compiled(at_most(keys.order_by(r.c.message_id.desc(), r.c.n)), dialect)
