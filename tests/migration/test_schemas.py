"""The tables in the code are what the migrations make, on both databases."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, text

from appliance.core import control, migrate
from appliance.core.database import open_sync_engine, sync_transaction
from appliance.history import tables as history_tables
from mta.spool import tables as spool_tables

ROOT = Path(__file__).parents[2]
INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "postgresql": (
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " AND indexname NOT LIKE '%version%'"
    ),
}


def metadata_of(kind: str) -> MetaData:
    if kind == "spool":
        return spool_tables.metadata
    for path in (ROOT / "appliance").glob("*/tables.py"):
        importlib.import_module(f"appliance.{path.parent.name}.tables")
    return control.metadata


@pytest.fixture(params=["spool", "control"])
def kind(request):
    return request.param


@pytest.fixture
def engine(location, kind):
    opened = open_sync_engine(location)
    migrate.upgrade(kind, opened)
    yield opened
    opened.dispose()


def is_ours(_object, name, type_, _reflected, _compared):
    return type_ != "table" or not name.endswith("_version")


def test_alembic_finds_no_difference(engine, kind):
    options = {"compare_type": True, "compare_server_default": True, "include_object": is_ours}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata_of(kind)) == []


def test_every_index_covers_the_same_rows(engine, kind):
    """What Alembic does not compare: the WHERE of a partial index."""

    def indexes():
        with engine.connect() as connection:
            found = dict(
                tuple(row) for row in connection.execute(text(INDEXES[engine.dialect.name]))
            )
        return {name: " ".join(sql.split()).replace('"', "") for name, sql in found.items()}

    migrated = indexes()
    metadata = metadata_of(kind)
    with sync_transaction(engine) as connection:
        metadata.drop_all(connection)
    with sync_transaction(engine) as connection:
        metadata.create_all(connection)
    assert indexes() == migrated
    assert len(migrated) >= 3


def test_the_comparison_sees_what_is_missing(engine, kind):
    """The test above can fail: a column that only the code has is a difference."""
    changed = MetaData()
    for table in metadata_of(kind).sorted_tables:
        table.to_metadata(changed)
    last = changed.sorted_tables[-1]
    last._columns.remove(list(last.columns)[-1])
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_ours})
        assert len(compare_metadata(context, changed)) >= 1


@pytest.mark.parametrize("which", ["spool", "log"])
def test_a_store_made_at_once_is_what_the_migrations_make(tmp_path, which):
    tables = spool_tables.metadata if which == "spool" else history_tables.metadata
    shapes = []
    for name, given in (("migrated.db", None), ("made.db", tables)):
        engine = open_sync_engine(tmp_path / name)
        assert migrate.upgrade(which, engine, tables=given) == ""
        assert migrate.upgrade(which, engine, tables=given) == migrate.head(which)
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT name, sql FROM sqlite_master ORDER BY name"))
            shapes.append([(row[0], _squeezed(row[1])) for row in rows])
        engine.dispose()
    assert shapes[0] == shapes[1]


def _squeezed(sql: str | None) -> str:
    return re.sub(r"CONSTRAINT \w+ |[\s\"]", "", sql or "")
