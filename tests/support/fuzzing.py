"""Fuzzing: a property tried with new inputs until its time is up, from a seed that is told.

    def test_it(fuzzing: Fuzzing) -> None:
        @given(st.binary())
        def never_raises(raw: bytes) -> None: ...

        fuzzing.run(never_raises)

Hypothesis makes the inputs and makes a failing one small. Each batch has a seed of its own, counted from
the first, so that the same seed gives the same inputs; how many batches fit depends on the machine.
A crash that was found becomes a test beside those of the module it was found in.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hypothesis
from hypothesis import HealthCheck, Phase

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 100


@dataclass
class Fuzzing:
    """How long each property is tried, and from which seed."""

    seconds: float
    seed: int
    examples: int = 0

    def run(self, prove: Callable[..., Any], batch: int = BATCH) -> None:
        """Try a property that was decorated with `@given`; at least one batch."""
        settings = hypothesis.settings(
            max_examples=batch,
            deadline=None,
            database=None,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        trial = settings(prove)
        end = time.monotonic() + self.seconds
        number = 0
        while number == 0 or time.monotonic() < end:
            self._try(trial, self.seed + number)
            number += 1
            self.examples += batch

    def _try(self, trial: Callable[..., Any], seed: int) -> None:
        try:
            hypothesis.seed(seed)(trial)()
        except BaseException as error:
            error.add_note(f"found by fuzzing; again with: --fuzz-seed {seed}")
            raise
