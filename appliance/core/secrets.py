"""Secrets: what the box encrypts at rest, and the keys it derives; all from one master key file.

    v1:<iv>:<tag>:<ciphertext>     AES-256-GCM, each part base64; vN names the master key

The associated data binds a secret to its place, "table:column:row", so that a row's secret copied to
another row does not decrypt. Master keys are never used themselves: HKDF-SHA256 (RFC 5869) derives one
key for each purpose. Machine credentials have 190 random bits, so a keyed HMAC is as safe to store as a
slow hash and costs microseconds where Argon2 costs 50 milliseconds.

Promises: the key file is refused when others could read it, is never overwritten, and grows only by an
atomic, synced replace. Fails with SecretError in words; no text of it carries a secret.
"""

from __future__ import annotations

import base64
import fcntl
import hmac
import os
import re
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.core.errors import SecretError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY_BYTES: Final = 32
MAX_VERSION: Final = 255  # a credential hash names its version in one byte
CREDENTIAL_PREFIX: Final = "pbx_"  # lets secret scanners and our own log find a leaked password
_IV_BYTES: Final = 12  # NIST SP 800-38D: 96 bits
_TAG_BYTES: Final = 16
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"  # without 0 O 1 I l
_PASSWORD_CHARACTERS: Final = 33  # 57 ** 33 = 2 ** 192
_KEY_LINE: Final = re.compile(r'v(\d{1,3})\s*=\s*"?([A-Za-z0-9+/]{43}=)"?')
_SEALED: Final = re.compile(r"v(\d{1,3}):([A-Za-z0-9+/=]*):([A-Za-z0-9+/=]*):([A-Za-z0-9+/=]*)")
_PREFACE: Final = """\
# Master keys of this box. Whoever has this file can read every secret in its database; without it
# nobody can. Keep a copy where the backups are not. Never remove a line that is still in use.
"""


class MasterKeys:
    """The master keys of one box, by version; the highest version is the one that writes."""

    def __init__(self, keys: Mapping[int, bytes], path: Path | None = None) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys.values()):
            raise SecretError(f"a master key has {KEY_BYTES} octets, and there is at least one")
        self._keys = dict(keys)
        self._path = path
        self._derived: dict[tuple[str, int], bytes] = {}
        self._ciphers: dict[int, AESGCM] = {}

    @classmethod
    def load(cls, path: Path) -> MasterKeys:
        """Read the key file; refuses one that others can read."""
        return cls(_read(path), path)

    @classmethod
    def create(cls, path: Path) -> MasterKeys:
        """Make the key file with one fresh key; never overwrites."""
        keys = {1: secrets.token_bytes(KEY_BYTES)}
        draft = _write_draft(path, keys)
        try:
            # link() fails where a file stands, and readers see all of it or nothing.
            path.hardlink_to(draft)
        except FileExistsError as error:
            raise SecretError(f"{path} exists already and is never overwritten") from error
        except OSError as error:
            raise SecretError(f"{path}: {error.strerror}: the key file cannot be made") from error
        finally:
            draft.unlink()
        _sync_directory(path.parent)
        return cls(keys, path)

    def add_version(self) -> MasterKeys:
        """Add a fresh key to the file; what is encrypted from now on uses it. Old ones stay."""
        if self._path is None:
            raise SecretError("these master keys have no file to add a version to")
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)  # two at once would each lose the other's key
            keys = _read(self._path)
            version = max(keys) + 1
            if version > MAX_VERSION:
                raise SecretError(
                    f"there are no more than {MAX_VERSION} versions of the master key"
                )
            keys[version] = secrets.token_bytes(KEY_BYTES)
            _write_draft(self._path, keys).replace(self._path)
            os.fsync(directory)
        finally:
            os.close(directory)
        return MasterKeys(keys, self._path)

    @property
    def newest(self) -> int:
        """The version that writes."""
        return max(self._keys)

    @property
    def versions(self) -> tuple[int, ...]:
        """Every version at hand, oldest first."""
        return tuple(sorted(self._keys))

    def encrypt(self, plaintext: bytes, *, bound_to: str) -> str:
        """Encrypt with the newest key for one place, "table:column:row"."""
        version, iv = self.newest, os.urandom(_IV_BYTES)
        sealed = self._cipher(version).encrypt(iv, plaintext, bound_to.encode())
        parts = (iv, sealed[-_TAG_BYTES:], sealed[:-_TAG_BYTES])
        return ":".join((f"v{version}", *(base64.b64encode(part).decode() for part in parts)))

    def decrypt(self, text: str, *, bound_to: str) -> bytes:
        """What was encrypted for this place."""
        found = _SEALED.fullmatch(text)
        if found is None:
            raise SecretError(f"the secret of {bound_to} is not in the form v1:iv:tag:ciphertext")
        try:
            iv, tag, ciphertext = (base64.b64decode(part) for part in found.groups()[1:])
            cipher = self._cipher(int(found.group(1)))
            return cipher.decrypt(iv, ciphertext + tag, bound_to.encode())
        except (ValueError, InvalidTag) as error:
            raise SecretError(
                f"the secret of {bound_to} does not decrypt: it was changed, or copied from another "
                "row, or the master key file is another box's; restore both from one backup"
            ) from error

    def needs_rotation(self, text: str) -> bool:
        """Whether the secret was encrypted with an older key than the newest."""
        return not text.startswith(f"v{self.newest}:")

    def derive(self, purpose: str, version: int | None = None) -> bytes:
        """The 32-octet key of a purpose ("verp", "suppression"); of the newest master key if not said."""
        version = self.newest if version is None else version
        key = self._derived.get((purpose, version))
        if key is None:
            key = _hkdf(self._master(version), purpose)
            self._derived[purpose, version] = key
        return key

    def credential_hash(self, secret: str) -> bytes:
        """What is stored of a machine credential: one octet of key version, then HMAC-SHA256."""
        return self._credential_hash(secret, self.newest)

    def credential_matches(self, secret: str, stored: bytes) -> bool:
        """Whether the secret is the stored one; in constant time, a few microseconds."""
        if len(stored) != 1 + KEY_BYTES:
            raise SecretError("a stored credential hash has the wrong length; issue the login anew")
        return hmac.compare_digest(self._credential_hash(secret, stored[0]), stored)

    def credential_is_current(self, stored: bytes) -> bool:
        """Whether the hash was made with the newest key; if not, store a new one at this login."""
        return stored[:1] == bytes((self.newest,))

    def _credential_hash(self, secret: str, version: int) -> bytes:
        key = self.derive("credential", version)
        return bytes((version,)) + hmac.digest(key, secret.encode("utf-8", "replace"), "sha256")

    def _cipher(self, version: int) -> AESGCM:
        cipher = self._ciphers.get(version)
        if cipher is None:
            cipher = self._ciphers[version] = AESGCM(self.derive("encrypt", version))
        return cipher

    def _master(self, version: int) -> bytes:
        key = self._keys.get(version)
        if key is None:
            raise SecretError(
                f"a secret was written with master key v{version}, which is not in "
                f"{self._path or 'the master keys'}; restore the file from its backup"
            )
        return key


