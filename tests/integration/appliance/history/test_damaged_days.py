"""A day of the event log whose file is damaged: it is set aside and begun anew, and all others go on."""

from __future__ import annotations

import pytest

from appliance.core.clock import DAY
from appliance.core.errors import NotFoundError, StoreError
from appliance.core.scope import Scope
from appliance.history import (
    EventFilters,
    LogReader,
    LogWriter,
    Shipper,
    damaged_in,
    write_partitions,
)
from appliance.history.days import name
from appliance.notices import Notices
from appliance.run.damaged_days import KIND, tell_of_damaged_days
from tests.support.history import KEEP_DAYS, Outbox

BOX = Scope.system()
PAGE = 8192


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "log"
    made.mkdir()
    return made


@pytest.fixture
def log(folder, now):
    """A writer that is opened as often as one likes."""
    opened = []

    def make():
        writer = LogWriter(write_partitions(folder), keep_days=KEEP_DAYS, now=now)
        writer.open()
        opened.append(writer)
        return writer

    yield make
    for writer in opened:
        writer.close()


def overwritten(path):
    """All but the first page."""
    content = path.read_bytes()
    path.write_bytes(content[:PAGE] + b"\xa5" * (len(content) - PAGE))


def emptied(path):
    path.write_bytes(b"")


def foreign(path):
    path.write_bytes(b"this is no database\n" * 2000)


DAMAGES = pytest.mark.parametrize("damage", [overwritten, emptied, foreign])


async def yesterdays(log, now, outbox):
    """A message of yesterday, in the log; and the file of that day, which nobody has open."""
    message = outbox.accept("ann@receiver.example")
    writer = log()
    await Shipper([outbox], writer).step()
    path = writer._partitions._path(writer.today)
    writer.close()
    now.move(DAY)
    return message, path


def kinds(reader):
    return [str(event.kind) for event in reader.events(BOX, EventFilters()).events]


@DAMAGES
async def test_a_writer_opens_and_goes_on_with_the_day_anew(log, now, folder, damage):
    outbox = Outbox(now)
    message, path = await yesterdays(log, now, outbox)
    damage(path)
    left = path.read_bytes()
    writer = log()
    assert (folder / damaged_in(folder)[0]).read_bytes().startswith(left)
    outbox.tried(message, 0, "delivered", "ann@receiver.example")
    later = outbox.accept("bob@receiver.example")
    await Shipper([outbox], writer).step()
    assert outbox.rows == []
    reader = LogReader(folder)
    assert [str(event.kind) for event in reader.show(BOX, later).events] == ["accepted"]
    assert sorted(kinds(reader)) == ["accepted", "delivered"]
    reader.close()


async def test_a_day_that_is_damaged_meanwhile_stops_neither_its_shard_nor_the_others(
    log, now, folder
):
    first, second = Outbox(now, 0), Outbox(now, 1)
    message, path = await yesterdays(log, now, first)
    writer = log()
    reader = LogReader(folder)
    assert kinds(reader) == ["accepted"]
    writer._partitions._connections.drop(writer.today - 1)
    overwritten(path)
    first.tried(message, 0, "deferred", "ann@receiver.example")
    second.accept("bob@receiver.example")
    await Shipper([first, second], writer).step()
    assert first.rows == second.rows == []
    assert sorted(kinds(reader)) == ["accepted", "deferred"]  # of the files that stand now
    assert damaged_in(folder) == [f"{name(writer.today - 1)}.db.1.damaged"]
    reader.close()


async def test_who_reads_a_damaged_day_is_told_what_to_do(log, now, folder):
    message, path = await yesterdays(log, now, Outbox(now))
    overwritten(path)
    reader = LogReader(folder)
    words = f"{path.name} is damaged .* rename the file to {path.name}.1.damaged"
    with pytest.raises(StoreError, match=words):
        reader.show(BOX, message)
    path.rename(path.with_name(f"{path.name}.1.damaged"))
    with pytest.raises(NotFoundError):
        reader.show(BOX, message)
    reader.close()


async def test_a_shard_whose_events_cannot_be_written_holds_up_no_other(log, now):
    first, second = Outbox(now, 0), Outbox(now, 1)
    first.accept("ann@receiver.example")
    second.accept("bob@receiver.example")
    writer = log()
    write = writer.write

    def fails_for_the_first(shard, *rest):
        if shard == 0:
            raise StoreError("locked")
        return write(shard, *rest)

    writer.write = fails_for_the_first
    with pytest.raises(StoreError):
        await Shipper([first, second], writer).step()
    assert len(first.rows) == 1
    assert second.rows == []


async def test_what_was_set_aside_goes_with_its_day(log, now, folder):
    outbox = Outbox(now)
    _, path = await yesterdays(log, now, outbox)
    overwritten(path)
    writer = log()
    writer._partitions.prepare(writer.today - 1)
    now.move((KEEP_DAYS + 1) * DAY)
    writer.tidy()
    assert damaged_in(folder) == []
    assert not list(folder.glob(f"{path.name}*"))


async def test_a_notice_stands_until_the_file_is_gone(log, now, folder, engine):
    _, path = await yesterdays(log, now, Outbox(now))
    overwritten(path)
    log()
    notices = Notices(engine, now)
    for _ in range(2):
        await tell_of_damaged_days(folder, notices)
    (notice,) = [one for one in await notices.list(BOX) if one.kind == KIND]
    assert notice.count == 1
    assert str(folder / notice.subject) in notice.next_step
    (folder / notice.subject).unlink()
    await tell_of_damaged_days(folder, notices)
    assert [one for one in await notices.list(BOX) if one.kind == KIND] == []
