"""Backups that the worker makes by itself: when they are due, which are kept, what is told when one fails."""

from __future__ import annotations

import asyncio
import errno

import pytest

from appliance.core import clock
from appliance.core.database import open_engine
from appliance.core.scope import Scope
from appliance.notices import Notices
from appliance.run.backup import archive
from appliance.run.backup.keys import make_key_file
from appliance.run.backup.schedule import KIND, RETRY_MS, BackupSchedule
from tests.support.process import new_home, settings_of

SYSTEM = Scope.system(by="test")


class Box:
    def __init__(self, home, settings, engine) -> None:
        self.home, self.settings, self.engine = home, settings, engine
        self.notices = Notices(engine)
        self.now = clock.now_ms()
        self.stop = asyncio.Event()

    def schedule(self) -> BackupSchedule:
        return BackupSchedule(self.home, self.settings, self.notices, self.stop, lambda: self.now)

    @property
    def backups(self) -> list[str]:
        folder = self.home.path.parent / "backups"
        return [one.name for one in archive.backups_in(folder)] if folder.exists() else []

    async def told(self) -> list[str]:
        return [one.text for one in await self.notices.list(SYSTEM, kind=KIND)]


@pytest.fixture
async def box(tmp_path):
    options = {"directory": str(tmp_path / "backups"), "key_file": "backup.key", "keep": 2}
    settings = settings_of(backup={**options, "every": 3600})
    home = await new_home(tmp_path / "home", settings)
    home.config_file.write_text("")
    make_key_file(home.path / "backup.key")
    engine = open_engine(home.control_db)
    yield Box(home, settings, engine)
    await engine.dispose()


async def test_one_is_made_when_it_is_due_and_not_before(box):
    schedule = box.schedule()
    await schedule.step()
    assert len(box.backups) == 1
    await schedule.step()
    await box.schedule().step()  # after a restart: the folder says when the last was made
    assert len(box.backups) == 1
    assert await box.told() == []


async def test_the_oldest_go_once_a_new_one_is_sound(box, monkeypatch):
    schedule = box.schedule()
    real = clock.now_ms()
    for hours in range(4):
        box.now = real + hours * clock.HOUR
        monkeypatch.setattr(clock, "now_ms", lambda: box.now)
        await schedule.step()
    assert box.backups == [archive.name_at(real + hours * clock.HOUR) for hours in (2, 3)]


async def test_a_failure_is_told_until_one_succeeds(box):
    key = box.home.path / "backup.key"
    secret = key.read_bytes()
    key.unlink()
    schedule = box.schedule()
    await schedule.step()
    assert "No such file" in (await box.told())[0]
    assert box.backups == []
    key.write_bytes(secret)
    key.chmod(0o600)
    await schedule.step()
    assert box.backups == [], "not tried again at once"
    box.now += RETRY_MS
    await schedule.step()
    assert len(box.backups) == 1
    assert await box.told() == []


async def test_one_that_runs_is_given_up_when_the_process_is_to_end(box):
    from tests.support.way import backend_at

    backend_at(box.home.spool_db(0))
    box.stop.set()
    await box.schedule().step()
    assert box.backups == []
    assert list((box.home.path.parent / "backups").iterdir()) == []
    assert await box.told() == []


def newest_in(box, content: bytes, name: str = "") -> None:
    """A folder that looks like a backup, with this header."""
    folder = box.home.path.parent / "backups" / (name or archive.name_at(box.now - clock.MINUTE))
    folder.mkdir(parents=True)
    (folder / "backup.json").write_bytes(content)


NEWER = b'{"format":99,"created_at":1,"hostname":"x","kdf":{"kind":"key-file","salt":"eA=="}}'


@pytest.mark.parametrize("header", [b"\0" * 200, NEWER], ids=["damaged", "of a newer program"])
async def test_one_is_made_when_the_newest_cannot_be_read(box, header):
    newest_in(box, header)
    await box.schedule().step()
    assert len(box.backups) == 2
    assert await box.told() == []


async def test_one_without_a_header_does_not_count_either(box):
    newest_in(box, b"")
    (box.home.path.parent / "backups" / box.backups[0] / "backup.json").unlink()
    await box.schedule().step()
    assert len(box.backups) == 2


async def test_a_damaged_one_from_a_day_to_come_does_not_ask_for_one_every_hour(box, monkeypatch):
    newest_in(box, b"", "pillarbox-20991231T000000Z")
    box.settings = settings_of(
        backup={
            "directory": str(box.home.path.parent / "backups"),
            "key_file": "backup.key",
            "every": 86_400,
        }
    )
    schedule, real = box.schedule(), clock.now_ms()
    monkeypatch.setattr(clock, "now_ms", lambda: box.now)
    for hours in range(4):
        box.now = real + hours * clock.HOUR
        await schedule.step()
    assert len(box.backups) == 2


async def test_a_target_that_cannot_be_looked_at_is_told_and_tried_again(box):
    folder = box.home.path.parent / "backups"
    folder.write_text("a file where the folder should be")
    schedule = box.schedule()
    await schedule.step()
    (told,) = await box.notices.list(SYSTEM, kind=KIND)
    assert str(folder) in told.text
    assert "can be written" in told.next_step
    await schedule.step()
    assert [one.count for one in await box.notices.list(SYSTEM, kind=KIND)] == [1], "not at once"
    folder.unlink()
    box.now += RETRY_MS
    await schedule.step()
    assert len(box.backups) == 1
    assert await box.told() == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ESTALE, "Stale file handle", "/mnt/backups"), "/mnt/backups: Stale file"),
        (OSError("strange"), "strange"),
    ],
)
async def test_errors_of_the_system_are_told_too(box, monkeypatch, error, words):
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("appliance.run.backup.schedule.make", fails)
    await box.schedule().step()
    (told,) = await box.notices.list(SYSTEM, kind=KIND)
    assert words in told.text
    assert "can be written" in told.next_step
