"""Signing: Standard Webhooks (symmetric, v1) and the names of events; pure.

webhook-id names the event at this endpoint, the same for every attempt; webhook-timestamp is that of
the attempt, so that a recording of it grows old; webhook-signature is "v1," and the base64 of
HMAC-SHA256 of "id.timestamp.body", twice while a secret is rotated.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, Final

from appliance.core.clock import SECOND
from appliance.core.errors import SecretError
from appliance.core.ids import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.webhooks.model import Key

PREFIX: Final = "whsec_"
KEY_BYTES: Final = 32


def secret_of(key: bytes) -> str:
    """A key as it is shown."""
    return PREFIX + base64.b64encode(key).decode()


def key_of(secret: str) -> bytes:
    """The key of a secret that was shown."""
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise SecretError("this is no secret of a webhook: it begins with whsec_") from error


def event_name(key: Key, webhook_id: int) -> str:
    """The header webhook-id. Without full stops, which part what is signed."""
    about = "all" if key.n < 0 else str(key.n)
    return f"msg_{to_text(key.message_id)}-{about}-{key.seq}-{webhook_id}"


def headers(keys: Iterable[bytes], name: str, at: int, body: bytes) -> list[tuple[str, str]]:
    """What proves that the body is ours."""
    stamp = str(at // SECOND)
    signed = f"{name}.{stamp}.".encode() + body
    made = (base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)
    return [
        ("webhook-id", name),
        ("webhook-timestamp", stamp),
        ("webhook-signature", " ".join(f"v1,{one}" for one in made)),
    ]
