"""Waiting letters: those of the box's own that the queue did not take yet, a file each, until it does.

    home/letters/<idempotency key>

A letter may hold a link that lets its reader in: each is sealed with the master key. A file that cannot be
read is left where it is and reported. Calls block; they fail with StoreError.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from appliance.core.errors import SecretError
from appliance.core.files import flush_folder, in_words, write_new

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from appliance.core.secrets import MasterKeys

_MOST: Final = 1000  # that are looked at
_log = logging.getLogger(__name__)
_read = msgspec.json.Decoder(tuple[str, str, str]).decode


class WaitingLetters:
    """Keeps letters (appliance.people.letters.Kept)."""

    def __init__(self, folder: Path, keys: MasterKeys) -> None:
        self._folder, self._keys = folder, keys

    def keep(self, key: str, letter: Sequence[str]) -> None:
        """On disk when it returns."""
        sealed = self._keys.encrypt(msgspec.json.encode(letter), bound_to=_place(key))
        with in_words(self._folder):
            self._folder.mkdir(mode=0o700, exist_ok=True)
        write_new(self._folder / key, sealed.encode())
        flush_folder(self._folder)

    def drop(self, key: str) -> None:
        """It waits no longer."""
        with in_words(self._folder):
            (self._folder / key).unlink(missing_ok=True)

    def waiting(self) -> list[tuple[str, Sequence[str]]]:
        """Keys and letters."""
        if not self._folder.is_dir():
            return []
        with in_words(self._folder):
            paths = sorted(self._folder.iterdir())[:_MOST]
            found = [(path.name, self._opened(path)) for path in paths]
        return [(key, letter) for key, letter in found if letter]

    def _opened(self, path: Path) -> Sequence[str]:
        try:
            return _read(self._keys.decrypt(path.read_text("ascii"), bound_to=_place(path.name)))
        except (SecretError, ValueError) as error:  # half written by a process that was killed
            _log.warning("%s cannot be read and is not sent: %s", path, error)
            return ()


def _place(key: str) -> str:
    return f"letter:text:{key}"
