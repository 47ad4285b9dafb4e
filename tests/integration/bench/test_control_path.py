"""The bench of the control path, small: no message asks control.db, and every change comes through.

Its rate runs what test_relay_job.py runs, with more tenants.
"""

from __future__ import annotations

import json

import pytest

from tests.support.bench import run_script

pytestmark = pytest.mark.xdist_group("control-path")

SMALL = ["--tenants", "4", "--credentials", "8", "--domains", "8", "--changes", "2"]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """One run of all its parts: each start of a box costs seconds."""
    folder = tmp_path_factory.mktemp("control-path")
    out, markdown = folder / "control.json", folder / "control.md"
    parts = "statements,effect,rebuild"
    words = [*SMALL, "--only", parts, "--messages", "200"]
    run_script("control_path", *words, "--work", folder, "--json", out, "--markdown", markdown)
    assert not list(folder.glob("control-path-*"))
    return json.loads(out.read_text()) | {"text": markdown.read_text()}


def test_no_message_asks_control_db(told):
    found = told["statements"]
    assert found["messages"] == 200
    # A portion for each credential, those asked for together in one statement: so something is counted.
    assert 1 <= found["first"]["INSERT budget"] <= 8
    assert "INSERT budget" not in found["steady"]
    assert found["per_message"] < 0.1
    assert "| INSERT budget |" in told["text"]


def test_every_kind_of_change_comes_through(told):
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
    assert "| domain key rotated |" in told["text"]
