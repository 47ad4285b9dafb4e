"""A fresh spool on each database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.spools import Spool
from tests.support.way import backend_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.core.database import Location


@pytest.fixture
def spool(location: Location) -> Iterator[Spool]:
    """An open shard 0."""
    opened = Spool(backend_at(location))
    yield opened
    opened.store.close()
