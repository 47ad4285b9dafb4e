"""What is made to stay is not looked at by the garbage collector again and again."""

from __future__ import annotations

import gc

import pytest

from appliance.core import memory


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
