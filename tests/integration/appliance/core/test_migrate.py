"""Migrations of control.db: whole or not at all, once, and never backwards."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import appliance
from appliance.core import migrate
from appliance.core.control import metadata
from appliance.core.database import open_engine, open_sync_engine, sync_transaction, transaction
from appliance.core.errors import StoreError

ROOMS = sorted(file.parent.name for file in Path(appliance.__path__[0]).glob("*/tables.py"))


def test_the_tables_of_the_rooms_are_what_the_migrations_make(location):
    for room in ROOMS:
        importlib.import_module(f"appliance.{room}.tables")
    engine = open_sync_engine(location)
    migrate.upgrade("control", engine)
    with engine.connect() as connection:
        options = {"compare_type": True, "include_name": _is_ours}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def _is_ours(name: str | None, kind: str, _: object) -> bool:
    return not (kind == "table" and str(name).endswith("_version"))


def test_an_empty_store_becomes_current_once(location):
    engine = open_sync_engine(location)
    assert migrate.upgrade("control", engine) == ""
    assert migrate.upgrade("control", engine) == migrate.head("control")
    engine.dispose()


def test_the_head_from_the_file_names_is_alembics_head():
    for folder in migrate.MIGRATIONS.iterdir():
        if (folder / "versions").is_dir():
            (head,) = ScriptDirectory(str(folder)).get_heads()
            assert migrate.head(folder.name) == head


def test_a_current_store_does_not_load_alembic(location, monkeypatch):
    engine = open_sync_engine(location)
    migrate.upgrade("control", engine)
    for name in [name for name in sys.modules if name.split(".")[0] == "alembic"]:
        monkeypatch.delitem(sys.modules, name)
    migrate.upgrade("control", engine)
    assert not any(name.split(".")[0] == "alembic" for name in sys.modules)
    engine.dispose()


async def test_of_many_starters_one_migrates(location):
    engines = [open_engine(location) for _ in range(4)]
    before = await asyncio.gather(*(migrate.upgrade_async("control", one) for one in engines))
    async with transaction(engines[0]) as connection:
        boxes = await connection.execute(text("SELECT count(*) FROM tenant"))
        assert boxes.scalar() == 1
    for one in engines:
        await one.dispose()
    assert set(before) <= {"", migrate.head("control")}


def scripts(folder: Path, *steps: str) -> Path:
    versions = folder / "versions"
    versions.mkdir(parents=True)
    (folder / "env.py").write_text((migrate.MIGRATIONS / "control" / "env.py").read_text())
    for number, step in enumerate(steps, 1):
        down = f"'{number - 1:04d}'" if number > 1 else None
        (versions / f"{number:04d}_step.py").write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n"
            f"revision, down_revision = '{number:04d}', {down}\n"
            f"def upgrade():\n    {step}\n"
        )
    return folder


CREATE = "op.create_table('one', sa.Column('x', sa.Integer))"


def test_a_migration_that_fails_leaves_nothing(location, tmp_path):
    broken = scripts(tmp_path / "s", CREATE, "op.execute('nonsense')")
    engine = open_sync_engine(location)
    with pytest.raises(StoreError):
        migrate.upgrade("other", engine, broken)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_store_moves_on_from_where_it_is(location, tmp_path):
    engine = open_sync_engine(location)
    migrate.upgrade("other", engine, scripts(tmp_path / "a", CREATE))
    more = "op.add_column('one', sa.Column('y', sa.Integer))"
    assert migrate.upgrade("other", engine, scripts(tmp_path / "b", CREATE, more)) == "0001"
    assert {column["name"] for column in inspect(engine).get_columns("one")} == {"x", "y"}
    engine.dispose()


def test_a_store_of_a_newer_program_is_refused(location):
    engine = open_sync_engine(location)
    migrate.upgrade("control", engine)
    with sync_transaction(engine) as connection:
        connection.execute(text("UPDATE control_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer program"):
        migrate.upgrade("control", engine)
    engine.dispose()


def test_an_installation_without_migrations_says_so(location, tmp_path):
    engine = open_sync_engine(location)
    with pytest.raises(StoreError, match="no migrations"):
        migrate.upgrade("other", engine, tmp_path)
    engine.dispose()
