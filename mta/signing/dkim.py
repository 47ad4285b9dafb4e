"""DKIM signatures: RSA-SHA256 and Ed25519-SHA256 side by side, relaxed/relaxed (RFC 6376, RFC 8463).

`sign()` gives the DKIM-Signature fields of a message, one per key of the plan, to be put in front
of the content, which it never changes. The body is hashed once for all keys; a field that occurs
several times is covered from the bottom up (RFC 6376 5.4.2); the fields of `OVERSIGNED` are named
once more than they occur, so that nobody can add one behind the signature. There is no l= (an open
door for appended text) and no x= (mail may wait for days at a receiver's gateway).

Safe in a worker thread: no shared state, and `cryptography` releases the GIL during the 200 µs of
an RSA signature. Raises TypeError when a key is neither RSA nor Ed25519; nothing else can fail.

Both signatures of a 4 KB message take 250 µs, of which RSA outside the GIL is 205 (bench/parts.py).
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from mta.signing.canonical import body_hash, fields_of, header_end_of, relaxed_field

if TYPE_CHECKING:
    from mta.directory import DkimKey
    from mta.message import SigningPlan

__all__ = ["OVERSIGNED", "SIGNED", "body_hash", "sign"]

OVERSIGNED: Final = (
    b"from",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"message-id",
    b"reply-to",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
    b"list-unsubscribe",  # RFC 8058 section 4: both must be covered
    b"list-unsubscribe-post",
)
"""Covered whether they are there or not: adding one breaks the signature."""

SIGNED: Final = (
    b"sender",
    b"in-reply-to",
    b"references",
    b"content-id",
    b"content-description",
    b"feedback-id",
    b"list-id",
    b"list-help",
    b"list-owner",
    b"list-post",
    b"list-subscribe",
    b"list-archive",
)
"""Covered where they are there. A mailing list may add them and leave the signature whole."""

_WANTED: Final = frozenset(OVERSIGNED + SIGNED)
_MAX_COLUMN: Final = 78
_PADDING: Final = PKCS1v15()
_HASH: Final = SHA256()


def sign(content: bytes, plan: SigningPlan, *, now_s: int, header_end: int | None = None) -> bytes:
    """The DKIM-Signature fields, each folded at 78 columns and ending in CRLF; b"" without keys.

    `header_end` is the offset just after the last header field, where the caller knows it.
    """
    if not plan.keys:
        return b""
    end = header_end_of(content) if header_end is None else header_end
    fields = fields_of(content, end, _WANTED)
    names = _names_to_sign(fields)
    covered = _covered(fields, names)
    hashed = body_hash(content[end + 2 :])
    domain = plan.domain.encode("ascii")
    return b"".join([_signature(key, domain, now_s, names, covered, hashed) for key in plan.keys])


def _names_to_sign(fields: dict[bytes, list[bytes]]) -> tuple[bytes, ...]:
    names: list[bytes] = []
    for name in OVERSIGNED:
        names += [name] * (len(fields.get(name, ())) + 1)
    for name in SIGNED:
        if name in fields:
            names += [name] * len(fields[name])
    return tuple(names)


def _covered(fields: dict[bytes, list[bytes]], names: tuple[bytes, ...]) -> bytes:
    """The relaxed fields in the order of h=, last occurrence first; a missing one counts as nothing."""
    return b"".join(
        [
            b"\r\n".join([*reversed(fields[name]), b""])
            for name in dict.fromkeys(names)
            if name in fields
        ]
    )


def _signature(
    key: DkimKey, domain: bytes, now_s: int, names: tuple[bytes, ...], covered: bytes, hashed: bytes
) -> bytes:
    # The tag that holds the signature is last, so that the field without it is a plain prefix.
    value = b"".join(
        [
            b" v=1; a=%s; c=relaxed/relaxed; t=%d;\r\n" % (key.algorithm.encode("ascii"), now_s),
            _domain_and_selector(domain, key.selector.encode("ascii")),
            _folded_names(names),
            b"\tbh=%s;\r\n\tb=" % hashed,
        ]
    )
    signed = covered + relaxed_field(b"dkim-signature", value)
    return (
        b"DKIM-Signature:"
        + value
        + _folded_base64(base64.b64encode(_sign_with(key, signed)))
        + b"\r\n"
    )


def _sign_with(key: DkimKey, data: bytes) -> bytes:
    private = key.private_key
    if isinstance(private, RSAPrivateKey):
        return private.sign(data, _PADDING, _HASH)
    if isinstance(private, Ed25519PrivateKey):
        return private.sign(hashlib.sha256(data).digest())  # RFC 8463 section 3: the hash is signed
    raise TypeError(
        f"selector {key.selector!r}: a DKIM key is RSA or Ed25519, not {type(private).__name__}"
    )


@lru_cache(maxsize=1024)
def _domain_and_selector(domain: bytes, selector: bytes) -> bytes:
    one_line = b"\td=%s; s=%s;\r\n" % (domain, selector)
    if (
        len(one_line) + 5 <= _MAX_COLUMN
    ):  # a tab counts as eight columns at most; a long name cannot fold
        return one_line
    return b"\td=%s;\r\n\ts=%s;\r\n" % (domain, selector)


@lru_cache(maxsize=256)
def _folded_names(names: tuple[bytes, ...]) -> bytes:
    """h=, folded after colons. Messages of one kind share their names, so this is a dictionary read."""
    lines, line = [], b"\th="
    for name in names:
        if len(line) + len(name) + 8 > _MAX_COLUMN:
            lines.append(line)
            line = b"\t "
        line += name + b":"
    return b"\r\n".join([*lines, line[:-1] + b";\r\n"])


def _folded_base64(text: bytes) -> bytes:
    return b"\r\n\t ".join([text[start : start + 68] for start in range(0, len(text), 68)])
