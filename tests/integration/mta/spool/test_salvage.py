"""A damaged spool is repaired: what was whole survives as it was, and every loss has a name."""

from __future__ import annotations

import json
import os
import random
import shutil

import pytest

from appliance.core import ids
from appliance.core.ids import IdMaker
from mta.spool.backend import SqliteBackend
from mta.spool.check import Checked, check
from mta.spool.reading import SpoolReader, SqliteReader
from mta.spool.salvage.corrupt import finish_repair
from mta.spool.salvage.rebuild import Rebuild, look
from mta.spool.salvage.verdict import NOBODY
from mta.status import Status
from tests.support.damage import (
    PAGE,
    Crashed,
    Log,
    cut_off,
    destroyed,
    fill,
    frames_of,
    hurt_frame,
    no_header,
    places,
)
from tests.support.recipients import NOW, admitted, recipient, settlement
from tests.support.spools import Spool
from tests.support.way import backend_at

SEEDS = int(os.environ.get("SEEDS", "1"))
HURTS = {
    "1 % random": destroyed(0.01, "random"),
    "1 % zeroed": destroyed(0.01, "zero"),
    "10 % random": destroyed(0.1, "random"),
    "one block of 5 %": destroyed(0.05, "sector"),
    "flipped bits": destroyed(0.1, "bits"),
    "cut off": cut_off,
    "no header": no_header,
}


def silently(_stage, _done, _of):
    """Nobody watches."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Stores by seed, what is in them and where, each made once: a thousand commits take seconds."""
    made = {}

    def of(seed):
        if seed not in made:
            folder = tmp_path_factory.mktemp(f"filled-{seed}")
            truth = fill(folder, seed)
            made[seed] = (folder / "spool-0.db", truth, places(folder / "spool-0.db"))
        return made[seed]

    return of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "corrupt").mkdir()
    return tmp_path


def copied(filled, folder, seed):
    """A store of one's own, what was put into it, and the pages where each message lies."""
    path, truth, where = filled(seed)
    shutil.copy(path, folder / "spool-0.db")
    return folder / "spool-0.db", truth, where


def repair(folder, witness):
    return Rebuild(folder / "spool-0.db", 0, witness, folder / "corrupt").run(silently)


def flaws(path):
    reader = SpoolReader(SqliteReader(path), 0)
    try:
        return list(check(reader, Checked()))
    finally:
        reader.close()


def named(report):
    """Recipients by message, as the report names them."""
    return {
        ids.from_text(loss["id"]): {one["n"] for one in loss["recipients"]}
        for loss in report.judged.losses
    }


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("is_readable", [True, False], ids=["log", "no log"])
@pytest.mark.parametrize("hurt", HURTS.values(), ids=HURTS.keys())
def test_the_whole_survives_and_the_lost_is_named(filled, folder, hurt, is_readable, seed):
    path, truth, where = copied(filled, folder, seed)
    hit = hurt(path, random.Random(seed + 1000))
    before = path.read_bytes()
    report = repair(folder, Log(truth, is_readable=is_readable))
    lost = named(report)
    spool = Spool(SqliteBackend(path))
    survivors = 0
    for number, sent in truth.items():
        standing = {one.n: one for one in spool.store.recipients(number)}
        for n in sent.waiting:
            there = standing.get(n)
            if there is not None and not there.status.is_final:
                assert there.address == sent.people[n].address, "sent to somebody else"
                assert spool.store.content(number) == sent.content
                survivors += 1
            else:
                assert lost.get(number, set()) & {n, NOBODY}, f"{number} {n} is gone without a word"
        if sent.waiting and not where[number] & hit:
            assert number not in lost, f"no page of {number} was damaged"
            if is_readable or hurt is not no_header:
                assert {n: one.status for n, one in standing.items()} == sent.status
    queued = spool.rows("SELECT message_id, n FROM recipient WHERE status IN ('queued','deferred')")
    assert [place for place in queued if place[1] not in truth[place[0]].waiting] == []
    spool.store.close()
    assert survivors > 100
    assert flaws(path) == []
    kept = next((folder / "corrupt").glob("spool-0.db.*"))
    assert kept.read_bytes() == before


