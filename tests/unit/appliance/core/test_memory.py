"""What is made to stay is not looked at again and again; a parent about to fork leaves no holes."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from appliance.core import memory

FILLED = """
from appliance.core import memory
made = [bytes(1000 + number % 7) for number in range(2000)]
del made[::2]
before = memory.holes()
memory.fill_holes()
print(before, memory.holes())
"""


@pytest.fixture(autouse=True)
def _thawed():
    yield
    gc.unfreeze()
    gc.enable()


def test_what_is_made_to_stay_is_left_out_of_later_looks():
    with memory.for_long():
        assert not gc.isenabled()
        made = [[number] for number in range(1000)]
    assert gc.isenabled()
    tracked = {id(one) for one in gc.get_objects()}
    assert not tracked & {id(one) for one in made}


def test_the_collector_works_again_after_an_error():
    with pytest.raises(ValueError, match="oops"), memory.for_long():
        raise ValueError("oops")
    assert gc.isenabled()


@pytest.mark.skipif(not memory.holes(), reason="this C library does not say what is free")
def test_a_parent_about_to_fork_leaves_no_holes_that_its_children_would_fill():
    done = subprocess.run(
        [sys.executable, "-c", FILLED], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert before > 1_000_000
    assert after < before / 50
