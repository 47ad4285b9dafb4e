"""An old day of the log is brought up to date when the worker opens it, and stays readable.

log-0001.db was written by revision 0001 and is never made anew.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from appliance.core import migrate
from appliance.core.database import open_sync_engine, sqlite_connect, sync_transaction
from appliance.core.errors import StoreError
from appliance.core.scope import Scope
from appliance.history import EventFilters, Filters, Flag, LogReader, LogWriter, write_partitions
from appliance.history.tables import metadata
from mta.status import Status

OLD = Path(__file__).with_name("log-0001.db")
DAY_FILE = "2027-01-15.db"
NOW = 1_800_000_000_000


def open_log(folder: Path) -> LogWriter:
    writer = LogWriter(write_partitions(folder), keep_days=30, now=lambda: NOW)
    writer.open()
    return writer


def test_what_an_old_day_knows_is_kept(tmp_path):
    shutil.copy(OLD, tmp_path / DAY_FILE)
    open_log(tmp_path).close()
    reader = LogReader(tmp_path)
    bob, ann = reader.search(Scope.system(), Filters(tag="welcome")).rows
    assert (ann.status, ann.flags, ann.reply) == (
        Status.DELIVERED,
        Flag.COMPLAINED,
        "250 2.0.0 ok",
    )
    assert bob.status is Status.QUEUED
    events = reader.events(Scope.system(), EventFilters()).events
    assert [str(event.kind) for event in events] == [
        "accepted",
        "delivered",
        "complained",
        "accepted",
    ]
    reader.close()


def test_a_day_of_a_newer_program_is_refused_in_words(tmp_path):
    shutil.copy(OLD, tmp_path / DAY_FILE)
    connection = sqlite_connect(tmp_path / DAY_FILE)
    connection.execute("UPDATE log_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="newer program"):
        open_log(tmp_path)
    reader = LogReader(tmp_path)
    with pytest.raises(StoreError, match="9999"):
        reader.search(Scope.system(), Filters())
    reader.close()


MANY = 45_000  # more than two parts of what 0002 moves at a time
GROW = (
    "WITH RECURSIVE s(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM s LIMIT :many)"
    " INSERT INTO log_event SELECT (SELECT min(message_id) FROM log_event) + n, 0, n, 'deferred', 7,"
    " randomblob(300) FROM s",
    "WITH RECURSIVE s(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM s LIMIT :many)"
    " INSERT INTO log_journal SELECT (SELECT max(position) FROM log_journal) + n,"
    " (SELECT min(message_id) FROM log_event) + n, 0, n, 1, 'deferred' FROM s",
)
KEPT = (
    "SELECT * FROM log_event ORDER BY message_id, n, seq",
    "SELECT * FROM log_journal ORDER BY position",
)


@pytest.fixture
def grown(tmp_path):
    """A day of revision 0001 with many events."""
    shutil.copy(OLD, tmp_path / DAY_FILE)
    connection = sqlite_connect(tmp_path / DAY_FILE)
    for statement in GROW:
        connection.execute(statement, {"many": MANY})
    connection.close()
    return tmp_path / DAY_FILE


def all_rows(path: Path) -> list[list[object]]:
    connection = sqlite_connect(path)
    rows = [connection.execute(statement).fetchall() for statement in KEPT]
    connection.close()
    return rows


def test_every_event_of_a_great_day_moves_and_the_file_does_not_double(grown):
    before, size = all_rows(grown), grown.stat().st_size
    open_log(grown.parent).close()
    assert all_rows(grown) == before
    assert len(before[0]) > MANY
    assert grown.stat().st_size < 1.5 * size


def test_a_move_that_fails_on_its_way_leaves_the_day_as_it_was_and_comes_again(grown):
    before = all_rows(grown)
    connection = sqlite_connect(grown)
    connection.execute("CREATE TABLE log_journal_0001 (in_the_way)")
    with pytest.raises(StoreError):
        open_log(grown.parent)
    assert all_rows(grown) == before
    assert connection.execute("SELECT version_num FROM log_version").fetchall() == [("0001",)]
    connection.execute("DROP TABLE log_journal_0001")
    connection.close()
    open_log(grown.parent).close()
    assert all_rows(grown) == before


SHAPES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE name LIKE '%log_%' AND sql IS NOT NULL",
    "postgresql": (
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'log_%' UNION ALL"
        " SELECT table_name || column_name, data_type || is_nullable || coalesce(collation_name, '')"
        " FROM information_schema.columns WHERE table_name LIKE 'log_%' UNION ALL"
        " SELECT partrelid::regclass::text, pg_get_partkeydef(partrelid) FROM pg_partitioned_table"
    ),
}


def test_the_tables_in_the_code_are_what_the_migrations_make(location):
    engine = open_sync_engine(location)

    def shape():
        with engine.connect() as connection:
            rows = connection.execute(text(SHAPES[engine.dialect.name]))
            # The one names its primary keys in place, the other on a line of its own.
            found = {name: " ".join(str(sql).split()) for name, sql in rows}
            return {name: sql for name, sql in found.items() if "log_version" not in name}

    migrate.upgrade("log", engine)
    migrated = shape()
    with sync_transaction(engine) as connection:
        metadata.drop_all(connection)
    with sync_transaction(engine) as connection:
        metadata.create_all(connection)
    assert shape() == migrated
    assert len(migrated) > 10
    engine.dispose()
