"""The committing thread: many jobs in one flush, and what becomes of them when something fails."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import asynccontextmanager
from types import NoneType

import pytest

from appliance.core.errors import (
    ConflictError,
    FencedError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreLostError,
)
from mta.spool.backend import CHECKPOINT_PAGES, PAGE_SIZE, SqliteBackend
from mta.spool.committer import BATCH_JOBS
from mta.spool.errors import UnstorableError
from mta.spool.jobs import SettleJob
from mta.status import Status
from tests.support.recipients import NOW, admitted, recipient, settlement
from tests.support.spools import Commits, Fatal, Spool, open_shard
from tests.support.way import backend_at, until

SECONDS = 20


@asynccontextmanager
async def opened(location, **options):
    shard = await open_shard(location, **options)
    try:
        yield shard
    finally:
        await shard.close()


@asynccontextmanager
async def one_batch(shard):
    """What is submitted inside goes into one batch: the thread is kept waiting until the end."""
    begun, go = threading.Event(), threading.Event()

    def wait(_store, _batch):
        begun.set()
        go.wait(SECONDS)

    blocker = asyncio.ensure_future(shard.call(wait))
    await asyncio.to_thread(begun.wait, SECONDS)
    try:
        yield
        await asyncio.sleep(0)
    finally:
        go.set()
        await blocker


class Settled(asyncio.Event):
    """Waits for on_done."""

    def __call__(self, error):
        self.error = error
        self.set()

    async def seen(self):
        async with asyncio.timeout(SECONDS):
            await self.wait()


async def statuses(shard, message_id):
    found = await shard.call(lambda store, _: store.recipients(message_id))
    return [str(r.status) for r in found]


async def results(*jobs):
    async with asyncio.timeout(SECONDS):
        return await asyncio.gather(*jobs, return_exceptions=True)


# -- together ---------------------------------------------------------------------------------


async def test_what_piles_up_during_a_flush_shares_the_next(location):
    commits = Commits()
    async with opened(location, observer=commits) as shard:
        await asyncio.gather(*(shard.accept(admitted(n)) for n in range(1, 201)))
        assert sum(commits.jobs) == 200
        assert len(commits.jobs) < 20
        assert len(await shard.call(lambda store, _: store.events(0, 1000))) == 200


async def test_a_batch_has_a_limit(location):
    commits = Commits()
    async with opened(location, observer=commits) as shard:
        async with one_batch(shard):
            waiting = [asyncio.ensure_future(shard.accept(admitted(n))) for n in range(1, 401)]
            await asyncio.sleep(0)
            assert shard.backlog == 401
        await results(*waiting)
    assert commits.jobs == [1, BATCH_JOBS, 400 - BATCH_JOBS]


async def test_a_lone_message_waits_for_no_other(location):
    commits = Commits()
    async with opened(location, observer=commits) as shard:
        for n in range(1, 6):
            await shard.accept(admitted(n))
        assert commits.jobs == [1] * 5


async def test_a_look_never_shows_rows_older_than_an_outcome_reported_with_it(location):
    """Even if it was asked for before the outcome came, in the same batch."""
    async with opened(location) as shard:
        await shard.accept(admitted(1))
        order, done = [], Settled()
        async with one_batch(shard):
            look = asyncio.ensure_future(statuses(shard, 1))
            look.add_done_callback(lambda _: order.append("look"))
            await asyncio.sleep(0)
            shard.settle([settlement(recipient(1))], [], done)
        await done.seen()
        assert await look == ["delivered"]


async def test_a_notice_becomes_durable_with_the_outcome_it_tells_of(location):
    done = Settled()
    async with opened(location) as shard:
        await shard.accept(admitted(1))
        shard.settle([settlement(recipient(1), Status.BOUNCED)], [admitted(2)], done)
        await done.seen()
        assert done.error is None
        assert await statuses(shard, 2) == ["queued"]


# -- apart ------------------------------------------------------------------------------------


async def test_one_poisoned_message_takes_no_other_with_it(location):
    commits, done = Commits(), Settled()
    async with opened(location, observer=commits) as shard:
        await shard.accept(admitted(1))
        async with one_batch(shard):
            waiting = [asyncio.ensure_future(shard.accept(admitted(n))) for n in (2, 3, 1, 4)]
            await asyncio.sleep(0)
            shard.settle([settlement(recipient(1))], [], done)
        found = await results(*waiting)
        await done.seen()
        assert [type(answer) for answer in found] == [NoneType, NoneType, StoreError, NoneType]
        assert await statuses(shard, 1) == ["delivered"]
        assert [seq for seq, _ in await numbers(shard)] == [1, 2, 3, 4, 5]


async def numbers(shard):
    rows = await shard.call(lambda store, _: store.events(0, 100))
    return [(row.seq, row.kind) for row in rows]


@pytest.mark.parametrize("text", ["half a pair \ud800"])
async def test_a_text_no_database_takes_fails_its_own_message_only(location, text):
    async with opened(location) as shard:
        async with one_batch(shard):
            bad = asyncio.ensure_future(shard.accept(admitted(1, subject=text)))
            good = asyncio.ensure_future(shard.accept(admitted(2)))
            await asyncio.sleep(0)
        found = await results(bad, good)
    assert [type(answer) for answer in found] == [UnstorableError, NoneType]


async def test_an_outcome_that_can_never_be_written_is_given_up_and_holds_up_nobody(
    location, monkeypatch
):
    monkeypatch.setattr(SettleJob, "patience", 2)
    bad, good = Settled(), Settled()
    async with opened(location) as shard:
        await asyncio.gather(*(shard.accept(admitted(n)) for n in (1, 2)))
        shard.settle(
            [settlement(recipient(1))], [admitted(2)], bad
        )  # a notice with an id that is taken
        shard.settle([settlement(recipient(2))], [], good)
        await good.seen()
        for n in range(10, 20):  # each batch tries it once more
            await shard.accept(admitted(n))
        await bad.seen()
        assert type(bad.error) is StoreError
        assert await statuses(shard, 1) == ["queued"]
        await until(lambda: shard.backlog == 0)


async def test_an_outcome_with_a_value_that_no_database_takes_is_answered_at_once(location):
    """Each further try would break up the batch that it is in."""
    bad = Settled()
    async with opened(location) as shard:
        await shard.accept(admitted(1))
        shard.settle([settlement(recipient(1), reason="\ud800")], [], bad)
        await bad.seen()
        assert type(bad.error) is UnstorableError


async def test_an_answer_that_crashes_keeps_no_other_from_its_own(location, caplog):
    done = Settled()

    def crash(_error):
        raise KeyError("a mistake in the scheduler")

    async with opened(location) as shard:
        await asyncio.gather(*(shard.accept(admitted(n)) for n in (1, 2)))
        async with one_batch(shard):
            shard.settle([settlement(recipient(1))], [], crash)
            shard.settle([settlement(recipient(2))], [], done)
        await done.seen()
    assert "a mistake in the scheduler" in caplog.text


async def test_a_lost_race_is_told_in_the_log_and_answered(location, caplog):
    done = Settled()
    async with opened(location) as shard:
        await shard.accept(admitted(1, recipient(1, status=Status.HELD)))
        with caplog.at_level(logging.WARNING):
            shard.settle([settlement(recipient(1))], [], done)
            await done.seen()
        assert await statuses(shard, 1) == ["held"]
    assert "came too late" in caplog.text


# -- a full disk ------------------------------------------------------------------------------


async def limit_pages(shard, more):
    """SQLite's own way to say SQLITE_FULL: pages the file may still grow by."""

    def pragma(store, _batch):
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        free = store._connection.execute("PRAGMA freelist_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count={pages + more}").fetchall()
        return free

    return await shard.call(pragma)


