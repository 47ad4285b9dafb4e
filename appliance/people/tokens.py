"""Tokens: what proves something by being known, 256 random bits each, stored as SHA-256 alone.

No slow hash is needed for them: nobody guesses 256 bits. They are found by their hash, so comparing
takes no time that depends on them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from appliance.core.secrets import MasterKeys

TOKEN_BYTES: Final = 32
_LONGEST: Final = 128  # what is longer was never ours
_CSRF: Final = "session csrf"


def new_token() -> str:
    """A fresh token, safe in URLs and cookies."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def hash_of(token: str) -> bytes:
    """What is stored of a token; of one that cannot be ours, the hash of nothing."""
    return hashlib.sha256(token[:_LONGEST].encode("utf-8", "replace")).digest()


def csrf_of(keys: MasterKeys, token_hash: bytes, version: int | None = None) -> str:
    """The token that a session's forms carry: whoever cannot read the session's pages lacks it."""
    return hmac.digest(keys.derive(_CSRF, version), token_hash, "sha256").hex()


def csrf_matches(keys: MasterKeys, token: str, given: str) -> bool:
    """Whether it is that session's; those made with an older master key still are."""
    stored, octets = hash_of(token), given.encode("utf-8", "replace")
    return any(
        hmac.compare_digest(csrf_of(keys, stored, version).encode(), octets)
        for version in keys.versions
    )
