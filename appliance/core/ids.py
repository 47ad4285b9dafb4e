"""Message ids: 63 bits that sort by time and name the shard.

    42 bits milliseconds since 2024-01-01 (until 2163) | 8 bits shard | 13 bits counter

As integers they are the fastest key SQLite has (the rowid); as text, 13 characters of Crockford's
base32 in lower case, they survive being read over the phone. From an id follow the shard that owns
the message and the day partition of the log that holds its history.
"""

from __future__ import annotations

from typing import Final

EPOCH_MS: Final = 1_704_067_200_000  # 2024-01-01T00:00:00Z
_SHARD_BITS: Final = 8
_COUNTER_BITS: Final = 13
MAX_SHARDS: Final = 1 << _SHARD_BITS
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE: Final = {char: index for index, char in enumerate(_ALPHABET)} | {"o": 0, "i": 1, "l": 1}
_LENGTH: Final = 13
_PAIRS: Final = tuple(one + two for one in _ALPHABET for two in _ALPHABET)
_SHIFTS: Final = (50, 40, 30, 20, 10, 0)


class IdMaker:
    """Makes strictly rising ids for one shard, also when the clock steps back or the box restarts."""

    def __init__(self, shard: int, last: int = 0) -> None:
        """`last` is the highest id the shard has ever given out."""
        if not 0 <= shard < MAX_SHARDS:
            raise ValueError(f"shard {shard} is not between 0 and {MAX_SHARDS - 1}")
        self._shard = shard
        self._tick = _tick_of(last)

    def make(self, now_ms: int) -> int:
        """The next id; more than 8192 in a millisecond borrow from the next one."""
        self._tick = max(self._tick + 1, (now_ms - EPOCH_MS) << _COUNTER_BITS)
        ms, counter = self._tick >> _COUNTER_BITS, self._tick & ((1 << _COUNTER_BITS) - 1)
        return (((ms << _SHARD_BITS) | self._shard) << _COUNTER_BITS) | counter


def _tick_of(message_id: int) -> int:
    counter = message_id & ((1 << _COUNTER_BITS) - 1)
    return (message_id >> (_SHARD_BITS + _COUNTER_BITS) << _COUNTER_BITS) | counter


def shard_of(message_id: int) -> int:
    """The shard whose owner keeps the message."""
    return (message_id >> _COUNTER_BITS) & (MAX_SHARDS - 1)


def time_of(message_id: int) -> int:
    """When the id was made: milliseconds since the epoch."""
    return (message_id >> (_SHARD_BITS + _COUNTER_BITS)) + EPOCH_MS


def first_at(ms: int) -> int:
    """The lowest id that can be made at this time: bounds a range of ids by time."""
    return max(0, ms - EPOCH_MS) << (_SHARD_BITS + _COUNTER_BITS)


def to_text(message_id: int) -> str:
    """13 characters, sorting as the numbers do."""
    pairs = [_PAIRS[message_id >> shift & 1023] for shift in _SHIFTS]
    return _ALPHABET[message_id >> 60 & 31] + "".join(pairs)


def from_text(text: str) -> int:
    """Read an id as people type it. Raises ValueError in words."""
    if len(text) != _LENGTH:
        raise ValueError(
            f"{text!r} is not a message id: it has {_LENGTH} characters, such as 05p3k8r2m0001"
        )
    value = 0
    for char in text.lower():
        digit = _VALUE.get(char)
        if digit is None:
            raise ValueError(f"{text!r} is not a message id: {char!r} never stands in one")
        value = (value << 5) | digit
    if value >= 1 << 63:
        raise ValueError(f"{text!r} is not a message id: it is too large")
    return value
