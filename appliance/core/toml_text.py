"""TOML text: a file of configuration or rules as tables, or what is wrong with it, in words.

Everything that is configured in TOML comes through here, so that each file is read alike: UTF-8, line
ends of any system, at most MAX_FILE octets. Fails with ConfigError only, naming the file and, where it
is known, the line; tomllib has more ways to fail than its TOMLDecodeError.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from appliance.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE: Final = 1 << 20
MAX_DEPTH: Final = 16
_LONG_NUMBER: Final = re.compile(r"[0-9_]{4301,}")
_TOO_DEEP: Final = "lists or tables are nested too deep"
_PLACE: Final = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


def text_of(path: Path, what: str) -> str:
    """The text of a file; `what` it should be: "the configuration"."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {what} cannot be read: {error.strerror}") from error
    if len(raw) > MAX_FILE:
        raise ConfigError(f"{path}: larger than {MAX_FILE} octets: that cannot be {what}")
    try:
        return raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from error


def tables_of(text: str, source: str) -> dict[str, Any]:
    """What the text says; `source` is named when it cannot be read."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = (place and place.group(1)) or max(1, text.count("\n") + (not text.endswith("\n")))
        words = _PLACE.sub("", str(error))
        raise ConfigError(f"{source}:{line}: not TOML: {words}") from error
    except ValueError as error:  # Python converts no number of more than 4300 digits
        long = _LONG_NUMBER.search(text)
        line = text.count("\n", 0, long.start()) + 1 if long else 1
        raise ConfigError(f"{source}:{line}: a number has too many digits") from error
    except RecursionError as error:
        raise ConfigError(f"{source}: {_TOO_DEEP}") from error
    if _depth(tables) > MAX_DEPTH:  # whoever walks through it need not fear for Python's stack
        raise ConfigError(f"{source}: {_TOO_DEEP}")
    return tables


def _depth(tables: dict[str, Any]) -> int:
    """How deep lists and tables are nested; looks no further than MAX_DEPTH."""
    depth = 0
    level: list[Any] = [tables]
    while level and depth <= MAX_DEPTH:
        depth += 1
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [value for values in inner for value in values if isinstance(value, (dict, list))]
    return depth
