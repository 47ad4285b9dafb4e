"""The cache of MX look-ups: kept over restarts, shared by processes, thrown away when broken."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pytest
from pysqlite3 import dbapi2 as sqlite

from mta.transport.mx import Mx, MxFacts
from mta.transport.mx_cache import MxCache, _File
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path


def facts(clock: FakeClock, host: str = "mx.good.test") -> MxFacts:
    return MxFacts(
        expires_at=clock.now + 60_000,
        records=(Mx(10, host),),
        addresses={host: ("192.0.2.1", "2001:db8::1")},
        ipv6=True,
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


def opened(path: Path, clock: FakeClock) -> MxCache:
    return MxCache(path, now=clock, flush_every=0.01)


def wait_for(cache: MxCache, domain: str) -> MxFacts | None:
    for _ in range(200):
        found = cache.get(domain)
        if found is not None:
            return found
        time.sleep(0.01)
    return None


def test_what_was_put_is_there_at_once_and_after_a_restart(path: Path, clock: FakeClock) -> None:
    known = facts(clock)
    with opened(path, clock) as cache:
        assert cache.get("good.test") is None
        cache.put("good.test", known)
        assert cache.get("good.test") == known
    with opened(path, clock) as cache:
        assert cache.get("good.test") == known


def test_what_has_expired_is_not_given(path: Path, clock: FakeClock) -> None:
    with opened(path, clock) as cache:
        cache.put("good.test", facts(clock))
        clock.advance(60)
        assert cache.get("good.test") is None
    with opened(path, clock) as cache:
        assert cache.get("good.test") is None


def test_another_process_sees_it(path: Path, clock: FakeClock) -> None:
    with opened(path, clock) as one, opened(path, clock) as other:
        one.put("good.test", facts(clock))
        assert wait_for(other, "good.test") == facts(clock)


@pytest.mark.parametrize(
    "garbage",
    [b"this is no database at all, whatever its name says" * 100, b"SQLite format 3\0" * 300],
)
def test_a_corrupt_file_is_started_anew(
    path: Path, clock: FakeClock, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(garbage)
    caplog.set_level(logging.WARNING)
    with opened(path, clock) as cache:
        assert cache.get("good.test") is None
        cache.put("good.test", facts(clock))
    with opened(path, clock) as cache:
        assert cache.get("good.test") == facts(clock)
    assert "not usable" in caplog.text


def test_a_file_whose_schema_is_no_text_any_more_is_started_anew(
    path: Path, clock: FakeClock
) -> None:
    """SQLite quotes it in its words, and the driver then raises UnicodeDecodeError: found by the torture."""
    with opened(path, clock) as cache:
        cache.put("good.test", facts(clock))
    path.write_bytes(path.read_bytes().replace(b"WITHOUT ROWID", b"WITHOUT ROWI\x83"))
    with opened(path, clock) as cache:
        assert cache.get("good.test") is None
        cache.put("good.test", facts(clock))
    with opened(path, clock) as cache:
        assert cache.get("good.test") == facts(clock)


def test_a_file_that_breaks_while_it_is_open_is_started_anew(path: Path, clock: FakeClock) -> None:
    with opened(path, clock) as cache:
        for n in range(2000):
            cache.put(f"d{n}.test", facts(clock))
    with opened(path, clock) as cache:
        assert cache.get("d7.test") is not None
        damaged = bytearray(path.read_bytes())
        damaged[4096:] = b"\xff" * (len(damaged) - 4096)
        path.write_bytes(damaged)
        with opened(path, clock) as other:  # reads the pages afresh
            assert other.get("d9.test") is None
            other.put("good.test", facts(clock))
            assert wait_for(other, "good.test") is not None
        assert wait_for(cache, "good.test") == facts(clock)


def test_a_row_that_cannot_be_read_starts_the_file_anew(path: Path, clock: FakeClock) -> None:
    with opened(path, clock) as cache:
        cache.put("good.test", facts(clock))
    connection = sqlite.connect(str(path))
    connection.execute('UPDATE facts SET facts = \'{"expires_at": "soon"}\'')
    connection.commit()
    connection.close()
    with opened(path, clock) as cache:
        assert cache.get("good.test") is None
        cache.put("good.test", facts(clock))
    with opened(path, clock) as cache:
        assert cache.get("good.test") == facts(clock)


def test_a_file_of_another_version_is_started_anew(path: Path, clock: FakeClock) -> None:
    connection = sqlite.connect(str(path))
    connection.execute("CREATE TABLE facts (other TEXT)")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with opened(path, clock) as cache:
        cache.put("good.test", facts(clock))
        assert cache.get("good.test") == facts(clock)
    with opened(path, clock) as cache:
        assert cache.get("good.test") == facts(clock)


def test_without_its_directory_the_cache_remembers_nothing_and_harms_nobody(
    tmp_path: Path, clock: FakeClock
) -> None:
    with opened(tmp_path / "gone" / "cache.db", clock) as cache:
        cache.put("good.test", facts(clock))
        time.sleep(0.05)
        assert cache.get("good.test") is None


def test_who_notices_the_fault_late_does_not_remove_the_new_file(path: Path) -> None:
    one, other = _File(path, 1), _File(path, 1)
    one.connection()
    other.connection()
    one.failed(sqlite.DatabaseError("malformed"))
    assert not path.exists()
    one.connection()
    other.failed(sqlite.DatabaseError("malformed"))
    assert path.exists()
    one.close()
