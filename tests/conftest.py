"""Fixtures every test may ask for; they live in tests/support."""

from __future__ import annotations

import gc
import random
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.control import (
    control_location,
    engine,
    location,
    migrated_database,
    migrated_file,
    now,
)
from tests.support.postgres import postgres_server, postgres_url, scratch

FUZZ_SECONDS = 1.0
FUZZ_SEED = 1
ACCEPTANCE = Path(__file__).parent / "acceptance"
TORTURE = ACCEPTANCE / "torture"

# A deadline measures the machine and its neighbours, not the code. `make fuzz` is what tries many examples.
settings.register_profile(
    "pillarbox", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("pillarbox")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Fuzzing: the same inputs for everybody, a moment each; or for long, with new ones."""
    group = parser.getgroup("fuzzing")
    group.addoption("--fuzz-seconds", type=float, default=0.0, help="for each target of tests/fuzz")
    group.addoption("--fuzz-seed", type=int, default=0, help="where to start; as told by a failure")
    group = parser.getgroup("browser")
    group.addoption("--looks", choices=("one", "all"), default="one", help="at each page")
    group = parser.getgroup("torture")
    group.addoption("--torture-seconds", type=float, default=0.0, help="0: every fault once")
    group.addoption("--torture-seed", type=int, default=1, help="which faults come when")
    group.addoption("--torture-only", default="", help="these faults: kill,power cut")
    group.addoption("--torture-report", default="", help="a JSON file for the ledger")


def pytest_configure(config: pytest.Config) -> None:
    """The workers of xdist are given what is chosen here."""
    is_long = bool(config.option.fuzz_seconds)
    config.option.fuzz_seconds = config.option.fuzz_seconds or FUZZ_SECONDS
    if not config.option.fuzz_seed:
        config.option.fuzz_seed = random.randrange(1, 1 << 30) if is_long else FUZZ_SEED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of whole boxes, which mostly wait, stand among the others, which mostly compute."""
    slow = [item for item in items if ACCEPTANCE in item.path.parents]
    slow.sort(key=lambda item: TORTURE not in item.path.parents)  # the longest first
    others = [item for item in items if ACCEPTANCE not in item.path.parents]
    for item in others:  # `make test` looks for them there, which saves reading all others
        if item.get_closest_marker("alone"):
            raise pytest.UsageError(f"{item.nodeid}: tests marked `alone` belong to {ACCEPTANCE}")
    if slow:
        gap = len(others) * 2 // (3 * len(slow))  # the last ones begin at two thirds
        parts = [[one, *others[n * gap : (n + 1) * gap]] for n, one in enumerate(slow)]
        items[:] = [*chain.from_iterable(parts), *others[len(slow) * gap :]]


def pytest_collection_finish() -> None:
    """What was collected stays: garbage is not looked for in it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def pytest_report_header(config: pytest.Config) -> str:
    """With what a failure can be had again."""
    return f"fuzzing: --fuzz-seconds {config.option.fuzz_seconds:g} --fuzz-seed {config.option.fuzz_seed}"


__all__ = [
    "control_location",
    "engine",
    "location",
    "migrated_database",
    "migrated_file",
    "now",
    "postgres_server",
    "postgres_url",
    "scratch",
]
