"""Digest: by which a spool knows that what it reads is what it stored; pure.

SQLite does not notice a flipped bit inside a row, and PostgreSQL only where its pages have checksums.
Each message carries two: one of its content, one of its envelope (what never changes of the rows of the
message and its recipients). It is GMAC under a fixed key: no secret, only the fastest at hand (100 KB:
17 us with AES in the processor, against 48 for CRC-32 and 70 for SHA-256).
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mta.spool import tables as t

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Table

_gmac: Final = AESGCM(b"pillarbox digest").encrypt
_NONCE: Final = bytes(12)
_encode: Final = msgspec.json.Encoder().encode


def _columns(table: Table, *names: str) -> itemgetter[Any]:
    places = {column.name: place for place, column in enumerate(table.columns)}
    return itemgetter(*(places[name] for name in names))


# Not states and pool, which change; not the flags, which the two databases read differently.
_of_message: Final = _columns(
    t.message,
    *("id", "tenant_id", "credential_id", "source", "traffic_class", "envelope_from"),
    *("header_from", "message_id", "subject", "size", "accepted_at", "client", "tags", "metadata"),
    *("ret", "envid", "return_path_mode", "bounce_domain"),
)
_of_recipient: Final = _columns(
    t.recipient, "n", "address", "domain", "expires_at", "notify", "orcpt"
)


def of_content(content: bytes) -> int:
    """63 bits, which both databases hold in one number."""
    return int.from_bytes(_gmac(_NONCE, b"", content)[:8]) >> 1


def of_envelope(message: tuple[Any, ...], recipients: Iterable[tuple[Any, ...]]) -> int:
    """Of a row of `message` and those of its recipients, in their order."""
    return of_content(_encode((_of_message(message), [_of_recipient(row) for row in recipients])))
