"""control.db for tests: every test that takes `engine` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import MetaData

from appliance.core.database import open_engine, open_sync_engine
from appliance.core.migrate import upgrade
from tests.support.postgres import cut_off_others

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

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
def migrated_database(postgres_server: Server) -> Iterator[MigratedDatabase]:
    """A migrated PostgreSQL database."""
    url = postgres_server.create("control")
    _migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        yield MigratedDatabase(url, connection)


class MigratedDatabase:
    """Migrated once; `fresh` brings back the rows that the migrations had made, from the schema `made`.

    Its connection stays: what a new one has to learn of so many tables takes 25 ms.
    """

    def __init__(self, url: str, connection: psycopg.Connection) -> None:
        self._url, self._connection = url, connection
        found, engine = MetaData(), open_sync_engine(url)
        found.reflect(engine)
        engine.dispose()
        names = [f'"{table.name}"' for table in found.sorted_tables]
        copies = (f"CREATE TABLE made.{name} AS TABLE {name}" for name in names)
        connection.execute(";".join(["CREATE SCHEMA made", *copies]))
        rows = "INSERT INTO {0} OVERRIDING SYSTEM VALUE TABLE made.{0}"
        # TRUNCATE would make a file anew for each table and index, used or not: five times as long.
        self._fresh = ";".join(
            [
                *(f"DELETE FROM {name}" for name in reversed(names)),
                *(rows.format(name) for name in names),
                "SELECT setval(seqrelid, seqstart, false) FROM pg_sequence",
            ]
        )

    def fresh(self) -> str:
        cut_off_others(self._connection)
        self._connection.execute(self._fresh)
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
