"""Quantities as people write them in config/shaping.toml: "90 min", "10/min"; pure.

Fails with ValueError in words that say how to write it.
"""

from __future__ import annotations

import re
from typing import Final

from mta.shaping.model import Rate

_UNITS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_TIME: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(s|min|h|d)", re.ASCII)
_RATE: Final = re.compile(r"([0-9]{1,9}) ?/ ?(?:([0-9]{1,6}) )?(s|min|h|d)", re.ASCII)
_LONGEST: Final = 30 * 86_400.0


def seconds_of(written: object) -> float:
    """A time: "30 s", "90 min", "2 h", "1 d", or a number of seconds."""
    found = _TIME.fullmatch(written) if isinstance(written, str) else None
    if found is not None:
        seconds = float(found[1]) * _UNITS[found[2]]
    elif isinstance(written, int | float) and not isinstance(written, bool):
        seconds = float(written)
    else:
        raise ValueError(f'{written!r} is not a time; write "30 s", "90 min", "2 h" or "1 d"')
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"{written!r} is not a time of more than nothing and at most 30 d")
    return seconds


def rate_of(written: object) -> Rate | None:
    """A rate: "10/min", "100/s", "3/90 s"; None for "none"."""
    if written == "none":
        return None
    found = _RATE.fullmatch(written) if isinstance(written, str) else None
    if found is None:
        raise ValueError(f'{written!r} is not a rate; write "100/s", "10/min", "5/h" or "none"')
    count, seconds = int(found[1]), int(found[2] or 1) * _UNITS[found[3]]
    if not count or not seconds:
        raise ValueError(f"{written!r} would let nothing through for ever")
    return Rate(count, float(seconds))
