"""Spread: mail over several addresses in the shares that their weights ask for; pure.

Smooth weighted round robin: after any 10 messages over weights 3, 1, 1 each address has had its share
within one, never five in a row. Who is not among the choices this time loses nothing but its turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Spread:
    """The turns of one pool."""

    __slots__ = ("_credit",)

    def __init__(self) -> None:
        self._credit: dict[str, int] = {}

    def choose(self, choices: Sequence[tuple[str, int, T]]) -> T:
        """One of (name, weight, what); there must be one."""
        if len(choices) == 1:
            return choices[0][2]
        credit, total = self._credit, 0
        best, most = choices[0], None
        for choice in choices:
            name, weight, _ = choice
            total += weight
            credit[name] = now = credit.get(name, 0) + weight
            if most is None or now > most:
                best, most = choice, now
        credit[best[0]] -= total
        return best[2]
