"""Questions people ask of a queue: who waits, held or not, and how many where.

A queue may hold a million recipients, and the thread that answers also commits the mail. So no
question reads it at once: `find` and the tallies look at one slice of at most SLICE rows, in the
order of an index, and say where to go on. Counting reads an index alone. Whoever cannot be read is left
out (damage.py), and counted all the same. Never: a sort or a join over the whole queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Integer,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    tuple_,
)

from appliance.core import ids
from mta.spool import tables as t
from mta.spool.statements import HELD, WAITING, Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Select
    from sqlalchemy.sql import ClauseElement

    from mta.message import Recipient
    from mta.spool.damage import Damage

SLICE: Final = 5_000
SLOW_SLICE: Final = 1_000
"""Rows that one question looks at before the mail has its turn again: 10 to 20 ms. The slow ones look
at the message of each row, or fetch them all."""

Place = tuple[int, int]
"""Message and n of a recipient."""

FIRST: Final[Place] = (-1, -1)
_LAST: Final[Place] = (1 << 62, 0)


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
    tag: str = ""
    site: str = ""
    provider: str = ""
    egress: str = ""  # tried from there last, or ready to be sent from there
    sender_domain: str = ""  # of the address in From
    before: int = 0  # accepted before this time (ms)
    attempts: int = 0  # tried at least so often

    @property
    def is_by_tenant(self) -> bool:
        """Whether it is one tenant's mail; a message that is named is found by itself."""
        return bool(self.tenant_id) and not self.message_id

    @property
    def is_of_tenant_alone(self) -> bool:
        """Whether all that waits of a tenant matches."""
        return self.is_by_tenant and self == QueueFilter(tenant_id=self.tenant_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a filter means as the scheduler's memory has it at this moment."""

    domains: frozenset[str] | None = None  # of the site or provider; None = any
    places: frozenset[Place] = frozenset()  # recipients that are ready at the egress


@dataclass(frozen=True, slots=True)
class Found:
    """Recipients of one slice, in order; `after` is where the next begins, None at the end."""

    recipients: list[Recipient]
    after: Place | None


Tally = tuple[int, str, str, int, int, int, int]
"""How many of a slice wait alike: tenant, domain or egress, state, number, next due, oldest message, and
how many of them are due soon.

A plain tuple: of hundreds of thousands of anything else the garbage collector looks at each.
"""


class Kind(StrEnum):
    """What is counted by one index."""

    WAITING = "waiting"  # by tenant and domain
    HELD = "held"  # the same
    EGRESS = "egress"  # waiting and held, by the egress that was tried last; "" where none was


_r, _m = t.recipient.c, t.message.c
_WAITS: ColumnElement[bool] = literal_column("status IN ('queued', 'deferred', 'held')")
_ONE: ColumnElement[int] = literal_column("1")
_ZERO: ColumnElement[int] = literal_column("0")
_PLACE = (_r.message_id, _r.n)
_KEY = (_r.tenant_id, _r.traffic_class, _r.domain, _r.pool, _r.due_at, _r.message_id, _r.n)
_GROUP = (_r.tenant_id, _r.domain, _r.traffic_class, _r.pool)
_STATES: Final = {
    Kind.WAITING: ("queued", "deferred"),
    Kind.HELD: ("held",),
    Kind.EGRESS: ("queued", "deferred", "held"),
}
_KEY_SPAN: Final = ((-1, "", "", "", -1, -1, -1), (1 << 62, "", "", "", 0, 0, 0))
_SPANS: Final = {Kind.WAITING: _KEY_SPAN, Kind.HELD: _KEY_SPAN, Kind.EGRESS: (FIRST, _LAST)}
_tags = msgspec.json.Decoder(tuple[str, ...])
p = bindparam


def _names(prefix: str, width: int) -> tuple[str, ...]:
    return tuple(f"b_{prefix}{i}" for i in range(width))


def _end(columns: tuple[Any, ...], *conditions: ColumnElement[bool]) -> Statement:
    """Where the slice behind a place ends."""
    after = _names("after", len(columns))
    statement = (
        select(*columns)
        .where(_r.shard == p("b_shard"), tuple_(*columns) > tuple_(*map(p, after)), *conditions)
        .order_by(*columns)
        .limit(_ONE)
        .offset(p("b_rows", type_=Integer()))
    )
    return statement, ("b_shard", *after, "b_rows")


def _of_state(state: str) -> tuple[ColumnElement[int], ...]:
    """How many of a state, when the first is due, the id of the oldest message, how many are due soon."""
    there: ColumnElement[bool] = literal_column(f"status = '{state}'")
    return (
        func.count(case((there, _ONE))),
        func.min(case((there, _r.due_at))),
        func.min(case((there, _r.message_id))),
        func.count(case((and_(there, _r.due_at <= p("b_soon")), _ONE))),
    )


def _counts(
    columns: tuple[Any, ...],
    group: tuple[Any, ...],
    condition: ColumnElement[bool],
    states: tuple[str, ...],
) -> Statement:
    """Counts of the rows between two places. Grouped as the index is ordered: nothing is sorted."""
    after, upto = _names("after", len(columns)), _names("upto", len(columns))
    statement = select(*group, *(column for state in states for column in _of_state(state))).where(
        _r.shard == p("b_shard"),
        tuple_(*columns) > tuple_(*map(p, after)),
        tuple_(*columns) <= tuple_(*map(p, upto)),
        condition,
    )
    grouped = (column for column in group if column is not _ZERO)
    soon = ("b_soon",) * len(states)
    return statement.group_by(*grouped), (*soon, "b_shard", *after, *upto)


def _sample(column: Any) -> Statement:
    statement = (
        select(*t.recipient.columns)
        .where(_r.message_id == p("b_message"), column == p("b_name"), _r.status == p("b_status"))
        .order_by(_r.n)
        .limit(_ONE)
        .offset(_ZERO)
    )
    return statement, ("b_message", "b_name", "b_status")


QUESTIONS: Final[dict[str, Statement]] = {
    "end": _end(_PLACE),
    "end_waiting": _end(_KEY, WAITING),
    "end_held": _end(_KEY, HELD),
    "end_egress": _end(_PLACE),
    "count_waiting": _counts(_KEY, _GROUP, WAITING, _STATES[Kind.WAITING]),
    "count_held": _counts(_KEY, _GROUP, HELD, _STATES[Kind.HELD]),
    "count_egress": _counts(_PLACE, (_ZERO, _r.last_egress), _WAITS, _STATES[Kind.EGRESS]),
    "sample_domain": _sample(_r.domain),
    "sample_egress": _sample(_r.last_egress),
    "held_expired": (
        select(_r.message_id, _r.n)
        .where(_r.shard == p("b_shard"), HELD, _r.expires_at <= p("b_now"))
        .limit(p("b_limit", type_=Integer()))
        .offset(_ZERO),
        ("b_shard", "b_now", "b_limit"),
    ),
    "one": (
        select(*t.recipient.columns).where(_r.message_id == p("b_message"), _r.n == p("b_n")),
        ("b_message", "b_n"),
    ),
}


class Questions:
    """Asks one shard's store, in the committing thread."""

    def __init__(
        self,
        shard: int,
        rows: Callable[[str, tuple[Any, ...]], list[Any]],
        run: Callable[[ClauseElement], list[Any]],
        damage: Damage,
    ) -> None:
        self._shard, self._rows, self._run, self._damage = shard, rows, run, damage

    def find(
        self, wanted: QueueFilter, after: Place, limit: int, known: Known | None = None
    ) -> Found:
        """Waiting and held recipients that match, of one slice, in the order of (message, n)."""
        known = known or Known()
        slow = _is_slow(wanted, known)
        size = SLOW_SLICE if slow else limit if wanted.is_of_tenant_alone else SLICE
        start = max(after, (wanted.message_id, -1)) if wanted.message_id else after
        statement = select_recipients(wanted, self._shard, start, size)
        rows = self._run(statement.limit(size if slow else limit))
        if slow:
            rows = self._narrowed(rows, wanted, known)
        if len(rows) >= limit:
            end: Place | None = (rows[limit - 1][0], rows[limit - 1][1])
        else:
            end = self._end_of(wanted, start, size)
            end = None if end and 0 < _last_of(wanted) < end[0] else end
        return Found(self._damage.recipients(rows[:limit]), end)

    def tally(
        self, kind: Kind, after: tuple[Any, ...] | None, soon: int = 0
    ) -> tuple[list[Tally], tuple[Any, ...] | None]:
        """The counts of one slice, and where the next begins; None is the start, and the end.

        `soon`: a time (ms); what is due by then is counted apart.
        """
        first, last = _SPANS[kind]
        start = after or first
        end = self._end(f"end_{kind}", start, SLICE)
        soons = (soon,) * len(_STATES[kind])
        rows = self._rows(f"count_{kind}", (*soons, self._shard, *start, *(end or last)))
        return _tallies(rows, _STATES[kind], len(rows[0]) if rows else 0), end

    def samples(self, of: list[Tally], kind: Kind) -> list[Recipient | None]:
        """The oldest recipient of each, as it stands; None where it has gone meanwhile."""
        statement = "sample_egress" if kind is Kind.EGRESS else "sample_domain"
        asked = [self._rows(statement, (one[5], one[1], one[2])) for one in of]
        return [next(iter(self._damage.recipients(rows)), None) for rows in asked]

    def held_expired(self, now: int, limit: int) -> list[Recipient]:
        """Held recipients whose life is over."""
        places = self._rows("held_expired", (self._shard, now, limit))
        rows = [row for place in places for row in self._rows("one", tuple(place))]
        return self._damage.recipients(rows)

    def _end_of(self, wanted: QueueFilter, after: Place, size: int) -> Place | None:
        if not wanted.is_by_tenant:
            end: Place | None = self._end("end", after, size)
            return end
        of_slice = select(*_PLACE).where(*_slice(wanted, self._shard, after)).order_by(*_PLACE)
        rows = self._run(of_slice.limit(1).offset(size - 1))
        return (rows[0][0], rows[0][1]) if rows else None

    def _end(self, name: str, after: tuple[Any, ...], size: int) -> Any:
        """The last place of the slice behind `after`; None when it is the last slice."""
        ends = self._rows(name, (self._shard, *after, size - 1))
        return tuple(ends[0]) if ends else None

    def _narrowed(self, rows: list[Any], wanted: QueueFilter, known: Known) -> list[Any]:
        """What SQL cannot say, or not alike in both databases."""
        if known.domains is not None:
            rows = [row for row in rows if row[6] in known.domains]
        if wanted.egress:
            here = known.places
            rows = [row for row in rows if row[15] == wanted.egress or (row[0], row[1]) in here]
        if wanted.tag and rows:
            tagged = self._tagged(wanted.tag, {row[0] for row in rows})
            rows = [row for row in rows if row[0] in tagged]
        return rows

    def _tagged(self, tag: str, messages: Iterable[int]) -> set[int]:
        """Those of at most SLOW_SLICE messages; among the ids between them there may be a million others."""
        quoted = msgspec.json.encode(tag).decode()
        these: ColumnElement[bool] = literal_column(f"id IN ({','.join(map(str, messages))})")
        statement = select(_m.id, _m.tags).where(these, _m.tags.contains(quoted, autoescape=True))
        return {row[0] for row in self._run(statement) if _has_tag(tag, row[1])}


def _has_tag(tag: str, tags: Any) -> bool:
    try:
        return tag in _tags.decode(tags)
    except (ValueError, TypeError):  # a damaged row
        return False


def _name(value: Any) -> str:
    """Of a damaged row: as much of it as is text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _tallies(rows: list[Any], states: tuple[str, ...], width: int) -> list[Tally]:
    """Rows begin with tenant and name, and end with four columns for each state."""
    starts = range(width - 4 * len(states), width, 4)
    return [
        (
            row[0],
            row[1] if isinstance(row[1], str) else _name(row[1]),
            state,
            *row[start : start + 4],
        )
        for start, state in zip(starts, states, strict=False)
        for row in rows
        if row[start]
    ]


def _last_of(wanted: QueueFilter) -> int:
    """The highest message id that can match; 0: any."""
    return wanted.message_id or (ids.first_at(wanted.before) if wanted.before else 0)


def _is_slow(wanted: QueueFilter, known: Known) -> bool:
    """Whether the message must be looked at too, or every row be fetched."""
    of_message = wanted.tag or wanted.credential_id or wanted.sender_domain
    return bool(known.domains is not None or wanted.egress or of_message)


def _slice(wanted: QueueFilter, shard: int, after: Place) -> tuple[ColumnElement[bool], ...]:
    """Of what a slice is made: of all rows, or of what waits of one tenant, by an index each."""
    behind = (_r.shard == shard, tuple_(*_PLACE) > tuple_(*after))
    if not wanted.is_by_tenant:
        return behind
    return (*behind, _r.tenant_id == wanted.tenant_id, literal_column(t.OF_TENANT))


def _of_message(wanted: QueueFilter) -> list[ColumnElement[bool]]:
    """What only the message knows."""
    found: list[ColumnElement[bool]] = []
    if wanted.credential_id:
        found.append(_m.credential_id == wanted.credential_id)
    if wanted.sender_domain:
        domain = f"@{wanted.sender_domain.lower()}"
        found.append(func.lower(_m.header_from).endswith(domain, autoescape=True))
    return found


def select_recipients(
    wanted: QueueFilter, shard: int, after: Place, size: int
) -> Select[tuple[object, ...]]:
    """Those of the next `size` rows that match, as far as SQL can tell."""
    slice_ = (
        select(*t.recipient.columns)
        .where(*_slice(wanted, shard, after))
        .order_by(*_PLACE)
        .limit(size)
        .subquery()
    )
    r = slice_.c
    statement = select(*r).where(_WAITS)
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
    if wanted.before:
        statement = statement.where(r.message_id < ids.first_at(wanted.before))
    if wanted.attempts:
        statement = statement.where(r.attempts >= wanted.attempts)
    of_message = _of_message(wanted)
    if of_message:
        statement = statement.where(
            select(_m.id).where(_m.id == r.message_id, *of_message).exists()
        )
    return statement.order_by(r.message_id, r.n)