BIG = b"Subject: x\r\n\r\n" + b"x" * 400_000


async def test_a_full_disk_refuses_mail_and_takes_it_again_when_there_is_space(tmp_path):
    async with opened(tmp_path) as shard:
        await shard.accept(admitted(1))
        await limit_pages(shard, 5)
        for n in (2, 3):
            with pytest.raises(StoreFullError, match="no space left"):
                await shard.accept(admitted(n, content=BIG))
        assert await statuses(shard, 2) == []
        await limit_pages(shard, 1000)
        await shard.accept(admitted(4, content=BIG))
        assert await statuses(shard, 1) == ["queued"]


async def test_outcomes_are_written_although_the_mail_beside_them_does_not_fit(tmp_path):
    """Clients go on trying while the disk is full: that must not keep outcomes from the disk."""
    done = Settled()
    async with opened(tmp_path) as shard:
        await shard.accept(admitted(1))
        await limit_pages(shard, 5)
        async with one_batch(shard):
            refused = asyncio.ensure_future(shard.accept(admitted(2, content=BIG)))
            await asyncio.sleep(0)
            shard.settle([settlement(recipient(1))], [], done)
        await done.seen()
        assert [type(answer) for answer in await results(refused)] == [StoreFullError]
        assert await statuses(shard, 1) == ["delivered"]


