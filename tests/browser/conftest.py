"""Fixtures of the tests that need a browser."""

from __future__ import annotations

import pytest

from tests.support import looking
from tests.support.chromium import chromium

__all__ = ["chromium"]


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--looks") == "all":
        looking.in_every_way = True
