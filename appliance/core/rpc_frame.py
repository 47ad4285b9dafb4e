"""Frames: what two processes of the box say to each other on a unix socket.

    4 octets of length, big-endian | msgpack: a Request or an Answer

Frames have a bound, so that a broken peer cannot fill the memory. An error travels as the name of its
class in core/errors.py and its text, and is raised again as that class on the other side; an error
declared elsewhere travels as its nearest relative there. Pure.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec

from appliance.core import errors
from appliance.core.errors import PillarboxError, UsageError

MAX_FRAME: Final = 128 << 20
HEADER: Final = struct.Struct("!I")
_CLASSES: Final[dict[str, type[PillarboxError]]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, PillarboxError)
}


class Request(msgspec.Struct, frozen=True, array_like=True):
    """What is asked; `number` comes back with the answer."""

    number: int
    method: str
    payload: Any


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The value, or the name of an error's class ("" = none) with its text as the value."""

    number: int
    error: str
    value: Any


def pack(frame: Request | Answer, limit: int) -> bytes:
    """The frame as octets with its length. Raises UsageError when it is too large."""
    body = msgspec.msgpack.encode(frame)
    if len(body) > limit:
        raise UsageError(f"{len(body)} octets are too many for one call; at most {limit} fit")
    return HEADER.pack(len(body)) + body


def error_answer(number: int, error: PillarboxError) -> Answer:
    """The answer that carries the error."""
    name = next(cls.__name__ for cls in type(error).__mro__ if cls in _CLASSES.values())
    return Answer(number, name, str(error))


def value_of(answer: Answer) -> Any:
    """The answer's value; raises the error it carries."""
    if answer.error:
        raise _CLASSES.get(answer.error, PillarboxError)(str(answer.value))
    return answer.value