async def test_outcomes_are_kept_while_the_disk_is_full_and_written_when_there_is_space(tmp_path):
    done = Settled()
    async with opened(tmp_path) as shard:
        await shard.accept(admitted(1))
        await limit_pages(shard, 0)
        shard.settle([settlement(recipient(1))], [admitted(2, content=BIG)], done)
        with pytest.raises(StoreFullError):
            await shard.accept(admitted(3, content=BIG))
        await asyncio.sleep(1.2)  # it is tried once a second
        assert not done.is_set()
        assert shard.backlog == 1
        await limit_pages(shard, 1000)
        await done.seen()
        assert await statuses(shard, 1) == ["delivered"]
        assert await statuses(shard, 2) == ["queued"]


async def test_while_another_program_holds_the_lock_everybody_is_told_after_one_wait(
    tmp_path, monkeypatch
):
    """As long as the lock is waited for once, not once for each job; outcomes are kept and written later."""
    monkeypatch.setattr("mta.spool.backend.BUSY_SECONDS", 1)
    async with opened(tmp_path) as shard:
        await shard.accept(admitted(1))
        other = SqliteBackend(tmp_path / "spool-0.db").connect()
        other.execute("BEGIN IMMEDIATE")
        done, loop = Settled(), asyncio.get_running_loop()
        began = loop.time()
        shard.settle([settlement(recipient(1))], [], done)
        found = await results(*(shard.accept(admitted(number)) for number in range(2, 12)))
        assert {type(answer) for answer in found} == {StoreBusyError}
        assert "is tried again by itself" in str(found[0])
        assert loop.time() - began < 5, "ten jobs waited one after the other"
        assert not done.is_set()
        many = [Settled() for _ in range(BATCH_JOBS + 40)]  # more than a batch is kept
        for one in many:
            shard.settle([settlement(recipient(1))], [], one)
        began = loop.time()
        found = await results(*(shard.accept(admitted(number)) for number in range(2, 22)))
        assert {type(answer) for answer in found} == {StoreBusyError}
        assert loop.time() - began < 8, "one for each that was kept"
        other.execute("ROLLBACK")
        other.close()
        await done.seen()
        assert done.error is None
        for one in many:
            await one.seen()
        assert await statuses(shard, 1) == ["delivered"]
        await shard.accept(admitted(2))


