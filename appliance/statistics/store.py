"""Store: the tables of statistics as their writer has them: making them, adding to them, forgetting.

    advance    new counts and the cursor behind them, in one transaction, if the cursor is where it was
    switch     counts that were made again take the place of those in use, in one transaction

Promises: a reader never sees half of either. Tables of another version are dropped and begun anew.
Blocks: call it in a thread. Fails with StoreError, having changed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, insert, inspect, literal, select, update

from appliance.core import clock
from appliance.core.database import (
    lock_for_migration,
    open_sync_engine,
    sync_transaction,
    translated,
    upsert,
)
from appliance.core.errors import StoreError
from appliance.statistics.model import COLUMNS, EVERYBODY, Step
from appliance.statistics.tables import VERSION, counts_of_step, generation, metadata, version
from mta.spool.backend import compile_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, Table

    from appliance.core.database import Location
    from appliance.statistics.rules import Row, Tally

SETTLED: Final = 7 * clock.DAY
"""How long after its acceptance news of a message come, but for a few."""

ABANDONED: Final = clock.DAY
"""After so long without progress, counts that were being made again are dropped."""

g = generation.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Counts that belong together, and how far they go."""

    number: int
    is_live: bool
    cursor: str
    counted_to: int
    since: int


class Store:
    """Not for several threads at once."""

    def __init__(self, location: Location, now: Callable[[], int] = clock.now_ms) -> None:
        self._location, self._now = location, now
        self._engine = open_sync_engine(location)

    def close(self) -> None:
        """Let it go."""
        self._engine.dispose()

    def open(self, *, anew: bool = True) -> None:
        """Make the tables; `anew`: also in place of those that another version has written."""
        with sync_transaction(self._engine) as connection:
            lock_for_migration(connection, "statistics")
            found = _version(connection)
            if found == VERSION:
                return
            if found and not anew:
                raise StoreError(
                    f"the statistics have version {found}, this program reads {VERSION}:"
                    " the worker makes them anew when it starts"
                )
            metadata.drop_all(connection)
            metadata.create_all(connection)
            connection.execute(insert(version).values(version=VERSION))
            self._begin(connection, 1, since=0, is_live=True)

    # -- generations -------------------------------------------------------------

    def live(self) -> Generation:
        """What readers see."""
        return self._one(g.is_live)

    def get(self, number: int) -> Generation | None:
        """One of them; None once it was dropped."""
        with translated(), self._engine.connect() as connection, connection.begin():
            row = connection.execute(select(*g).where(g.generation == number)).one_or_none()
        return None if row is None else _generation(row)

    def begin_again(self, first_day: int) -> Generation:
        """Begin to count anew, from the first step that the log still knows whole; others are dropped.

        `first_day`: where the log begins (ms). What happened in the days after it may be about messages
        of days that are gone, for as long as mail waits; where older counts stand, these days are left
        as they are.
        """
        with sync_transaction(self._engine) as connection:
            live = _generation(connection.execute(select(*g).where(g.is_live)).one())
            number = connection.execute(select(func.max(g.generation))).scalar_one() + 1
            self._drop_others(connection)
            since = first_day + SETTLED if _reaches_before(connection, live, first_day) else 0
            self._begin(connection, number, since=since, is_live=False)
        made = self.get(number)
        assert made is not None, "it was just made"
        return made

    def switch(self, made: Generation) -> bool:
        """Let the new counts take the place of the old; False when they were dropped meanwhile."""
        with sync_transaction(self._engine) as connection:
            is_made = g.generation == made.number
            if connection.execute(select(g.generation).where(is_made)).one_or_none() is None:
                return False
            old = _generation(connection.execute(select(*g).where(g.is_live)).one())
            for table in counts_of_step.values():
                _take_over(connection, table, old.number, made)
            connection.execute(update(generation).values(is_live=is_made))
            self._drop_others(connection)
        return True

    # -- counting ----------------------------------------------------------------

    def values_of(self, number: int, day: int) -> Sequence[tuple[int, str, str]]:
        """Every value that the day has: (tenant, dimension, value)."""
        c = counts_of_step[Step.DAY].c
        wanted = select(c.tenant_id, c.dimension, c.value).where(
            c.generation == number, c.start == day
        )
        with translated(), self._engine.connect() as connection, connection.begin():
            return [(row[0], row[1], row[2]) for row in connection.execute(wanted)]

    def advance(
        self,
        before: Generation,
        cursor: str,
        counted_to: int,
        rows: Mapping[Step, Mapping[Row, Tally]],
    ) -> bool:
        """Add counts and move the cursor; False when somebody has moved it meanwhile."""
        at_place = (g.generation == before.number, g.cursor == before.cursor)
        values = {"cursor": cursor, "counted_to": counted_to, "touched_at": self._now()}
        with sync_transaction(self._engine) as connection:
            moved = connection.execute(update(generation).where(*at_place).values(values))
            if not moved.rowcount:
                return False
            for step, found in rows.items():
                _add(connection, counts_of_step[step], before.number, found)
        return True

    # -- tidying -----------------------------------------------------------------

    def tidy(self, *, hours_days: int, days_days: int) -> None:
        """Forget what is no longer kept, and counts whose making was given up."""
        now = self._now()
        kept = {Step.HOUR: hours_days, Step.DAY: days_days}
        with sync_transaction(self._engine) as connection:
            for step, table in counts_of_step.items():
                old = table.c.start < now - kept[step] * clock.DAY
                connection.execute(delete(table).where(old))
            stale = g.is_live.is_(False) & (g.touched_at < now - ABANDONED)
            if connection.execute(select(func.count()).where(stale)).scalar_one():
                self._drop_others(connection)

    # -- how -----------------------------------------------------------------------

    def _one(self, condition: Any) -> Generation:
        with translated(), self._engine.connect() as connection, connection.begin():
            return _generation(connection.execute(select(*g).where(condition)).one())

    def _begin(self, connection: Connection, number: int, *, since: int, is_live: bool) -> None:
        empty = {"cursor": "", "counted_to": 0, "since": since, "touched_at": self._now()}
        connection.execute(insert(generation).values(generation=number, is_live=is_live, **empty))

    def _drop_others(self, connection: Connection) -> None:
        live = select(g.generation).where(g.is_live).scalar_subquery()
        for table in (*counts_of_step.values(), generation):
            connection.execute(delete(table).where(table.c.generation != live))


