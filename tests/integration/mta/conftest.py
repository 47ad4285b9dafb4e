"""Where the spools of these tests are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from appliance.core.database import open_sync_engine
from appliance.core.migrate import upgrade
from mta.spool.backend import schema
from tests.support.control import BOTH, MigratedDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appliance.core.database import Location
    from tests.support.postgres import Server


@pytest.fixture(params=BOTH)
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty spool: a file, then a PostgreSQL database whose tables are made once, which is faster."""
    if request.param == "sqlite":
        return tmp_path / "spool.db"
    return request.getfixturevalue("spool_database").fresh()


@pytest.fixture(scope="session")
def spool_database(postgres_server: Server) -> Iterator[MigratedDatabase]:
    """The tables of a spool in PostgreSQL."""
    url = postgres_server.create("spool")
    engine = open_sync_engine(url)
    upgrade("spool", engine, tables=schema())
    engine.dispose()
    with psycopg.connect(url, autocommit=True) as connection:
        yield MigratedDatabase(url, connection)
