"""`make bench-guard`: a message costs no more calls, statements and flushes than its bounds allow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3] / "bench"))

from bench_guard import passed

ROOT = Path(__file__).parents[3]
COUNTED = {"kept session": {"calls": 2300.5, "commits": 1.0}}


def test_a_message_costs_no_more_than_its_bounds():
    command = [sys.executable, "bench/bench_guard.py", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert (done.returncode, told["passed"]) == (0, [])
    for scenario, bounds in told["bounds"].items():
        for name, bound in bounds.items():
            assert bound / 3 < told["counted"][scenario][name], f"{scenario}: the bound of {name}"


def test_a_count_above_its_bound_is_told():
    words = passed(COUNTED, {"kept session": {"calls": 2300, "commits": 1.2}})
    assert words == ["kept session: 2300.5 calls a message, allowed are 2300"]


@pytest.mark.parametrize(
    "bounds",
    [
        {"kept session": {"calls": 2400}},
        {"kept session": {"calls": 2400, "commits": 2, "reads": 9}},
        {"kept session": {"calls": 2400, "commits": 2}, "session each": {"calls": 1}},
    ],
    ids=["no bound", "no count", "no scenario"],
)
def test_what_has_no_bound_and_what_is_not_counted_any_more_is_told(bounds):
    assert len(passed(COUNTED, bounds)) == 1
