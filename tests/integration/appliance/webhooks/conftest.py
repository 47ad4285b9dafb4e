"""The log's fixtures: with control.db in a file it lies in files, on PostgreSQL it lies there too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.history import outbox, reader, writer

if TYPE_CHECKING:
    from appliance.core.database import Location

__all__ = ["outbox", "reader", "writer"]


@pytest.fixture
def log_location(
    request: pytest.FixtureRequest, control_location: Location, tmp_path: Path
) -> Location:
    """Where a fresh log is."""
    if not isinstance(control_location, Path):
        return str(request.getfixturevalue("postgres_url"))
    folder = tmp_path / "log"
    folder.mkdir()
    return folder
