"""The bench of the control path, small: each part runs, and no message asks control.db."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.support.bench import run_script

SMALL = ["--tenants", "4", "--credentials", "8", "--domains", "8", "--changes", "2"]


def _run(folder, *words):
    out = folder / "control.json"
    markdown = folder / "control.md"
    run_script(
        "control_path", *SMALL, *words, "--work", folder, "--json", out, "--markdown", markdown
    )
    assert not list(folder.glob("control-path-*"))
    return json.loads(out.read_text()), markdown.read_text()


def test_no_message_asks_control_db(tmp_path):
    told, text = _run(tmp_path, "--only", "statements", "--messages", "200")
    found = told["statements"]
    assert found["messages"] == 200
    assert found["steady"]["SELECT generation"] > 0  # so something was counted
    assert (
        found["first"]["INSERT budget"] >= 8
    )  # a portion for each credential, or for each session of it
    assert "INSERT budget" not in found["steady"]
    assert found["per_message"] < 0.1
    assert "| SELECT generation |" in text


def test_every_kind_of_change_comes_through(tmp_path):
    told, text = _run(tmp_path, "--only", "effect,rebuild")
    assert set(told["effect"]) == {
        "credential revoked",
        "tenant suspended",
        "tenant paused",
        "tenant resumed",
        "pool changed",
        "domain key rotated",
    }
    assert all(one["repetitions"] == 2 for one in told["effect"].values())
    rebuilt = told["rebuild"]["8"]
    assert set(rebuilt) == {"first load", "domain", "key", "credential", "tenant", "nothing"}
    assert all(one["ms"] > 0 for one in rebuilt.values())
    assert "| domain key rotated |" in text


@pytest.mark.skipif(
    shutil.which("smtp-sink", path="/usr/sbin:/usr/bin") is None,
    reason="the receiver is Debian's postfix package",
)
def test_many_tenants_stand_beside_one(tmp_path):
    told, text = _run(tmp_path, "--only", "rate", "--messages", "100", "--reps", "1")
    found = told["rate"]
    assert found["many"]["crowd"] == "4 / 8 / 8"
    assert set(found["ratios"]) == {"accepted_per_s", "delivered_per_s", "cpu_ms"}
    assert found["one"]["parts_ms"].keys() == found["many"]["parts_ms"].keys()
    assert "| ratio |" in text
