"""The store: durable pragmas, sound transactions, errors in words."""

from __future__ import annotations

import asyncio
import errno
import stat
import threading
import warnings

import pytest
from pysqlite3 import dbapi2
from sqlalchemy import column, select, text
from sqlalchemy import table as sql_table
from sqlalchemy.exc import IntegrityError

from appliance.core.database import (
    check_sqlite_version,
    in_pages,
    is_disk_full,
    open_engine,
    open_sync_engine,
    reading,
    sqlite_connect,
    sync_transaction,
    transaction,
    translated,
)
from appliance.core.errors import StoreError, StoreFullError


async def test_a_sqlite_store_is_opened_for_full_durability(tmp_path):
    engine = open_engine(tmp_path / "a.db")
    async with reading(engine) as connection:
        found = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
        version = (await connection.exec_driver_sql("SELECT sqlite_version()")).scalar()
    await engine.dispose()
    assert found == ["wal", 2, 1, 5000]
    check_sqlite_version(tuple(map(int, str(version).split("."))))


@pytest.mark.parametrize("version", [(3, 40, 1), (3, 51, 2)])
def test_a_sqlite_that_can_corrupt_its_wal_is_refused(version):
    with pytest.raises(StoreError, match=r"3\.51\.3"):
        check_sqlite_version(version)


def test_a_sound_sqlite_is_taken():
    check_sqlite_version((3, 51, 3))
    check_sqlite_version()


def test_a_new_store_can_be_read_by_its_owner_only(tmp_path):
    connection = sqlite_connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE t (x)")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    connection.close()
    assert modes == {0o600}


def test_a_reader_cannot_write(tmp_path):
    sqlite_connect(tmp_path / "a b#.db").close()
    connection = sqlite_connect(tmp_path / "a b#.db", readonly=True)
    with pytest.raises(StoreError, match="readonly"), translated():
        connection.execute("CREATE TABLE t (x)")
    connection.close()


def test_a_reader_does_not_make_the_store(tmp_path):
    with pytest.raises(StoreError), translated():
        sqlite_connect(tmp_path / "none.db", readonly=True)
    assert not list(tmp_path.iterdir())


async def test_a_failed_transaction_leaves_nothing(location):
    engine = open_engine(location)
    async with transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER PRIMARY KEY)"))

    async def insert_twice(then: Exception | None) -> None:
        async with transaction(engine) as connection:
            await connection.execute(text("INSERT INTO t VALUES (1)"))
            if then is not None:
                raise then
            await connection.execute(text("INSERT INTO t VALUES (1)"))

    with pytest.raises(ZeroDivisionError):
        await insert_twice(ZeroDivisionError())
    with pytest.raises(IntegrityError):
        await insert_twice(None)
    async with reading(engine) as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar() == 0
    await engine.dispose()


async def test_writers_who_read_first_wait_for_each_other(location):
    """With a plain BEGIN on SQLite, all but one would fail with "database is locked" at once."""
    engine = open_engine(location)
    async with transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER)"))
        await connection.execute(text("INSERT INTO t VALUES (0)"))

    async def count_up() -> None:
        async with transaction(engine) as connection:
            lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
            value = (await connection.execute(text("SELECT x FROM t" + lock))).scalar_one()
            await asyncio.sleep(0.002)
            await connection.execute(text("UPDATE t SET x = :x"), {"x": value + 1})

    await asyncio.gather(*(count_up() for _ in range(20)))
    async with reading(engine) as connection:
        assert (await connection.execute(text("SELECT x FROM t"))).scalar() == 20
    await engine.dispose()


async def test_an_error_of_the_driver_is_told_in_words(location):
    engine = open_engine(location)
    with pytest.raises(StoreError, match="no_such_table"):
        async with reading(engine) as connection:
            await connection.execute(text("SELECT * FROM no_such_table"))
    await engine.dispose()


def fill(connection) -> None:
    connection.execute("PRAGMA max_page_count=10")
    connection.execute("CREATE TABLE t (x BLOB)")
    connection.execute("INSERT INTO t VALUES (zeroblob(1000000))")