def prepare(location: Location) -> None:
    """Before reading: let there be something to read, on a box whose worker has never run."""
    store = Store(location)
    try:
        store.open(anew=False)
    finally:
        store.close()


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(version.name):
        return 0
    return int(connection.execute(select(version.c.version)).scalar_one_or_none() or 0)


def _generation(row: Any) -> Generation:
    number, is_live, cursor, counted_to, since, _ = row
    return Generation(
        number=number, is_live=is_live, cursor=cursor, counted_to=counted_to, since=since
    )


def _reaches_before(connection: Connection, live: Generation, first_day: int) -> bool:
    c = counts_of_step[Step.DAY].c
    older = (c.generation == live.number, c.tenant_id == EVERYBODY, c.start < first_day)
    return connection.execute(select(c.start).where(*older).limit(1)).first() is not None


def _take_over(connection: Connection, table: Table, old: int, made: Generation) -> None:
    """Copy what is older than what was made again."""
    names = [column.name for column in table.columns]
    others = [table.c[name] for name in names if name != "generation"]
    kept = select(literal(made.number), *others).where(
        table.c.generation == old, table.c.start < made.since
    )
    connection.execute(insert(table).from_select(names, kept))


def _add(connection: Connection, table: Table, number: int, rows: Mapping[Row, Tally]) -> None:
    if not rows:
        return
    # As text with tuples: SQLAlchemy's own execution costs three times as much a row.
    values = [
        (number, row.tenant_id, row.dimension.value, row.start, row.value, *counts)
        for row, counts in rows.items()
    ]
    connection.exec_driver_sql(_upsert(connection, table), values)


def _upsert(connection: Connection, table: Table) -> str:
    statement = upsert(connection, table)
    statement = statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: table.c[name] + statement.excluded[name] for name in COLUMNS},
    )
    make_dialect: Any = type(connection.dialect)
    plain = "format" if connection.dialect.name == "postgresql" else "qmark"
    order = tuple(column.name for column in table.columns)
    return compile_text(statement, make_dialect(paramstyle=plain), order)
