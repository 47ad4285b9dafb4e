"""The shaping file in force, and its newer versions while the box runs.

    places(settings, home)     where it may lie: [shaping] file, else <home>/shaping.toml, else the shipped one
    ShapingFile(paths)         the first of these that exists
      .load()                  the book at start; ConfigError when it has a fault
      .load_or_shipped()       the same for a process that must come back whatever was just written
      .changed()               a newer book, or None

`changed` costs a stat or two. A version with a fault is refused and said so in the log, once; the book
that stands holds on. A version is known by its place, time, size and inode.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.core.errors import ConfigError
from appliance.core.log import fields
from mta.shaping.book import SHIPPED, faults, load_book, shipped_book

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.core.home import Home
    from appliance.core.settings import Settings
    from mta.shaping.book import ShapingBook

_log = logging.getLogger(__name__)
_Version = tuple[Path, int, int, int]


def places(settings: Settings, home: Home) -> tuple[Path, ...]:
    """Where the file may lie, first choice first. One that the settings name is the only choice."""
    if settings.shaping.file:
        return (home.path / Path(settings.shaping.file).expanduser(),)
    return (home.path / "shaping.toml", SHIPPED)


def load_sound(path: Path) -> ShapingBook:
    """Read a file whose rules all hear their samples. Raises ConfigError, a line for each fault."""
    book = load_book(path)
    found = faults(book)
    if found:
        raise ConfigError("\n".join(found))
    return book


class ShapingFile:
    """One per process. Several processes may read the same file."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._seen: _Version | None = None

    @property
    def path(self) -> Path:
        """The first of the places where there is a file; the last one if there is none."""
        return next((path for path in self._paths if path.exists()), self._paths[-1])

    def load(self) -> ShapingBook:
        """The book. Raises ConfigError when it cannot be read or has a fault."""
        path = self.path
        self._seen = _version(path)  # before reading: what is written meanwhile is newer
        return load_sound(path)

    def load_or_shipped(self) -> ShapingBook:
        """The book; when it has a fault, the shipped one and a warning."""
        try:
            return self.load()
        except ConfigError as error:
            _warn("the shaping file is refused; the rules that come with the box hold", error)
            return shipped_book()

    def changed(self) -> ShapingBook | None:
        """A newer book, if there is one and it is sound."""
        if _version(self.path) == self._seen:
            return None
        try:
            book = self.load()
        except ConfigError as error:
            _warn("the new shaping file is refused; the rules as they were hold on", error)
            return None
        _log.info("new shaping rules are in force", extra=fields(file=book.source))
        return book


def _version(path: Path) -> _Version | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return path, stat.st_mtime_ns, stat.st_size, stat.st_ino


def _warn(text: str, error: ConfigError) -> None:
    _log.warning("%s: %s", text, error, extra=fields(check="pillarbox shaping check"))
