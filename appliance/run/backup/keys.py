"""Keys: what seals a backup, a passphrase or a key file. It must lie where the backups do not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.core import sealed
from appliance.core.errors import SecretError
from appliance.core.files import in_words, write_new
from appliance.run.backup.archive import Kdf

if TYPE_CHECKING:
    from pathlib import Path

PASSPHRASE = "passphrase"  # noqa: S105 - a word, not a secret
KEY_FILE = "key-file"


@dataclass(frozen=True, slots=True)
class Secret:
    """One of the two."""

    kind: str
    value: bytes

    def new_kdf(self) -> Kdf:
        """How the key of a fresh backup is made of it."""
        return Kdf(kind=self.kind, salt=os.urandom(sealed.SALT_BYTES))

    def key(self, kdf: Kdf) -> bytes:
        """The sealing key. Raises SecretError when the backup was sealed with the other kind."""
        if kdf.kind != self.kind:
            raise SecretError(f"the backup was sealed with a {kdf.kind}, not with a {self.kind}")
        if self.kind == PASSPHRASE:
            return sealed.key_of_passphrase(self.value.decode(), kdf.salt)
        return sealed.key_of_secret(self.value, kdf.salt)


def of_passphrase(words: str) -> Secret:
    """A passphrase, as a person types it."""
    return Secret(PASSPHRASE, words.strip().encode())


def of_key_file(path: Path) -> Secret:
    """A key file; refused when others than its owner could read it."""
    with in_words(path), path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        content = file.read(1 << 16)
    if mode & 0o077:
        raise SecretError(
            f"{path} has mode {mode:04o}: others could read it; run: chmod 600 {path}"
        )
    return Secret(KEY_FILE, content.strip())


def make_key_file(path: Path) -> None:
    """A fresh key file; never overwrites."""
    write_new(path, sealed.new_secret())
