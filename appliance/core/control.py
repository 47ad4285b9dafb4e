"""Control: what every table of control.db shares, and how a change of it becomes known.

`change()` opens a writing transaction and first moves the counter of the part that it touches. The
row lock of that counter makes changes of one part commit in the order of their generations, on
PostgreSQL too, so that a reader who asks for "newer than what I have" misses nothing. The processes
poll `generations()` (one query of a few rows) and reload the parts that moved.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, literal_column, select, update

from appliance.core.database import transaction
from appliance.core.marks import EVERYBODY, Marks, row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_generation = Table(
    "generation",
    metadata,
    Column("part", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)


class Part(StrEnum):
    """What can change by itself; one counter row each."""

    TENANTS = "tenants"
    CREDENTIALS = "credentials"
    DOMAINS = "domains"
    SUPPRESSIONS = "suppressions"
    OPERATIONS = "operations"
    EGRESS = "egress"
    WARMUP = "warmup"
    SHAPING = "shaping"
    KEYS = "keys"
    WEBHOOKS = "webhooks"


MARKS: Final = (
    Marks(
        "generation",
        row(
            literal_column(str(EVERYBODY)),
            word=_generation.c.part,
            number=_generation.c.value,
        ).select_from(_generation),
    ),
)
"""For those who look whether anything changed; of whom, a counter does not say."""


@dataclass(frozen=True, slots=True)
class Change:
    """A writing transaction with the generation that its rows carry."""

    connection: AsyncConnection
    generation: int


@asynccontextmanager
async def change(engine: AsyncEngine, part: Part) -> AsyncIterator[Change]:
    """Change one part of control.db; everybody sees it at their next poll."""
    async with transaction(engine) as connection:
        yield Change(connection, await move(connection, part))


async def move(connection: AsyncConnection, part: Part, *, by: int = 1) -> int:
    """Move the counter of a part; its new value.

    Who finds out only at the end whether anything changed begins with `by=0`, which holds off others.
    """
    bump = (
        update(_generation)
        .where(_generation.c.part == part)
        .values(value=_generation.c.value + by)
        .returning(_generation.c.value)
    )
    return int((await connection.execute(bump)).scalar_one())


async def generations(connection: AsyncConnection) -> Mapping[Part, int]:
    """The counter of every part."""
    rows = await connection.execute(select(_generation.c.part, _generation.c.value))
    return {Part(part): int(value) for part, value in rows}
