"""Processes: what the web asks of the box; the roof gives the one that asks over the sockets."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable  # Litestar checks what it injects
class Processes(Protocol):
    """The processes of the box. Neither call waits long for one that is dead."""

    async def health(self) -> dict[str, dict[str, Any]]:
        """What each process says of itself, by name: at least `ok`, and `words` when it is silent."""

    async def metrics(self) -> bytes:
        """One exposition of all of them, in Prometheus' text format."""
