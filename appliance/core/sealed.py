"""Sealed: files that only their key opens, read and written in chunks, so that they may be of any size.

    magic (8) | salt (32) | chunk | chunk | ...        chunk: AES-256-GCM of 1 MiB at most, its tag behind

Each file has a key of its own, made of the sealing key, the salt and the file's name; the nonce is the
chunk's number and whether it is the last (STREAM, Hoang et al. 2015). So a chunk that was changed, moved,
left out or taken from another file is noticed, and so is a file that was cut off or renamed. What
`unseal` gives may be believed chunk by chunk, and is the whole file once it ends without an error.

The sealing key is made of a passphrase (scrypt, 128 MB) or of a key file. Fails with SecretError.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from appliance.core.errors import SecretError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK: Final = 1 << 20
KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
_MAGIC: Final = b"PBXSEAL1"
_TAG_BYTES: Final = 16
_LEAST_SECRET: Final = 32  # octets of a key file
_LEAST_PASSPHRASE: Final = 12
_SCRYPT_COST: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Digest:
    """What a file was before it was sealed."""

    size: int
    sha256: str


def key_of_passphrase(passphrase: str, salt: bytes) -> bytes:
    """The sealing key; takes half a second on purpose."""
    if len(passphrase) < _LEAST_PASSPHRASE:
        raise SecretError(f"a passphrase has {_LEAST_PASSPHRASE} characters at least")
    return Scrypt(salt=salt, length=KEY_BYTES, n=_SCRYPT_COST, r=8, p=1).derive(passphrase.encode())


def key_of_secret(secret: bytes, salt: bytes) -> bytes:
    """The sealing key of a key file's content, whatever it is made of."""
    if len(secret) < _LEAST_SECRET:
        raise SecretError(f"a key file has {_LEAST_SECRET} octets at least")
    return HKDF(SHA256(), KEY_BYTES, salt, b"pillarbox backup").derive(secret)


def new_secret() -> bytes:
    """The content of a fresh key file: one line that can be printed and typed."""
    return base64.b64encode(os.urandom(KEY_BYTES)) + b"\n"


def seal(key: bytes, name: str, chunks: Iterator[bytes], target: BinaryIO) -> Digest:
    """Write what `chunks` give; pieces of any size."""
    salt = os.urandom(SALT_BYTES)
    cipher = _cipher(key, name, salt)
    target.write(_MAGIC + salt)
    counted, size, number = hashlib.sha256(), 0, 0
    waiting = bytearray()
    for piece in chunks:
        counted.update(piece)
        size += len(piece)
        waiting += piece
        while len(waiting) > CHUNK:  # one octet more than a chunk: it is not the last
            target.write(cipher.encrypt(_nonce(number, last=False), bytes(waiting[:CHUNK]), None))
            del waiting[:CHUNK]
            number += 1
    target.write(cipher.encrypt(_nonce(number, last=True), bytes(waiting), None))
    return Digest(size, counted.hexdigest())


def unseal(key: bytes, name: str, source: BinaryIO) -> Iterator[bytes]:
    """What was sealed under this name. Raises SecretError at the first chunk that is not as it was."""
    head = source.read(len(_MAGIC) + SALT_BYTES)
    if not head.startswith(_MAGIC) or len(head) != len(_MAGIC) + SALT_BYTES:
        raise SecretError(f"{name} is not a sealed file, or it is cut off")
    cipher = _cipher(key, name, head[len(_MAGIC) :])
    number, chunk = 0, source.read(CHUNK + _TAG_BYTES)
    while True:
        following = source.read(CHUNK + _TAG_BYTES)
        try:
            yield cipher.decrypt(_nonce(number, last=not following), chunk, None)
        except InvalidTag as error:
            raise SecretError(
                f"{name} does not open: the passphrase or key file is another one, or the file is damaged"
            ) from error
        if not following:
            return
        number, chunk = number + 1, following


def _cipher(key: bytes, name: str, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"pillarbox file " + name.encode()).derive(key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11) + bytes((last,))
