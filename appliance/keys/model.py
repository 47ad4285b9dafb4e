"""Values of keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.credentials import Policy
from appliance.rights import Right  # noqa: TC001 - msgspec reads annotations at run time

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The key that somebody wants."""

    name: str
    rights: frozenset[Right]
    expires_at: int = 0  # 0 = never
    sandboxed: bool = False  # what it sends is accepted and delivered to nobody
    policy: Policy = field(default_factory=Policy)  # how what it sends is treated


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it stands. Its secret is nowhere."""

    id: int
    tenant_id: int  # 0 = of the box
    credential_id: int  # behind which it sends; 0 = it may not send
    name: str
    secret_hash: bytes = field(repr=False)
    rights: AbstractSet[Right]
    sandboxed: bool
    by: str  # who made it
    created_at: int
    expires_at: int  # 0 = never
    revoked_at: int  # 0 = valid
    last_used_at: int  # 0 = never; to the minute
    last_used_from: str

    def is_valid(self, now: int) -> bool:
        """Whether it opens anything."""
        return not self.revoked_at and (not self.expires_at or now < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A key just made, with what its holder must keep: it is shown once."""

    key: ApiKey
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCounts:
    """How many keys there are."""

    valid: int
    ending: int  # of them, soon
    unused: int  # of them, for long


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """That a key was used, noted in batches."""

    key_id: int
    at: int
    address: str
