"""Shapes: what the answers of every noun have in common, and the examples that describe them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from litestar.params import QueryParameter

from appliance.core import clock
from appliance.core.errors import UsageError

MAX_PAGE: Final = 100
Cursor = Annotated[
    str, QueryParameter(max_length=100, description="Where the last page said that it goes on.")
]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="Rows of a page.")]


@dataclass(frozen=True, slots=True)
class Example:
    """One request and its answer, as the description shows them; a test sends the request."""

    answer: Any
    request: Any = None


def moment(ms: int) -> datetime | None:
    """A time as the API tells it; None for 0."""
    return clock.aware(ms) if ms else None


def millis(at: datetime | None) -> int:
    """A time as the rooms want it; 0 for None."""
    return clock.from_datetime(at) if at else 0


def place_of(cursor: str) -> int:
    """The number behind which a page begins. Raises UsageError for what was never a cursor."""
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise UsageError("no such cursor: give back the one of the last page", field="cursor")
    return int(cursor)
