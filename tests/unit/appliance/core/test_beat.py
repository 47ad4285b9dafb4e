"""Beat: a process says truly whether it is well."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from appliance.core.beat import Health

if TYPE_CHECKING:
    import pytest


def test_a_process_without_checks_is_well() -> None:
    report = Health("web").report()
    assert report["process"] == "web"
    assert report["pid"] == os.getpid()
    assert report["started_at"] <= report["beat_at"]
    assert report["ok"]
    assert report["checks"] == {}


def test_one_failed_check_makes_the_process_unwell() -> None:
    health = Health("mta-0")
    health.register("disk", lambda: (False, "12 MB free, 64 needed"))
    health.register("store", lambda: (True, "last commit 1 ms"))
    report = health.report()
    assert not report["ok"]
    assert report["checks"]["disk"] == {"ok": False, "words": "12 MB free, 64 needed"}
    assert report["checks"]["store"]["ok"]


def test_a_check_that_crashes_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("mta-0")
    health.register("broken", lambda: (1 // 0 == 0, ""))
    assert health.report()["checks"]["broken"]["ok"] is False
    assert "health check broken failed" in caplog.text


def test_a_loop_that_does_not_beat_is_stuck_until_it_beats() -> None:
    now = 100.0
    health = Health("worker")
    beat = health.watch("shipper", 15, lambda: now)
    now += 15
    assert health.report()["ok"]
    now += 1
    report = health.report()
    assert not report["ok"]
    assert report["checks"]["shipper"]["words"] == "last turn 16.0 s ago, at most 15 s allowed"
    beat()
    assert health.report()["ok"]
