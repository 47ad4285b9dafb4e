"""The owner of a shard makes its file ready: under the shard's lock, and never over damage."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2

from appliance.core.database import sqlite_connect
from appliance.core.errors import ConflictError, StoreError
from appliance.core.home import Home
from appliance.run.spools import backend_of, lock_file, prepare
from mta.spool.backend import SqliteBackend
from mta.spool.shard import Shard, take_lock
from mta.spool.store import SpoolStore
from tests.support.damage import Crashed, frames_of, hurt_frame
from tests.support.process import settings_of
from tests.support.recipients import NOW


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "box")
    home.create()
    return home


@pytest.fixture
def crashed(home: Home, tmp_path: Path) -> Crashed:
    """A shard whose owner was killed."""
    crashed = Crashed(tmp_path / "crashed")
    for one in (crashed.path, crashed.log):
        shutil.copy(one, home.spool_dir)
    crashed.path, crashed.log = home.spool_db(0), Path(f"{home.spool_db(0)}-wal")
    return crashed


def _standing(home: Home) -> set[int]:
    store = SpoolStore(backend_of(home, settings_of(), 0), 0)
    store.open("test", NOW)
    try:
        return {event.message_id for event in store.events(0, 1000) if event.kind == "accepted"}
    finally:
        store.close()


def test_what_a_killed_owner_left_in_its_log_is_there(home: Home, crashed: Crashed) -> None:
    prepare(home, settings_of(), 0)
    assert not crashed.log.exists()
    assert _standing(home) == set(crashed.numbers)


def test_a_torn_last_write_is_forgotten_and_the_rest_is_there(home: Home, crashed: Crashed) -> None:
    hurt_frame(crashed.log, frames_of(crashed.log.read_bytes())[-1][0])
    prepare(home, settings_of(), 0)
    assert _standing(home) == set(crashed.numbers[:-1])


def test_a_log_with_damage_before_whole_commits_is_not_opened(home: Home, crashed: Crashed) -> None:
    """SQLite would open it, drop what follows the damage, and write over it."""
    hurt_frame(crashed.log, frames_of(crashed.log.read_bytes())[2][0])
    before = (crashed.path.read_bytes(), crashed.log.read_bytes())
    with pytest.raises(StoreError, match=r"1 of its frames .* run `pillarbox spool repair`"):
        prepare(home, settings_of(), 0)
    assert (crashed.path.read_bytes(), crashed.log.read_bytes()) == before


def test_the_log_is_emptied_although_somebody_has_the_file_open(
    home: Home, crashed: Crashed
) -> None:
    """What a torn write left behind its end must not lie there when the next one is torn."""
    reader = sqlite_connect(crashed.path, readonly=True)
    assert reader.execute("SELECT count(*) FROM message").fetchone() == (12,)
    backend_of(home, settings_of(), 0).make()
    assert crashed.log.stat().st_size == 0
    reader.close()


def test_a_log_that_cannot_be_emptied_keeps_nobody_from_starting(
    home: Home, crashed: Crashed, caplog: pytest.LogCaptureFixture
) -> None:
    reader = sqlite_connect(crashed.path, readonly=True)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM message").fetchone()
    backend_of(home, settings_of(), 0).make()
    assert "somebody reads it" in caplog.text
    reader.close()


def test_nor_does_a_disk_without_room(
    home: Home, crashed: Crashed, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def execute(self, words: str) -> Any:
            if "checkpoint" in words:
                raise dbapi2.OperationalError("database or disk is full")
            return self

        def fetchall(self) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr(SqliteBackend, "connect", lambda _: Full())
    backend_of(home, settings_of(), 0).make()
    assert "no space left" in caplog.text


async def test_who_has_not_the_lock_does_not_even_open_the_file(
    home: Home, crashed: Crashed
) -> None:
    """A repair that reads it at that moment must find what the crash has left."""
    held, before = take_lock(lock_file(home, 0)), crashed.log.read_bytes()
    settings = settings_of()
    try:
        with pytest.raises(ConflictError, match="held by another process"):
            await Shard.open(
                backend_of(home, settings, 0),
                0,
                on_fatal=lambda: None,
                lock=lock_file(home, 0),
                prepare=partial(prepare, home, settings, 0),
            )
    finally:
        os.close(held)
    assert crashed.log.read_bytes() == before
