"""`pillarbox spool`: check and repair from the command line."""

from __future__ import annotations

import os
import random
import shutil

import pytest

from appliance.core.ids import IdMaker
from appliance.run.one_box import stopped
from appliance.run.spools import lock_file
from mta.spool.shard import take_lock
from tests.support.damage import PAGE, Crashed, frames_of, hurt_frame
from tests.support.recipients import NOW, admitted, recipient
from tests.support.spools import Spool
from tests.support.way import backend_at


@pytest.fixture
def numbers(shell):
    """Messages in shard 0 of the test's box."""
    spool = Spool(backend_at(shell.home.spool_db(0)))
    maker = IdMaker(0)
    made = [maker.make(NOW + i) for i in range(60)]
    for one in made:
        spool.write(admitted(one, recipient(one), content=b"x" * 30_000))
    spool.store.close()
    return made


def ruin(shell, page):
    with shell.home.spool_db(0).open("rb+") as file:
        file.seek((page - 1) * PAGE)
        file.write(random.Random(page).randbytes(PAGE))


def test_a_box_without_a_spool_is_sound(shell):
    assert shell.json("spool", "check") == {"sound": True, "shards": []}
    assert "no spool yet" in shell("spool", "repair").out


def test_a_sound_spool(shell, numbers):
    found = shell.json("spool", "check")["shards"][0]
    assert (found["messages"], found["waiting"], found["pages_checked"]) == (60, 60, True)
    assert "nothing was changed" in shell("spool", "repair").out


def test_damage_is_found_named_and_repaired(shell, numbers):
    for page in (40, 60, 80):
        ruin(shell, page)
    said = shell("spool", "check", expect=1)
    assert "NOT SOUND" in said.out
    assert "pillarbox spool repair --shard 0" in said.out
    repaired = shell.json("spool", "repair", "--shard", "0")["shards"][0]
    assert repaired["messages"] == 60
    assert 0 < len(repaired["losses"]) <= 3
    assert {who["why"] for loss in repaired["losses"] for who in loss["recipients"]} == {
        "its content is gone from the spool, or damaged"
    }
    assert shell.json("spool", "check")["sound"]
    assert len(list(shell.home.corrupt_dir.glob("spool-0.db.*"))) == 1


def test_what_was_repaired_is_told_in_words(shell, numbers):
    ruin(shell, 40)
    said = shell("spool", "repair").out
    assert "1 message lost or incomplete" in said
    assert "user0@example.net" in said
    assert str(shell.home.corrupt_dir) in said


def test_a_shard_that_its_owner_holds_is_looked_at_and_not_repaired(shell, numbers):
    held = take_lock(lock_file(shell.home, 0))
    try:
        found = shell.json("spool", "check")
        assert found["sound"]
        assert not found["shards"][0]["pages_checked"]
        assert "is the box running" in shell.error("spool", "repair", expect=65)
    finally:
        os.close(held)


def test_nothing_is_repaired_while_a_box_runs_even_if_the_shard_has_no_owner_just_now(
    shell, numbers
):
    with stopped(shell.home):
        assert "stop it first" in shell.error("spool", "repair", expect=65)
    assert "nothing was changed" in shell("spool", "repair").out


def test_migrate_leaves_a_damaged_log_as_it_is(shell, tmp_path):
    """Whoever opens it for writing brings it into the file as far as the damage, and forgets the rest."""
    crashed = Crashed(tmp_path / "crashed")
    hurt_frame(crashed.log, frames_of(crashed.log.read_bytes())[2][0])
    kept = {}
    for one in (crashed.path, crashed.log):
        kept[shell.home.spool_dir / one.name] = one.read_bytes()
        shutil.copy(one, shell.home.spool_dir)
    told = shell.json("migrate")
    assert all(one["before"] == one["after"] for one in told)
    assert {path: path.read_bytes() for path in kept} == kept
    assert not shell.json("spool", "check", expect=1)["sound"]
    repaired = shell.json("spool", "repair")["shards"][0]
    assert (repaired["messages"], repaired["log_frames_destroyed"]) == (12, 1)


def test_a_shard_that_there_is_not(shell, numbers):
    assert "there is no shard 7" in shell.error("spool", "check", "--shard", "7", expect=66)
