"""Book: config/shaping.toml as compiled values; the file itself says what its keys mean.

Loaded whole or not at all: unknown keys, values out of bounds, a provider without hosts, a rule twice,
a pattern that does not compile, an action without its time. ConfigError tells every fault at once, a
line each: `shaping.toml:31: rule 'busy': ...`. Sections inherit from [default]. What only trying can
tell, a sample that its rule does not hear, is found by `faults`.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from appliance.core.errors import ConfigError
from appliance.core.settings_lines import line_of, lines_of
from appliance.core.shipped import FOLDER
from appliance.core.toml_text import tables_of, text_of
from mta.shaping import compiled
from mta.shaping.matching import ShapingBook, faults
from mta.shaping.written import FORMS, Entry, File, Named, Section, decode

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.core.settings_lines import Path as Place
    from mta.shaping.model import Provider, Rule

__all__ = ["SHIPPED", "ShapingBook", "faults", "load_book", "parse_book", "shipped_book"]

SHIPPED: Final = FOLDER / "shaping.toml"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_RESERVED: Final = frozenset({"default", "other", "inbound", "smarthost"})  # other zones' keys
_STEP: Final = re.compile(r"\[(\d+)\]|\.(\w+)")
_UNKNOWN: Final = re.compile(r"unknown field `(.*)`")

T = TypeVar("T")


def load_book(path: Path) -> ShapingBook:
    """Read a shaping file. Raises ConfigError."""
    return parse_book(text_of(path, "the shaping rules"), str(path))


@functools.cache
def shipped_book() -> ShapingBook:
    """What comes with the box, read once."""
    return load_book(SHIPPED)


def parse_book(text: str, source: str) -> ShapingBook:
    """Compile the text of a file. Raises ConfigError, a line for each fault."""
    return _Reading(text, source).book()


class _Reading:
    """One file on its way to values, and what is wrong with it."""

    def __init__(self, text: str, source: str) -> None:
        self._text, self._source = text, source
        self._lines: dict[Place, int] = {}
        self._errors: list[str] = []

    def book(self) -> ShapingBook:
        """All of it, or all that is wrong."""
        tables = tables_of(self._text, self._source)
        self._lines = lines_of(self._text)
        file = self._converted(tables, File, (), "the file")
        default = (
            self._converted(file.default, Section, ("default",), "[default]") if file else None
        )
        if file is None or default is None:  # everything else would inherit its faults
            raise ConfigError("\n".join(self._errors))
        providers = {"": compiled.default_provider(default), **self._providers(file)}
        rules = self._rules(file)
        if self._errors:
            raise ConfigError("\n".join(self._errors))
        return ShapingBook(providers=providers, rules=rules, source=self._source)

    def _providers(self, file: File) -> dict[str, Provider]:
        found: dict[str, Provider] = {}
        owners: dict[str, str] = {}
        for name, raw in file.provider.items():
            place, who = ("provider", name), f"provider {name!r}"
            if not isinstance(raw, dict):
                self._complain(place, who, f"write it as a table, [provider.{name}]")
                continue
            section = self._converted({**file.default, **raw}, Named, place, who)
            if section is None:
                continue
            try:
                _check_provider(name, section, owners)
                found[name] = compiled.provider(name, section)
            except ValueError as error:
                self._complain(place, who, str(error))
        return found

    def _rules(self, file: File) -> tuple[Rule, ...]:
        rules: dict[str, Rule] = {}
        for number, raw in enumerate(file.rule):
            place, who = ("rule", number), f"rule {raw.get('id', '?')!r}"
            entry = self._converted(raw, Entry, place, who)
            if entry is None:
                continue
            try:
                _check_rule(entry, file, rules)
                rules[entry.id] = compiled.rule(entry, line_of(self._lines, place) or 0)
            except (ValueError, re.error) as error:
                self._complain(place, who, str(error))
        return tuple(rules.values())

    def _converted(self, raw: object, kind: type[T], place: Place, who: str) -> T | None:
        try:
            return msgspec.convert(raw, kind, dec_hook=decode)
        except msgspec.ValidationError as error:
            words, _, inside = str(error).partition(" - at `$")
            steps: Place = tuple(int(n) if n else key for n, key in _STEP.findall(inside))
            unknown = _UNKNOWN.search(words)
            named = f"{inside.strip('.`')}: {_plain(words, steps)}" if steps else words
            self._complain((*place, *steps, *(unknown.groups() if unknown else ())), who, named)
            return None

    def _complain(self, place: Place, who: str, words: str) -> None:
        line = line_of(self._lines, place)
        where = self._source if line is None else f"{self._source}:{line}"
        self._errors.append(f"{where}: {who}: {words}")


def _plain(words: str, steps: Place) -> str:
    """What msgspec says, in words that tell how to write it."""
    key = next((step for step in reversed(steps) if isinstance(step, str)), "")
    if "matching regex" in words:
        return FORMS.get(key, words)
    return f"{words}; {FORMS[key]}" if "enum value" in words and key in FORMS else words


def _check_provider(name: str, section: Named, owners: dict[str, str]) -> None:
    """Against the others; notes its suffixes in `owners`."""
    if _NAME.fullmatch(name) is None or name in _RESERVED:
        reserved = ", ".join(sorted(_RESERVED))
        raise ValueError(
            f"a name has a-z, 0-9 and -, at most 31 of them, and is none of {reserved}"
        )
    for suffix in section.mx:
        owner = owners.setdefault(suffix, name)
        if owner != name:
            raise ValueError(f"{suffix} belongs to provider {owner!r} already")


def _check_rule(entry: Entry, file: File, rules: dict[str, Rule]) -> None:
    """Against the rest of the file."""
    if entry.id in rules:
        raise ValueError("there is a rule of this name already")
    if entry.provider and entry.provider not in file.provider:
        known = ", ".join(sorted(file.provider)) or "none"
        raise ValueError(f"there is no provider {entry.provider!r}; there are: {known}")
