"""Look: one part of the measurement as it was seen, over time."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Look:
    """One part, as it was seen."""

    part: str
    times: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # MB
    open: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)  # ms
    refused: int = 0  # of the client who must be served
    facts: dict[str, float] = field(default_factory=dict)
