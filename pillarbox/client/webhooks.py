"""Webhooks: whether a request comes from your box (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pillarbox.client.errors import PillarboxClientError

TOLERANCE: Final = 300  # seconds that the clocks may differ, and that a request may be late


class WebhookError(PillarboxClientError):
    """The request is not to be believed: answer 400 and do nothing."""


def verify(
    secret: str, headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> Any:
    """What the box says, when it is the box. `secret` is the endpoint's, whsec_...

    An event may come twice: remember the header webhook-id of what you have done.
    """
    given = {name.lower(): value for name, value in headers.items()}
    number, sent_at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not number or not sent_at.isdecimal():
        raise WebhookError("the headers webhook-id and webhook-timestamp are missing")
    if abs((time.time() if now is None else now) - int(sent_at)) > TOLERANCE:
        raise WebhookError("the request is too old, or the clock of this machine is wrong")
    signed = f"{number}.{sent_at}.".encode() + body
    right = hmac.digest(_key(secret), signed, hashlib.sha256)
    if not any(hmac.compare_digest(right, one) for one in _signatures(given)):
        raise WebhookError("no signature of the request fits the secret")
    return msgspec.json.decode(body)


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise WebhookError("the secret is not whsec_ and base64: copy it again") from error


def _signatures(headers: Mapping[str, str]) -> list[bytes]:
    found = []
    for word in headers.get("webhook-signature", "").split():
        version, _, text = word.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(text, validate=True))
            except binascii.Error:
                continue
    return found