def test_a_full_store_is_told_apart(tmp_path):
    connection = sqlite_connect(tmp_path / "a.db")
    with pytest.raises(StoreFullError, match="no space left"), translated():
        fill(connection)
    connection.close()


def test_a_full_disk_is_recognised_from_every_side():
    assert is_disk_full(OSError(errno.ENOSPC, "no space"))
    assert is_disk_full(OSError(errno.EDQUOT, "quota"))
    assert not is_disk_full(OSError(errno.EIO, "broken"))
    assert not is_disk_full(dbapi2.OperationalError("full of words"))


def test_a_store_locked_for_too_long_says_so(tmp_path):
    holder = sqlite_connect(tmp_path / "a.db")
    holder.execute("CREATE TABLE t (x)")
    holder.execute("BEGIN IMMEDIATE")
    other = sqlite_connect(tmp_path / "a.db")
    other.execute("PRAGMA busy_timeout=10")
    with pytest.raises(StoreError, match="locked"), translated():
        other.execute("BEGIN IMMEDIATE")
    for connection in (holder, other):
        connection.close()


async def test_the_threads_are_named_and_never_hold_the_process(tmp_path):
    engine = open_engine(tmp_path / "a.db")
    async with reading(engine) as connection:
        await connection.execute(text("SELECT 1"))
        (thread,) = [one for one in threading.enumerate() if one.name == "sqlite a.db"]
        assert thread.daemon
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await engine.dispose()
    thread.join(5)
    assert not thread.is_alive()


def test_a_file_that_cannot_be_opened_leaves_no_thread_behind_a_closed_loop(tmp_path, monkeypatch):
    """aiosqlite lets the thread tell the loop that it ends: which then was closed, now and then."""
    crashes = []
    monkeypatch.setattr(threading, "excepthook", crashes.append)

    async def fail():
        engine = open_engine(tmp_path)  # a directory
        with pytest.raises(StoreError):
            async with reading(engine):
                pass
        return [one for one in threading.enumerate() if one.name == f"sqlite {tmp_path.name}"]

    for _ in range(100):
        for thread in asyncio.run(fail()):
            thread.join(5)
    assert crashes == []


async def test_a_server_that_is_not_there_is_told_in_words():
    engine = open_engine("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreError, match="cannot do its work"):
        async with reading(engine) as connection:
            await connection.execute(text("SELECT 1"))
    await engine.dispose()


async def test_a_schema_that_is_no_text_any_more_is_told_in_words(tmp_path):
    """SQLite quotes what is damaged, and the driver cannot read that: UnicodeDecodeError."""
    path = tmp_path / "a.db"
    engine = open_engine(path)
    async with transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE facts (domain TEXT) STRICT"))
    await engine.dispose()
    path.write_bytes(path.read_bytes().replace(b"STRICT", b"STRIC\x83"))
    engine = open_engine(path)
    with pytest.raises(StoreError, match="damaged"):
        async with reading(engine) as connection:
            await connection.execute(text("SELECT * FROM facts"))
    await engine.dispose()


def test_an_unknown_kind_of_database_is_refused():
    with pytest.raises(StoreError, match="mysql"):
        open_engine("mysql://somewhere/db")


def test_code_without_a_loop_gets_the_same_store(location):
    engine = open_sync_engine(location)
    with sync_transaction(engine) as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (7)"))
    with sync_transaction(engine) as connection:
        assert connection.execute(text("SELECT x FROM t")).scalar() == 7
    engine.dispose()


async def test_pages_hold_every_row_once_and_let_others_go_on(tmp_path):
    engine = open_engine(tmp_path / "a.db")
    async with transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER)"))
        await connection.execute(text("INSERT INTO t VALUES (:x)"), [{"x": n} for n in range(25)])
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async with reading(engine) as connection:
        statement = select(column("x")).select_from(sql_table("t")).order_by(column("x"))
        before, pages, gone_on = turns, [], []
        async for page in in_pages(connection, statement, size=10):
            pages.append([row["x"] for row in page])
            gone_on.append(turns > before)
            before = turns
    task.cancel()
    await engine.dispose()
    assert pages == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert all(gone_on)


