"""Keys: what programs show at the HTTP API. Named, narrowed to some rights, expiring, shown once.

A key that may send stands in front of a credential of its own, so that limits, pauses, tags, pools and the
log know it as they know an SMTP login. Requests that carry an Idempotency-Key are remembered here.
"""

from __future__ import annotations

from appliance.keys.book import KeyBook
from appliance.keys.model import ApiKey, IssuedKey, KeyCounts, KeyUse, Wish
from appliance.keys.requests import Claim, Requests
from appliance.keys.rules import SOON, grantable
from appliance.keys.service import Keys

__all__ = [
    "SOON",
    "ApiKey",
    "Claim",
    "IssuedKey",
    "KeyBook",
    "KeyCounts",
    "KeyUse",
    "Keys",
    "Requests",
    "Wish",
    "grantable",
]
