"""Files: what a box has besides its databases, and which of it goes into a backup.

    passing     notices and letters that wait: they leave their folder once what they mean is in a spool
    standing    configuration, keys, certificates, rules of one's own, what was set aside for a person
    named       files that the settings name, wherever in the home they lie

What passes is copied before the spools and again at the end, as a union. Before, because what has left
its folder by the time the spools are copied is in them, or in the log: copied after them alone, a notice
that was read in between would be in neither. To read one again does little harm: it suppresses once, by its
id, and counts once more in the statistics. Mail to the postmaster and letters have a key of their own: what
the spool's copy has is not sent again, what the old box sent on after that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.blocklists import file_of
from appliance.core.files import in_words
from appliance.core.sealed import CHUNK
from appliance.run.certificates import tls_files
from appliance.shaping.file import places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appliance.core.home import Home
    from appliance.core.settings import Settings
    from appliance.run.backup.archive import Writer

CONFIG: Final = "pillarbox.toml"
_PASSING: Final = ("inbound/new/*.eml", "letters/*")
_STANDING: Final = (
    *("shaping.toml", "blocklists.toml", "warmup/*.toml", "tls/*", "secrets/*"),
    *("inbound/unreadable/*", "inbound/postmaster/*"),
    *("spool/corrupt/*.json", "spool/corrupt/*.eml"),
)


def take_passing(home: Home, writer: Writer) -> None:
    """What waits now and is not in the backup yet."""
    _take_all(_PASSING, home, writer)


def take_standing(home: Home, config: Path, writer: Writer) -> None:
    """The configuration, and what lies at its usual place."""
    writer.add(CONFIG, chunks(config))
    _take_all(_STANDING, home, writer)


def take_named(home: Home, settings: Settings, writer: Writer) -> list[str]:
    """What the settings name. Returns what of it the backup does not have, so that somebody hears of it."""
    left_out = [str(path) for path in _named(home, settings) if not _took(path, home, writer)]
    key_file = home.path / settings.backup.key_file
    if settings.backup.key_file and not _has(writer, key_file, home):
        left_out.append(str(key_file))  # what opens the backups lies elsewhere than they do
    return left_out


def chunks(path: Path) -> Iterator[bytes]:
    """A file, piece by piece."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _take_all(patterns: tuple[str, ...], home: Home, writer: Writer) -> None:
    has = writer.paths()
    for pattern in patterns:
        for path in sorted(home.path.glob(pattern)):
            name = str(path.relative_to(home.path))
            with in_words(path):
                content = None if name in has else _read(path)
            if content is not None:
                writer.add(name, iter([content]))


def _read(path: Path) -> bytes | None:
    """None for a folder, and for what has left meanwhile: a spool that is copied later, or the log, has what it meant.

    At the end: it was in the backup already, or came after its beginning.
    """
    try:
        return path.read_bytes() if path.is_file() else None
    except FileNotFoundError:
        return None


def _named(home: Home, settings: Settings) -> list[Path]:
    """As those who read them look for them."""
    found: list[Path] = []
    if settings.tls.certificate:
        found += tls_files(home, settings)
    if settings.shaping.file:
        found += places(settings, home)
    if settings.blocklists.file:
        found.append(file_of(settings.blocklists, home))
    return found


def _took(path: Path, home: Home, writer: Writer) -> bool:
    """Whether the backup has it now. One that cannot be read is left out: the box cannot use it either."""
    if not _lies_in(home, path):
        return False
    if _has(writer, path, home):
        return True
    try:
        content = _read(path)
    except OSError:
        return False
    if content is None:
        return False
    writer.add(str(path.relative_to(home.path)), iter([content]))
    return True


def _has(writer: Writer, path: Path, home: Home) -> bool:
    return _lies_in(home, path) and str(path.relative_to(home.path)) in writer.paths()


def _lies_in(home: Home, path: Path) -> bool:
    """A way that leads up again may end anywhere, and a restore refuses it."""
    return path.is_relative_to(home.path) and ".." not in path.relative_to(home.path).parts