async def test_many_writers_of_one_process_take_turns_instead_of_trying_again(
    tmp_path, monkeypatch
):
    """With SQLite's own waiting alone the first collision fails: it is switched off here."""
    monkeypatch.setattr("appliance.core.database._BUSY_SECONDS", 0)
    engine = open_engine(tmp_path / "a.db")
    async with transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER)"))

    async def write(number: int) -> None:
        async with transaction(engine) as connection:
            await connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": number})
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as writers:
        for number in range(50):
            writers.create_task(write(number))
    async with reading(engine) as connection:
        found = (await connection.execute(text("SELECT x FROM t ORDER BY x"))).scalars().all()
    await engine.dispose()
    assert found == list(range(50))


async def test_a_transaction_inside_another_is_told_instead_of_waiting_for_itself(tmp_path):
    engine = open_engine(tmp_path / "a.db")
    async with transaction(engine):
        with pytest.raises(RuntimeError, match="inside another"):
            async with transaction(engine):
                pass
    async with transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER)"))
    await engine.dispose()


async def test_a_reading_transaction_cannot_write_and_leaves_the_connection_as_it_was(tmp_path):
    engine = open_engine(tmp_path / "a.db")
    async with transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE t (x)"))
    with pytest.raises(StoreError, match="readonly"):
        async with reading(engine) as connection:
            await connection.execute(text("INSERT INTO t VALUES (1)"))
    async with transaction(engine) as connection:
        await connection.execute(text("INSERT INTO t VALUES (2)"))
    async with reading(engine) as connection:
        assert (await connection.execute(text("SELECT x FROM t"))).scalars().all() == [2]
    await engine.dispose()


async def test_a_reading_transaction_that_sqlite_has_ended_leaves_no_connection_that_cannot_write(
    tmp_path,
):
    """A read that fails with an I/O error (no descriptors, no room for the index of the log) rolls back by itself."""
    engine = open_engine(tmp_path / "a.db")
    async with transaction(engine) as connection:
        await connection.exec_driver_sql("CREATE TABLE t (x)")
    for _ in range(8):  # whichever connection of the pool comes
        async with reading(engine) as connection:
            await connection.exec_driver_sql("SELECT * FROM t")
            await connection.exec_driver_sql("ROLLBACK")
    for _ in range(8):
        async with transaction(engine) as connection:
            await connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    await engine.dispose()


async def test_a_reading_transaction_sees_one_state_of_the_file(tmp_path):
    engine = open_engine(tmp_path / "a.db")
    async with transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE t (x)"))
    count = text("SELECT count(*) FROM t")
    async with reading(engine) as reader:
        assert (await reader.execute(count)).scalar() == 0
        async with transaction(engine) as connection:
            await connection.execute(text("INSERT INTO t VALUES (1)"))
        assert (await reader.execute(count)).scalar() == 0
    async with reading(engine) as reader:
        assert (await reader.execute(count)).scalar() == 1
    await engine.dispose()


async def test_a_statement_takes_one_turn_of_the_thread_and_a_reading_transaction_none_to_wait_for(
    tmp_path,
):
    engine = open_engine(tmp_path / "a.db")
    async with reading(engine) as connection:
        raw = await connection.get_raw_connection()
        turns = _Turns(raw.driver_connection._tx)
        raw.driver_connection._tx = turns
    async with reading(engine) as connection:
        assert (await connection.execute(text("SELECT 1 UNION SELECT 2"))).scalars().all() == [1, 2]
    assert turns.waited_for == 1
    async with transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE t (x)"))
    assert turns.waited_for == 1 + 3  # BEGIN, the statement, COMMIT
    await engine.dispose()


class _Turns:
    """The queue to a connection's thread, counted."""

    def __init__(self, queue):
        self.queue, self.waited_for = queue, 0

    def put_nowait(self, item):
        self.waited_for += item[0] is not None
        self.queue.put_nowait(item)
