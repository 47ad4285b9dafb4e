"""Values of limits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What is counted, and in which window: "credential:12:day" in the day that began at `window`."""

    key: str
    window: int
