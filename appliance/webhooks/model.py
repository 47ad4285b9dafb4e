"""Values of webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from mta.status import EventKind

TEST: Final = "webhook.test"
"""The type of what is sent to try an endpoint out."""

TYPES: Final = tuple(f"message.{kind.value}" for kind in EventKind)
"""What an endpoint can choose."""

ANSWER: Final = 500
"""Characters of an answer that are kept."""


class Outcome(StrEnum):
    """What came of an attempt."""

    TAKEN = "taken"  # 2xx
    REFUSED = "refused"  # the receiver does not want this event; it is tried again
    FAILED = "failed"  # the receiver cannot now: no answer, 5xx, 429; it is tried again
    GONE = "gone"  # 410: the endpoint is disabled


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a tenant is told of its events, as people see it."""

    id: int
    tenant_id: int
    url: str
    types: tuple[str, ...]
    description: str
    created_at: int
    enabled_at: int  # the last time
    disabled_at: int  # 0 = enabled
    disabled_by: str
    disabled_reason: str
    old_secret_until: int  # until then what is sent is signed with the secret before, too; 0 = no

    @property
    def is_enabled(self) -> bool:
        """Whether it is told anything."""
        return self.disabled_at == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedEndpoint:
    """An endpoint with its secret, which is shown this once."""

    endpoint: Endpoint
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be changed of an endpoint; None leaves it as it is."""

    url: str | None = None
    types: tuple[str, ...] | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """What the sender must know of an endpoint."""

    endpoint: Endpoint
    keys: tuple[bytes, ...]  # the newest first
    old_key_until: int
    generation: int

    def keys_at(self, now: int) -> tuple[bytes, ...]:
        """Those that sign now."""
        return self.keys if now < self.old_key_until else self.keys[:1]


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which event, of those that wait for one endpoint; in the order of their message."""

    message_id: int
    seq: int
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event from the stream, as it is sent."""

    position: int
    tenant_id: int
    key: Key
    type: str
    at: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An event that an endpoint has not taken yet. Without a body: it stands in the store."""

    key: Key
    type: str
    at: int
    due_at: int
    body: bytes | None = None
    attempts: int = 0
    first_at: int = 0
    given_up_at: int = 0


class Gone(NamedTuple):
    """An event that an endpoint has taken by an attempt of then (ms): its row may go if it is not younger."""

    webhook_id: int
    key: Key
    started_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One attempt, as the log of deliveries has it."""

    webhook_id: int
    tenant_id: int
    event: str  # the header webhook-id
    type: str
    message_id: int  # 0 = a test
    at: int
    attempt: int
    outcome: Outcome
    status: int  # of HTTP; 0 = no answer
    took: int  # ms
    answer: str  # its beginning, or what went wrong
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far an endpoint is."""

    waiting: int  # events that it has not taken yet
    given_up: int  # that were tried for as long as is tried; they can be replayed
    oldest_at: int  # when the oldest of those that wait happened; 0 = none waits
    last: Delivery | None
    failing_since: int = 0  # since when what waits has been tried in vain; 0 = it has not

    @property
    def is_failing(self) -> bool:
        """Whether the receiver does not take what it is sent."""
        return self.failing_since > 0
