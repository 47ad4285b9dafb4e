"""Migrate: brings a store's schema to the revision this program knows.

    appliance/core/migrations/<kind>/env.py, versions/NNNN_words.py      one folder a kind of store

Revisions are numbered and linear, so that the newest is the last file name and a store that has it
needs one SELECT: importing Alembic costs more than 100 ms, and a start seldom has work for it.
Promises: a store is migrated whole or not at all (DDL runs inside one transaction, on PostgreSQL and
SQLite alike); of several processes one migrates and the others find it done. Refuses a store that a
newer program has written.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    column,
    insert,
    inspect,
    select,
    table,
)

from appliance.core.database import (
    lock_for_migration,
    reading,
    sync_transaction,
    transaction,
    translated,
)
from appliance.core.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def head(kind: str, scripts: Path | None = None) -> str:
    """The newest revision this program knows, read from the file names."""
    versions = (scripts or MIGRATIONS / kind) / "versions"
    revisions = [path.name.partition("_")[0] for path in versions.glob("[0-9]*_*.py")]
    if not revisions:
        raise StoreError(f"{versions} holds no migrations: the installation is incomplete")
    return max(revisions)


def version(kind: str, connection: Connection) -> str:
    """The revision of the store behind the connection, "" for an empty one."""
    name = version_table(kind)
    if not inspect(connection).has_table(name):
        return ""
    found = connection.execute(select(column("version_num")).select_from(table(name))).scalar()
    return "" if found is None else str(found)


def version_table(kind: str) -> str:
    """Several kinds of store may share one PostgreSQL database: each keeps its own mark."""
    return f"{kind}_version"


def upgrade(
    kind: str, engine: Engine, scripts: Path | None = None, tables: MetaData | None = None
) -> str:
    """Bring the store to the newest revision and return the one it had before.

    With `tables` an empty store is made from them at once (a test holds them equal to what the
    migrations make): a process that makes a store a day need not carry Alembic's 15 MB for it.
    """
    with translated(), engine.connect() as connection:
        before = version(kind, connection)
    if _is_current(kind, before, scripts):
        return before
    with sync_transaction(engine) as connection:
        if before or tables is None:
            migrate_within(kind, connection, scripts)
        else:
            _make(kind, connection, tables, scripts)
    return before


def _make(kind: str, connection: Connection, tables: MetaData, scripts: Path | None) -> None:
    lock_for_migration(connection, kind)
    if _is_current(kind, version(kind, connection), scripts):
        return  # another process was faster
    tables.create_all(connection)
    mark = Table(
        version_table(kind), MetaData(), Column("version_num", String(32), primary_key=True)
    )
    mark.create(connection)
    connection.execute(insert(mark).values(version_num=head(kind, scripts)))


async def upgrade_async(kind: str, engine: AsyncEngine, scripts: Path | None = None) -> str:
    """The same for an async engine."""
    async with reading(engine) as connection:
        before = await connection.run_sync(lambda sync: version(kind, sync))
    if _is_current(kind, before, scripts):
        return before
    async with transaction(engine) as connection:
        await connection.run_sync(lambda sync: migrate_within(kind, sync, scripts))
    return before


def _is_current(kind: str, found: str, scripts: Path | None) -> bool:
    newest = head(kind, scripts)
    if found > newest:
        raise StoreError(
            f"the {kind} store has revision {found}, this program knows {newest}:"
            " run the newer program that wrote it, or restore the backup from before the upgrade"
        )
    return found == newest


def migrate_within(kind: str, connection: Connection, scripts: Path | None = None) -> None:
    """Run what is missing inside the caller's writing transaction."""
    lock_for_migration(connection, kind)
    if _is_current(kind, version(kind, connection), scripts):
        return  # another process was faster
    from alembic import command  # noqa: PLC0415 - costs 100 ms, needed once per release
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(scripts or MIGRATIONS / kind).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = version_table(kind)
    command.upgrade(config, "head")
