"""What a fuzzing test may ask for; the options are those of tests/conftest.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fuzzing import Fuzzing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fuzzing(request: pytest.FixtureRequest) -> Iterator[Fuzzing]:
    config = request.config
    found = Fuzzing(config.getoption("fuzz_seconds"), config.getoption("fuzz_seed"))
    yield found
    print(f"{found.examples} inputs from seed {found.seed}")
