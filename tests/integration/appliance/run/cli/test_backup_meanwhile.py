"""What happens between the copies of which a backup is made: nothing that was there before falls through."""

from __future__ import annotations

import pytest

from appliance.core import clock
from appliance.core.home import Home
from appliance.core.ids import IdMaker
from appliance.core.settings_file import load
from appliance.run.backup.keys import of_passphrase
from appliance.run.backup.make import make
from mta.bounce.dropbox import Arrived, Dropbox, Folder
from mta.spool.backend import SqliteBackend
from mta.status import Status
from tests.support.cli import Shell
from tests.support.recipients import admitted, recipient, settlement
from tests.support.spools import Spool
from tests.support.way import backend_at

WORDS = "correct horse battery staple"


@pytest.fixture
def box(shell, tmp_path):
    return Box(shell.home, tmp_path)


class Box:
    """A box that is backed up while something happens, and restored."""

    def __init__(self, home, folder) -> None:
        self.home, self.folder = home, folder
        self.dropbox = Dropbox(home.inbound_dir)

    def notice(self) -> str:
        arrived = Arrived(at=clock.now_ms(), sender="", recipients=("b@x",), client="192.0.2.1")
        return self.dropbox.put(arrived, b"Subject: it bounced\r\n\r\n")

    def back_up(self, when: str, act) -> list[str]:
        """Act once the progress tells of that; returns what is in the backup."""
        done = []

        def progress(stage: str, _done: int, _of: int) -> None:
            if when in stage and not done:
                done.append(stage)
                act()

        settings = load(self.home.config_file, {})
        target = (self.folder / "backups", of_passphrase(WORDS))
        made = make(self.home, self.home.config_file, settings, target, progress)
        assert done, f"never told of {when}"
        self.path = made.path
        return [one.path for one in made.manifest.files]

    def restored(self) -> tuple[Home, dict]:
        words = self.folder / "words"
        words.write_text(WORDS)
        new = Shell(Home(self.folder / "new"))
        return new.home, new.json("restore", str(self.path), "--passphrase-file", str(words))


def test_a_notice_that_is_read_while_the_backup_is_made_is_in_it(box):
    """The shard is told after the copy of its spool, so that nothing else has what the notice said."""
    notice = box.notice()
    box.back_up("control.db", lambda: box.dropbox.move(notice, Folder.DONE))
    home, _ = box.restored()
    assert Dropbox(home.inbound_dir).read(notice).raw == b"Subject: it bounced\r\n\r\n"


def test_a_notice_that_comes_while_the_backup_is_made_is_in_it_beside_the_others(box):
    before, came = box.notice(), []
    paths = box.back_up("control.db", lambda: came.append(box.notice()))
    notices = [path for path in paths if path.startswith("inbound/new/")]
    assert notices == [f"inbound/new/{one}.eml" for one in (before, *came)]


def test_a_letter_that_the_queue_takes_while_the_backup_is_made_is_in_it(box):
    letter = box.home.path / "letters" / "0123abcd"
    letter.parent.mkdir(mode=0o700)
    letter.write_text("sealed")
    box.back_up("control.db", letter.unlink)
    home, _ = box.restored()
    assert (home.path / "letters" / "0123abcd").read_text() == "sealed"


def test_what_is_delivered_between_the_copies_of_spool_and_log_is_not_sent_again(box):
    """The worker has not shipped it to the log when that is copied."""
    spool = Spool(backend_at(box.home.spool_db(0)), now=clock.now_ms())
    message_id = IdMaker(0).make(clock.now_ms())
    people = [recipient(message_id, n) for n in range(2)]
    spool.write(admitted(message_id, *people))
    delivered = settlement(people[0], Status.DELIVERED)
    box.back_up("sealing spool/spool-0.db", lambda: spool.write(settle=(delivered,)))
    spool.store.close()
    home, restored = box.restored()
    assert (restored["waiting"], restored["ended"], restored["losses"]) == (1, 1, [])
    new = Spool(SqliteBackend(home.spool_db(0)))
    assert new.statuses(message_id) == ["delivered", "queued"]
    kinds = [kind for _, kind in new.events()]
    new.store.close()
    assert kinds == ["accepted", "delivered"], "the log of the new box hears of it too"
    assert sorted(one.name for one in home.spool_dir.glob("*.db")) == ["spool-0.db"]
