"""Notices on disk: whole or not there, in the order of their arrival."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from appliance.core.errors import StoreError, StoreFullError
from mta.bounce.dropbox import Arrived, Folder, arrived_at
from tests.support.inbound import dropbox

if TYPE_CHECKING:
    from pathlib import Path


def arrived(at: int = 1_800_000_000_000) -> Arrived:
    return Arrived(at=at, sender="", recipients=("postmaster@box.example",), client="192.0.2.1")


def test_what_was_put_is_read_again_octet_for_octet(tmp_path: Path) -> None:
    box = dropbox(tmp_path)
    raw = b"Subject: x\r\n\r\n\x00\xff\n{not json}\r\n"
    notice_id = box.put(arrived(), raw)
    item = box.read(notice_id)
    assert (item.raw, item.arrived) == (raw, arrived())
    mode = (tmp_path / "new" / f"{notice_id}.eml").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_notice_is_refused_that_would_take_what_is_left_to_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _path: free)
    box = dropbox(tmp_path, min_free=free.f_bavail * free.f_frsize - 1000)
    box.put(arrived(), b"x" * 1000)
    with pytest.raises(StoreFullError):
        box.put(arrived(), b"x" * 1001)
    assert len(box.waiting()) == 1


def test_ids_sort_by_arrival(tmp_path: Path) -> None:
    box = dropbox(tmp_path)
    ids = [box.put(arrived(at), b"") for at in (30, 1_800_000_000_000, 200)]
    assert box.waiting() == [ids[0], ids[2], ids[1]]
    assert arrived_at(ids[1]) == 1_800_000_000_000


def test_file_and_folder_are_synced_before_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    dropbox(tmp_path).put(arrived(), b"hello")
    assert synced == ["file", "folder"]


@pytest.mark.parametrize(("number", "error"), [(28, StoreFullError), (5, StoreError)])
def test_a_failed_flush_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[StoreError]
) -> None:
    def fails(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    box = dropbox(tmp_path)
    with pytest.raises(error):
        box.put(arrived(), b"hello")
    assert list((tmp_path / "new").iterdir()) == []


def test_drafts_are_not_notices_and_are_dropped_at_start(tmp_path: Path) -> None:
    box = dropbox(tmp_path)
    (tmp_path / "new" / "1800000000000-aa.draft").write_bytes(b"half")
    assert box.waiting() == []
    assert box.drop_drafts() == 1
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no line end", b"{}\nx", b"\xff\xfe\nx", b"[1]\nx"])
def test_a_file_that_is_not_ours_is_told_in_words(tmp_path: Path, content: bytes) -> None:
    box = dropbox(tmp_path)
    (tmp_path / "new" / "odd.eml").write_bytes(content)
    with pytest.raises(ValueError, match="line"):
        box.read("odd")


def test_notices_that_were_read_are_forgotten_after_a_time_and_others_never(
    tmp_path: Path,
) -> None:
    box = dropbox(tmp_path)
    ids = [box.put(arrived(at), b"") for at in (1000, 2000, 3000, 4000, 5000)]
    for notice_id in ids[:3]:
        box.move(notice_id, Folder.DONE)
    box.move(ids[3], Folder.UNREADABLE)
    assert box.forget(before=3000, limit=1) == 1
    assert box.forget(before=3000, limit=10) == 1
    assert box.ids(Folder.DONE) == [ids[2]]
    assert box.ids(Folder.UNREADABLE) == [ids[3]]
    assert box.waiting() == [ids[4]]
