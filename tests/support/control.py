"""control.db for tests: every test that takes `engine` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import MetaData, insert, select, text

from appliance.core.database import open_engine, open_sync_engine
from appliance.core.migrate import upgrade
from tests.support.postgres import cut_off_others

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.database import Location
    from tests.support.postgres import Server

START = 1_800_000_000_000  # 2027-01-15


class FakeClock:
    """A clock that moves when told."""

    def __init__(self, at: int = START) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at

    def move(self, ms: int) -> None:
        self.at += ms


class PlainHasher:
    """Stands in for MasterKeys where only the shape of a hash matters."""

    def credential_hash(self, secret: str) -> bytes:
        return b"hash of " + secret.encode()


@pytest.fixture
def now() -> FakeClock:
    return FakeClock()


BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH)
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """Where a fresh, empty store is: a file, then a PostgreSQL database."""
    if request.param == "sqlite":
        return tmp_path / "control.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(params=BOTH)
def control_location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """Where a migrated control.db is; copied from one that was made once, which is faster."""
    if request.param == "sqlite":
        made = request.getfixturevalue("migrated_file")
        return Path(shutil.copy(made, tmp_path / "control.db"))
    return request.getfixturevalue("migrated_database").fresh()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file."""
    path = tmp_path_factory.mktemp("control") / "control.db"
    _migrate(path)
    return path


@pytest.fixture(scope="session")
def migrated_database(postgres_server: Server) -> MigratedDatabase:
    """A migrated PostgreSQL database."""
    return MigratedDatabase(postgres_server.create("control"))


class MigratedDatabase:
    """Migrated once; `fresh` brings back the rows that the migrations had made."""

    def __init__(self, url: str) -> None:
        _migrate(url)
        self._url = url
        self._engine = open_sync_engine(url)
        found = MetaData()
        found.reflect(self._engine)
        with self._engine.connect() as connection:
            self._rows = {
                table: [dict(row) for row in connection.execute(select(table)).mappings()]
                for table in found.sorted_tables
            }
        self._engine.dispose()

    def fresh(self) -> str:
        with psycopg.connect(self._url, autocommit=True) as connection:
            cut_off_others(connection)
        names = ", ".join(f'"{table.name}"' for table in self._rows)
        with self._engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
            for table, rows in self._rows.items():
                if rows:
                    connection.execute(insert(table), rows)
        self._engine.dispose()
        return self._url


def _migrate(location: Location) -> None:
    engine = open_sync_engine(location)
    upgrade("control", engine)
    engine.dispose()


@pytest.fixture
async def engine(control_location: Location) -> AsyncIterator[AsyncEngine]:
    """A migrated control.db."""
    opened = open_engine(control_location)
    yield opened
    await opened.dispose()