async def test_a_shard_whose_lock_another_program_holds_can_be_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("mta.spool.backend.BUSY_SECONDS", 0.3)
    shard = await open_shard(tmp_path)
    other = SqliteBackend(tmp_path / "spool-0.db").connect()
    other.execute("BEGIN IMMEDIATE")
    done = Settled()
    shard.settle([settlement(recipient(1))], [], done)
    waiting = asyncio.ensure_future(shard.accept(admitted(2)))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(SECONDS):
        await shard.close()
    await done.seen()
    assert type(done.error) is StoreBusyError
    assert [type(answer) for answer in await results(waiting)] == [StoreBusyError]
    other.close()


async def test_people_can_look_at_the_queue_while_the_disk_is_full(tmp_path):
    done = Settled()
    async with opened(tmp_path) as shard:
        await shard.accept(admitted(1))
        await limit_pages(shard, 0)
        shard.settle([settlement(recipient(1))], [admitted(2, content=BIG)], done)
        for _ in range(3):
            async with one_batch(shard):
                refused = asyncio.ensure_future(shard.accept(admitted(3, content=BIG)))
                look = asyncio.ensure_future(statuses(shard, 1))
                await asyncio.sleep(0)
            assert await look == ["queued"]
            assert [type(answer) for answer in await results(refused)] == [StoreFullError]
        await limit_pages(shard, 1000)
        await done.seen()


async def test_a_shard_with_a_full_disk_can_be_closed_and_loses_no_more_than_it_kept(tmp_path):
    done = Settled()
    async with opened(tmp_path) as shard:
        await shard.accept(admitted(1))
        await limit_pages(shard, 0)
        shard.settle([settlement(recipient(1))], [admitted(2, content=BIG)], done)
        async with asyncio.timeout(SECONDS):
            await shard.close()
        await done.seen()
    async with opened(tmp_path) as shard:
        assert await statuses(shard, 1) == ["queued"]


# -- the end ----------------------------------------------------------------------------------


