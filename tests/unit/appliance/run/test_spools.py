"""How many mta processes a box starts."""

from __future__ import annotations

import os

import pytest

from appliance.core.settings import Settings, Spool
from appliance.run.spools import mta_processes


@pytest.mark.parametrize(("cores", "processes"), [(1, 1), (2, 2), (4, 4), (16, 4)])
def test_a_box_starts_one_for_each_core_it_may_use_and_four_at_most(monkeypatch, cores, processes):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    assert mta_processes(Settings()) == processes


def test_a_number_that_is_asked_for_is_started(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert mta_processes(Settings(spool=Spool(processes=6))) == 6
