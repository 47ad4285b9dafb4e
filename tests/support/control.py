"""control.db for tests: every test that takes `engine` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appliance.core.database import open_engine
from appliance.core.migrate import upgrade_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.database import Location

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


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """Where a fresh store is: a file, then a PostgreSQL database."""
    if request.param == "sqlite":
        return tmp_path / "control.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
async def engine(location: Location) -> AsyncIterator[AsyncEngine]:
    """A migrated control.db."""
    opened = open_engine(location)
    await upgrade_async("control", opened)
    yield opened
    await opened.dispose()