async def test_closing_writes_what_is_queued(location):
    shard = await open_shard(location)
    async with one_batch(shard):
        waiting = [asyncio.ensure_future(shard.accept(admitted(n))) for n in range(1, 301)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(shard.close())
        await asyncio.sleep(0.05)
    await closing
    assert set(await results(*waiting)) == {None}
    async with opened(location) as again:
        assert len(await again.call(lambda store, _: store.events(0, 1000))) == 300


async def test_what_comes_after_the_end_is_answered_too(location):
    shard = await open_shard(location)
    await shard.close()
    done = Settled()
    shard.settle([settlement(recipient(1))], [], done)
    found = await results(shard.accept(admitted(1)), statuses(shard, 1))
    assert [type(answer) for answer in found] == [StoreError, StoreError]
    await done.seen()


async def test_an_owner_that_was_replaced_ends_and_answers_everybody(location):
    fatal = Fatal()
    shard = await open_shard(location, on_fatal=fatal)
    await shard.accept(admitted(1))
    second = Spool(await asyncio.to_thread(backend_at, location))
    async with asyncio.timeout(SECONDS):
        found = await results(*(shard.accept(admitted(n)) for n in range(2, 700)))
        await fatal.called.wait()
    assert {type(answer) for answer in found} <= {FencedError, StoreError}
    assert second.count("message") == 1
    second.store.close()
    await shard.close()


async def test_a_checkpoint_that_fails_ends_the_process(tmp_path, monkeypatch):
    """SQLite's own, inside a commit, would say that all went well and flush the same file again."""

    def fail(_backend, _connection):
        raise StoreLostError("disk I/O error")

    monkeypatch.setattr(SqliteBackend, "checkpoint", fail)
    fatal = Fatal()
    shard = await open_shard(tmp_path, on_fatal=fatal)
    async with asyncio.timeout(SECONDS):
        for number in range(1, 1 + CHECKPOINT_PAGES):
            if await results(shard.accept(admitted(number))) != [None]:
                break
        await fatal.called.wait()
    await shard.close()
    async with opened(tmp_path) as again:
        kept = await again.call(lambda store, _: store.events(0, 1000))
    assert len(kept) == number - 1, "what was answered with a yes is there, and nothing else"


async def test_the_log_stays_small_and_is_brought_into_the_file_by_nobody_else(tmp_path):
    async with opened(tmp_path) as shard:
        for number in range(1, 301):
            await shard.accept(admitted(number, content=b"x" * 100_000))
        assert (tmp_path / "spool-0.db-wal").stat().st_size < 3 * CHECKPOINT_PAGES * PAGE_SIZE
        assert (tmp_path / "spool-0.db").stat().st_size > 20_000_000
        own = await shard.call(
            lambda store, _: store._connection.execute("PRAGMA wal_autocheckpoint").fetchone()
        )
    assert own == (0,)


async def test_a_checkpoint_that_finds_no_room_waits(tmp_path, monkeypatch, caplog):
    tries = []

    def full(_backend, _connection):
        tries.append(1)
        raise StoreFullError("no space left")

    monkeypatch.setattr(SqliteBackend, "checkpoint", full)
    async with opened(tmp_path) as shard:
        for number in range(1, 81):
            await shard.accept(admitted(number))
    assert 1 <= len(tries) <= 5
    assert "a checkpoint has to wait: no space left" in caplog.text


async def test_a_crash_of_the_thread_ends_the_process_and_answers_everybody(location, monkeypatch):
    """Whatever the mistake is: a shard whose thread has gone must not look alive."""
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))
    fatal = Fatal()
    shard = await open_shard(location, on_fatal=fatal)

    def crash(_store, _batch):
        raise KeyError("a mistake")

    async with one_batch(shard):
        waiting = [
            asyncio.ensure_future(shard.accept(admitted(1))),
            asyncio.ensure_future(shard.call(crash)),
        ]
        await asyncio.sleep(0)
    async with asyncio.timeout(SECONDS):
        await fatal.called.wait()
        found = await results(*waiting, shard.accept(admitted(2)))
    await shard.close()
    assert {type(answer) for answer in found} == {StoreError}
    assert seen == [KeyError]


async def test_a_shard_has_one_living_owner(tmp_path):
    lock = tmp_path / "spool-0.lock"
    async with opened(tmp_path, lock=lock):
        with pytest.raises(ConflictError, match="held by another process"):
            await open_shard(tmp_path, lock=lock)
    async with opened(tmp_path, lock=lock) as shard:
        await shard.accept(admitted(1))


async def test_a_shard_that_could_not_be_opened_is_not_held(tmp_path):
    lock = tmp_path / "spool-0.lock"
    path = tmp_path / "spool-0.db"
    path.write_bytes(b"this is no database" * 1000)
    from mta.spool.backend import SqliteBackend
    from mta.spool.shard import Shard

    for _ in range(2):
        with pytest.raises(StoreError, match="not a database"):
            await Shard.open(SqliteBackend(path), 0, on_fatal=Fatal(), lock=lock)


async def test_ids_go_on_rising_after_a_restart_when_the_clock_stepped_back(location):
    async with opened(location) as shard:
        first = shard.new_id(NOW)
        await shard.accept(admitted(first))
    async with opened(location) as shard:
        assert shard.new_id(NOW - 86_400_000) > first


async def test_outcomes_that_trickle_in_wait_a_moment_for_company_and_no_longer(location):
    """A batch that waits for each next one would keep 256 of them from the disk for seconds."""
    async with opened(location) as shard:
        await shard.accept(admitted(1, *(recipient(1, n) for n in range(60))))
        first, count = Settled(), 0
        shard.settle([settlement(recipient(1, 0))], [], first)
        for n in range(1, 60):
            await asyncio.sleep(0.004)
            shard.settle([settlement(recipient(1, n))], [], lambda _: None)
            count += not first.is_set()
        assert count < 40
