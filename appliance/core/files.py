"""Files: whole or not there at all, and their owner's alone.

`write_new` never overwrites. Fails with StoreError or StoreFullError in words.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from appliance.core.database import is_disk_full
from appliance.core.errors import StoreError, StoreFullError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """A new file, on disk when this returns."""
    with in_words(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file:  # noqa: PTH123 - takes over the handle
            file.write(content)
            file.flush()
            os.fsync(handle)


def flush_folder(folder: Path) -> None:
    """Names that were made or changed in it are on disk when this returns."""
    with in_words(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except OSError as error:
        words = f"{error.filename or path}: {error.strerror}"
        if is_disk_full(error):
            raise StoreFullError(f"{words}: free some space, then try again") from error
        raise StoreError(words) from error
