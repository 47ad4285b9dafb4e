"""Lines: where in a TOML text each key stands, so that an error can name its line.

tomllib tells values but not places. This reads a text that tomllib has already found sound and maps
each path, ("submission", "trusted_networks", 0, "tenant"), to the line of its key. It follows tables,
arrays of tables, dotted keys, inline tables, and steps over strings and comments of every form.

Never judges: of a text that is not TOML it says nothing useful.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

Path = tuple[str | int, ...]

_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?!")"{0,2}'
    r"|'''.*?'''(?!')'{0,2}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SPACE: Final = re.compile(r"(?:\s|#[^\n]*)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}#\n]+")


def lines_of(text: str) -> dict[Path, int]:
    """The line, counted from 1, at which the key of each path stands."""
    scan = _Scan(text)
    scan.document()
    return scan.lines


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of the path, or of the nearest thing around it that has one."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


class _Scan:
    """One walk over the text; each method leaves `_at` behind what it has read."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._counted_to = 0
        self._line = 1
        self._elements: dict[Path, int] = {}  # arrays of tables: how many so far

    def document(self) -> None:
        table: Path = ()
        while self._skip():
            if self._takes("[["):
                table = self._array_header()
            elif self._takes("["):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        line, path = self._here(), self._resolve(self._key())
        self._takes("]")
        for end in range(1, len(path) + 1):  # [a.b] makes the table `a` too
            self.lines.setdefault(path[:end], line)
        return path

    def _array_header(self) -> Path:
        line, key = self._here(), self._key()
        array = (*self._resolve(key[:-1]), key[-1])
        self._takes("]]")
        index = self._elements.get(array, 0)
        self._elements[array] = index + 1
        self.lines.setdefault(array, line)
        self.lines[(*array, index)] = line
        return (*array, index)

    def _resolve(self, key: Path) -> Path:
        """Where a header points: through an array of tables means into its last element."""
        path: Path = ()
        for part in key:
            path = (*path, part)
            if path in self._elements:
                path = (*path, self._elements[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        line, key = self._here(), self._key()
        for end in range(1, len(key) + 1):
            self.lines.setdefault((*table, *key[:end]), line)
        self._takes("=")
        self._skip()
        self._value((*table, *key))

    def _value(self, path: Path) -> None:
        if self._takes("["):
            self._array(path)
        elif self._takes("{"):
            self._inline_table(path)
        elif not self._match(_STRING):
            self._match(_SCALAR)

    def _array(self, path: Path) -> None:
        index = 0
        while self._skip() and not self._takes("]"):
            self.lines[(*path, index)] = self._here()
            self._value((*path, index))
            index += 1
            self._skip()
            self._takes(",")

    def _inline_table(self, path: Path) -> None:
        while self._skip() and not self._takes("}"):
            self._pair(path)
            self._skip()
            self._takes(",")

    def _key(self) -> tuple[str, ...]:
        parts = [self._key_part()]
        while self._takes("."):
            parts.append(self._key_part())
        return tuple(parts)

    def _key_part(self) -> str:
        self._skip()
        quoted = self._match(_STRING)
        if quoted:
            try:
                return str(tomllib.loads(f"key = {quoted}")["key"])
            except ValueError:
                return self._give_up()
        return self._match(_BARE_KEY) or self._give_up()

    def _give_up(self) -> str:
        """Not a key after all: go to the end, so that every loop ends."""
        self._at = len(self._text)
        return ""

    def _skip(self) -> bool:
        """Step over blanks, line ends and comments; whether anything is left."""
        self._match(_SPACE)
        return self._at < len(self._text)

    def _takes(self, mark: str) -> bool:
        self._skip()
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found.group()

    def _here(self) -> int:
        """The line of `_at`; counted onward from the last time, so the whole scan stays linear."""
        self._skip()
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        return self._line