def generate_password() -> str:
    """A fresh machine credential: 192 random bits, nothing to quote, nothing to misread."""
    return CREDENTIAL_PREFIX + "".join(
        secrets.choice(_ALPHABET) for _ in range(_PASSWORD_CHARACTERS)
    )


def _hkdf(master: bytes, purpose: str) -> bytes:
    info = f"pillarbox {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(master)


def _read(path: Path) -> dict[int, bytes]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            text = file.read(1 << 16).decode("ascii", "replace")
    except OSError as error:
        raise SecretError(
            f"{path}: {error.strerror}: without the master keys no secret can be read; "
            "restore the file from its backup, or run `pillarbox init` on a new box"
        ) from error
    if mode & 0o077:
        raise SecretError(
            f"{path} has mode {mode:04o}, so that others than its owner could use the master "
            f"keys; run: chmod 600 {path}"
        )
    return _parse(text, path)


def _parse(text: str, path: Path) -> dict[int, bytes]:
    keys: dict[int, bytes] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        found = _KEY_LINE.fullmatch(line)
        version = int(found.group(1)) if found else 0
        if found is None or version in keys or not 1 <= version <= MAX_VERSION:
            raise SecretError(
                f'{path}:{number}: not a master key; a line is v1 = "<32 octets in base64>", '
                "each version once; restore the file from its backup"
            )
        keys[version] = base64.b64decode(found.group(2))
    if not keys:
        raise SecretError(f"{path} holds no master key; restore the file from its backup")
    return keys


def _write_draft(path: Path, keys: Mapping[int, bytes]) -> Path:
    """The whole new file beside the old one, on disk before anything points to it."""
    lines = [f'v{version} = "{base64.b64encode(key).decode()}"\n' for version, key in keys.items()]
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="ascii") as file:  # noqa: PTH123 - takes over the handle
            file.write(_PREFACE + "".join(lines))
            file.flush()
            os.fsync(handle)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise SecretError(f"{draft}: {error.strerror}: the key file cannot be written") from error
    return draft


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