def test_a_sound_store_is_left_alone(filled, folder):
    path, truth, _ = copied(filled, folder, 0)
    before = path.read_bytes()
    report = repair(folder, Log(truth))
    assert report.is_sound
    assert path.read_bytes() == before
    assert list((folder / "corrupt").iterdir()) == []
    assert look(path, 0, silently).is_none
    assert flaws(path) == []


def test_pages_of_every_sort_are_lost_one_after_the_other(filled, folder):
    """Whatever one page was: inner page, schema, list of free pages, index, overflow."""
    source, truth, where = filled(0)
    size = source.stat().st_size // PAGE
    dice = random.Random(7)
    for number in [1, 2, 3, *dice.sample(range(4, size + 1), 12)]:
        path, *_ = copied(filled, folder, 0)
        with path.open("rb+") as file:
            file.seek((number - 1) * PAGE)
            file.write(dice.randbytes(PAGE))
        report = repair(folder, Log(truth))
        lost = {one for one in named(report) if number not in where.get(one, ())}
        assert lost == set(), f"page {number} took with it what does not lie in it"
        assert flaws(path) == []
        shutil.rmtree(folder / "corrupt")
        (folder / "corrupt").mkdir()


def test_what_was_lost_lies_in_corrupt_under_its_id(folder):
    spool = Spool(backend_at(folder / "spool-0.db"))
    number = IdMaker(0).make(NOW)
    content = b"Subject: hello\r\n\r\n" + b"0123456789" * 10_000
    spool.write(admitted(number, recipient(number, 0), recipient(number, 1), content=content))
    spool.store.close()
    path = folder / "spool-0.db"
    data = path.read_bytes()
    place = data.index(b"0123456789" * 1000, len(data) // 2)
    path.write_bytes(data[:place] + b"X" * 10 + data[place + 10 :])
    assert look(path, 0, silently).rows_unreadable == 1
    report = repair(folder, Log({}))
    name = ids.to_text(number)
    told = json.loads((folder / "corrupt" / f"{name}.json").read_bytes())
    assert told["sender"] == "orders@shop.example.com"
    assert [one["address"] for one in told["recipients"]] == [
        "user0@example.net",
        "user1@example.net",
    ]
    kept = (folder / "corrupt" / f"{name}.eml").read_bytes()
    assert len(kept) == len(content)
    assert sum(a != b for a, b in zip(kept, content, strict=True)) == 10
    assert report.file is not None
    assert json.loads(report.file.read_bytes())["losses"] == [told]
    spool.reopen()
    assert spool.statuses(number) == ["corrupt", "corrupt"]
    assert spool.store.content(number) is None
    events = spool.store.events_of(number)
    assert [event.kind for event in events] == ["accepted", "corrupt", "corrupt"]
    assert [event.seq for event in events] == [1, 2, 3]
    spool.store.close()


def test_bytes_that_are_not_those_that_were_stored_are_never_sent(folder):
    spool = Spool(backend_at(folder / "spool-0.db"))
    number = IdMaker(0).make(NOW)
    spool.write(admitted(number, recipient(number)))
    with spool.store.transaction():
        spool.store._connection.execute("UPDATE content SET data = CAST('other' AS BLOB)")
    assert spool.store.content(number) is None
    assert [flaw.words for flaw in flaws(folder / "spool-0.db")] == [
        "its content has 5 octets, and had 22"
    ]
    spool.store.close()


def standing(path):
    spool = Spool(SqliteBackend(path))
    try:
        return {row[0] for row in spool.rows("SELECT id FROM message WHERE open = 1")}
    finally:
        spool.store.close()


def test_a_torn_last_write_costs_what_was_never_acknowledged_and_nothing_else(folder):
    crashed = Crashed(folder)
    data = crashed.log.read_bytes()
    crashed.log.write_bytes(data[: len(data) - 5000])
    truth = {number: crashed.truth[number] for number in crashed.numbers[:-1]}
    assert repair(folder, Log(truth)).is_sound
    assert standing(crashed.path) == set(crashed.numbers[:-1])


def test_whichever_frame_of_the_last_commit_is_torn_all_that_was_acknowledged_stays(tmp_path):
    """A disk writes the frames of one flush in any order: the last one may be there, another not."""
    for number in range(len(frames_of(Crashed(made(tmp_path, "count")).log.read_bytes())[-1])):
        folder = made(tmp_path, f"torn-{number}")
        crashed = Crashed(folder)
        hurt_frame(crashed.log, frames_of(crashed.log.read_bytes())[-1][number])
        assert look(crashed.path, 0, silently).is_none
        truth = {number: crashed.truth[number] for number in crashed.numbers[:-1]}
        assert repair(folder, Log(truth, is_readable=False)).is_sound
        assert standing(crashed.path) == set(crashed.numbers[:-1]), "as SQLite sees it"


@pytest.mark.parametrize("part", ["data", "header"])
def test_who_had_been_delivered_is_not_queued_again_whichever_frame_is_destroyed(tmp_path, part):
    """An older page says that he waits; where nobody can tell, a person decides."""

    def filled(name):
        folder = made(tmp_path, name)
        (folder / "live").mkdir()
        spool, maker = Spool(backend_at(folder / "live" / "spool-0.db")), IdMaker(0)
        spool.store._connection.execute("PRAGMA wal_autocheckpoint=0").fetchall()
        first = maker.make(NOW)
        people = recipient(first, 0), recipient(first, 1)
        spool.write(admitted(first, *people))
        spool.store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        spool.write(settle=(settlement(people[0]),))
        spool.write(then=lambda store, _: store.acknowledge(1 << 40))  # the log has it all
        for later in range(1, 4):  # commits that touch none of its pages
            spool.write(then=lambda store, batch, by=later: store.beat(batch.now + by))
        for suffix in ("", "-wal"):
            shutil.copy(folder / "live" / f"spool-0.db{suffix}", folder)
        spool.store.close()
        return folder, first

    folder, _ = filled("count")
    of_the_outcome = frames_of((folder / "spool-0.db-wal").read_bytes())[0]
    for number, start in enumerate(of_the_outcome):
        folder, first = filled(f"hurt-{number}")
        hurt_frame(folder / "spool-0.db-wal", start, part=part)
        report = repair(folder, Log({}, is_readable=False))
        assert report.damage.log_frames_destroyed
        spool = Spool(SqliteBackend(folder / "spool-0.db"))
        found = dict(spool.rows(f"SELECT n, status FROM recipient WHERE message_id = {first}"))
        spool.store.close()
        assert found.get(0) in (None, "delivered", "held", "corrupt"), f"frame {number}"


@pytest.mark.parametrize("part", ["data", "header"])
@pytest.mark.parametrize("is_readable", [True, False], ids=["log", "no log"])
def test_whichever_frame_of_earlier_commits_is_destroyed_nothing_is_lost_without_a_word(
    tmp_path, is_readable, part
):
    """SQLite would forget everything from there on."""
    earlier = frames_of(Crashed(made(tmp_path, "count")).log.read_bytes())[:-1]
    assert len(earlier) == 5
    kept = 0
    for number, start in enumerate(start for starts in earlier for start in starts):
        folder = made(tmp_path, f"destroyed-{number}")
        crashed = Crashed(folder)
        hurt_frame(crashed.log, start, part=part)
        report = repair(folder, Log(crashed.truth, is_readable=is_readable))
        assert report.damage.log_frames_destroyed == (1 if part == "data" else 2)
        there = standing(crashed.path)
        if is_readable:
            assert there | set(named(report)) == set(crashed.numbers)
        kept += len(there & set(crashed.numbers))
    assert kept >= 0.9 * len(crashed.numbers) * (number + 1)


def made(tmp_path, name):
    (tmp_path / name / "corrupt").mkdir(parents=True)
    return tmp_path / name


def test_mail_behind_a_destroyed_page_of_the_log_is_kept(folder):
    """SQLite would forget everything from there on."""
    crashed = Crashed(folder)
    data = bytearray(crashed.log.read_bytes())
    data[32 + 24 + 100 : 32 + 24 + 9000] = random.Random(1).randbytes(8900)
    crashed.log.write_bytes(data)
    report = repair(folder, Log(crashed.truth))
    assert report.damage.log_frames_destroyed == 1
    assert standing(crashed.path) | set(named(report)) == set(crashed.numbers)
    assert crashed.numbers[-1] in standing(crashed.path)
    assert not crashed.log.exists()


@pytest.mark.parametrize("how", ["missing", "garbage"])
def test_without_the_log_what_was_in_it_is_named_and_what_had_ended_is_not_sent_again(folder, how):
    crashed = Crashed(folder)
    ended = crashed.numbers[0]
    crashed.truth[ended].status[0] = Status.DELIVERED  # says the event log; the row says queued
    if how == "missing":
        crashed.log.unlink()
    else:
        crashed.log.write_bytes(random.Random(1).randbytes(50_000))
    report = repair(folder, Log(crashed.truth))
    assert standing(crashed.path) == set(crashed.numbers[1:6])
    assert set(named(report)) == set(crashed.numbers[6:])
    assert report.judged.ended == 1
    spool = Spool(SqliteBackend(crashed.path))
    assert spool.statuses(ended) == ["delivered"]
    assert {e.message_id for e in spool.store.events(0, 100) if e.kind == "corrupt"} == set(
        crashed.numbers[6:]
    )
    spool.store.close()


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_repair_that_was_cut_short_goes_on_where_it_was(folder, gone):
    """The log goes first: it must never meet a file that it was not written for."""
    path = folder / "spool-0.db"
    for name in ("spool-0.db-wal", "spool-0.db")[gone:]:
        (folder / name).write_bytes(name.encode())
    (folder / "spool-0.db.repaired").write_bytes(b"new")
    finish_repair(path, folder / "corrupt")
    assert [one.name for one in folder.iterdir() if one.is_file()] == ["spool-0.db"]
    assert path.read_bytes() == b"new"
    assert len(list((folder / "corrupt").iterdir())) == 2 - gone
    finish_repair(path, folder / "corrupt")  # a second time there is nothing to do
    assert path.read_bytes() == b"new"


def test_a_repair_that_fails_leaves_the_damaged_file_as_it_was(filled, folder, monkeypatch):
    path, truth, _ = copied(filled, folder, 0)
    destroyed(0.01, "random")(path, random.Random(3))
    before = path.read_bytes()
    monkeypatch.setattr("mta.spool.salvage.judge.Judge.run", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        repair(folder, Log(truth))
    assert path.read_bytes() == before
    assert sorted(one.name for one in folder.iterdir()) == ["corrupt", "spool-0.db"]


def test_ids_and_events_go_on_behind_what_was_given_out(filled, folder):
    path, truth, _ = copied(filled, folder, 1)
    spool = Spool(SqliteBackend(path))
    last, seq, epoch = spool.last_id, spool.store._next_seq, spool.store._epoch
    spool.store.close()
    no_header(path, random.Random(1))
    repair(folder, Log(truth))
    spool = Spool(SqliteBackend(path))
    assert spool.last_id >= last
    assert spool.store._next_seq >= seq
    assert spool.store._epoch > epoch
    spool.store.close()
