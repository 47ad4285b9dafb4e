"""Calls: what both clients send, how they read the answer, and when they try again; no input or output.

A call is tried again after a broken connection, 429 or 503 when that can do no harm: reading, and sending,
which carries an Idempotency-Key. The pauses double, and Retry-After is kept to.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import msgspec

from pillarbox.client.errors import ApiError, FieldError
from pillarbox.client.shapes import BatchResult, Letter, Page, Sent, batch_result

T = TypeVar("T")
TRIES: Final = 5
AGAIN: Final = frozenset({429, 503})
_LONGEST: Final = 60.0


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One question to the box."""

    method: str
    path: str
    read: Callable[[bytes], T]
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def may_repeat(self) -> bool:
        """Whether asking twice does no more than asking once."""
        return self.method in ("GET", "DELETE") or "Idempotency-Key" in self.headers


def send(letter: Letter, key: str | None) -> Call[Sent]:
    """One message."""
    return Call("POST", "/send", _sent, letter, headers=_key(key))


def send_batch(
    letters: Sequence[Letter], shared: Mapping[str, Any] | None, key: str | None
) -> Call[BatchResult]:
    """Up to 1,000 messages."""
    body = {"messages": list(letters), "shared": dict(shared or {})}
    return Call("POST", "/send/batch", batch_result, body, headers=_key(key))


def ask(method: str, path: str, body: Any, query: Mapping[str, Any]) -> Call[Any]:
    """Any operation of the API, by its path below /api/v1."""
    told = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return Call(method.upper(), path, _json, body, query=told)


def page(path: str, query: Mapping[str, Any], cursor: str) -> Call[Page]:
    """A page of a list."""
    told = {name: str(value) for name, value in query.items() if value not in (None, "")}
    if cursor:
        told["cursor"] = cursor
    return Call("GET", path, _page, query=told)


def pause(tries: int, retry_after: str = "") -> float:
    """Seconds until the next try."""
    if retry_after.isdecimal():
        return min(float(retry_after), _LONGEST)
    return min(0.25 * 2.0**tries, _LONGEST)


def refusal(status: int, octets: bytes) -> ApiError:
    """What an answer that is no success says."""
    try:
        told = msgspec.json.decode(octets)
        errors = tuple(FieldError(one["field"], one["detail"]) for one in told.get("errors", ()))
        return ApiError(status, str(told["detail"]), errors)
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
        return ApiError(status, octets[:200].decode("utf-8", "replace"))


def _key(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key or str(uuid.uuid4())}


def _sent(octets: bytes) -> Sent:
    return msgspec.json.decode(octets, type=Sent)


def _page(octets: bytes) -> Page:
    return msgspec.json.decode(octets, type=Page)


def _json(octets: bytes) -> Any:
    return msgspec.json.decode(octets) if octets else None
