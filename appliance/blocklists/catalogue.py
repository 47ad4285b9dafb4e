"""Catalogue: config/blocklists.toml as values, each list with its codes and its runbook.

Loaded whole or not at all: an unknown key, a zone twice, a code that can be no listing or a list without
a runbook raises ConfigError naming file, line and list. `file_of()` says which file counts: the one
of `blocklists.file`, else blocklists.toml of the data directory, else the shipped one.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from appliance.blocklists.model import Family  # noqa: TC001 - msgspec reads annotations at run time
from appliance.core.errors import ConfigError
from appliance.core.settings_lines import line_of, lines_of
from appliance.core.shipped import FOLDER
from appliance.core.toml_text import tables_of, text_of

if TYPE_CHECKING:
    from appliance.core.home import Home
    from appliance.core.settings import Blocklists as Options
    from appliance.core.settings_lines import Path as Place

FILE: Final = "blocklists.toml"
SHIPPED: Final = FOLDER / FILE
REFUSALS: Final = "127.255.255."
"""Spamhaus answers so what it will not answer, and others took it over: never a listing."""

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NEVER: Final = (
    "127.0.0.1"  # RFC 5782 section 5: no list may list it, so no listing is told with it
)
_STEP: Final = re.compile(r"\[(\d+)\]|\.(\w+)")
_UNKNOWN_KEY: Final = re.compile(r"unknown field `(\w+)`")

_Words = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_Zone = Annotated[str, msgspec.Meta(pattern=rf"^{_LABEL}(?:\.{_LABEL})+$", max_length=180)]
_Code = Annotated[str, msgspec.Meta(pattern=r"^127\.\d{1,3}\.\d{1,3}\.(\d{1,3}|\*)$")]


class Blocklist(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list as it stands in the file."""

    name: _Words
    zone: _Zone
    families: Annotated[tuple[Family, ...], msgspec.Meta(min_length=1)]
    drain: bool
    lookup: Annotated[str, msgspec.Meta(pattern=r"^https?://\S+$")]
    runbook: Annotated[tuple[_Words, ...], msgspec.Meta(min_length=1)]
    codes: Annotated[dict[_Code, _Words], msgspec.Meta(min_length=1)]
    refused: dict[_Code, _Words] = {}

    def meaning_of(self, code: str) -> str:
        """What a code means; "" when it is no listing."""
        if code == _NEVER or self.is_refusal(code):
            return ""
        return self.codes.get(code) or self.codes.get(_family_of(code), "")

    def is_refusal(self, code: str) -> bool:
        """Whether the list says with it that it does not answer."""
        return code.startswith(REFUSALS) or code in self.refused or _family_of(code) in self.refused

    def refusal(self, code: str) -> str:
        """A refusal in words."""
        words = self.refused.get(code) or self.refused.get(_family_of(code), "")
        return f"{code}: {words}" if words else code

    def page_for(self, address: str) -> str:
        """Where a person looks the address up."""
        return self.lookup.replace("{address}", address)


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    list: tuple[Blocklist, ...]


def file_of(options: Options, home: Home) -> Path:
    """The file that counts; a relative `blocklists.file` starts at the data directory."""
    if options.file:
        return home.path / Path(options.file).expanduser()
    own = home.path / FILE
    return own if own.exists() else SHIPPED


def load_lists(path: Path) -> tuple[Blocklist, ...]:
    """Read a file of lists. Raises ConfigError."""
    return parse_lists(text_of(path, "the blocklists"), str(path))


@functools.cache
def shipped_lists() -> tuple[Blocklist, ...]:
    """The lists that come with the box, read once."""
    return load_lists(SHIPPED)


def parse_lists(text: str, source: str) -> tuple[Blocklist, ...]:
    """The lists of a file. Raises ConfigError naming every mistake that can be seen at once."""
    tables = tables_of(text, source)
    try:
        found = msgspec.convert(tables, _File).list
    except msgspec.ValidationError as error:
        raise ConfigError(_in_words(text, source, _place_of(str(error)), str(error))) from error
    wrong = [
        _in_words(text, source, ("list", number, *place), f"list {found[number].name!r}: {words}")
        for number in range(len(found))
        for place, words in _faults(found, number)
    ]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return found


def _faults(found: tuple[Blocklist, ...], number: int) -> list[tuple[Place, str]]:
    """What the types cannot say."""
    entry, earlier = found[number], found[:number]
    faults: list[tuple[Place, str]] = []
    if entry.zone in [other.zone for other in earlier]:
        faults.append((("zone",), f"the zone {entry.zone} has an entry already"))
    if entry.name in [other.name for other in earlier]:
        faults.append((("name",), "another list has this name"))
    for code in entry.codes:
        if code == _NEVER:
            faults.append((("codes", code), f"{code} is never a listing (RFC 5782)"))
        elif code.startswith(REFUSALS) or code in entry.refused:
            faults.append((("codes", code), f"{code} refuses the question; it is no listing"))
    return faults


def _family_of(code: str) -> str:
    return code.rpartition(".")[0] + ".*"


def _place_of(error: str) -> Place:
    """Where msgspec found the mistake: "... - at `$.list[0].zone`"."""
    _, _, where = error.rpartition(" - at `$")
    steps = [int(number) if number else word for number, word in _STEP.findall(where)]
    unknown = _UNKNOWN_KEY.search(error)
    return (*steps, unknown.group(1)) if unknown else tuple(steps)


def _in_words(text: str, source: str, place: Place, words: str) -> str:
    line = line_of(lines_of(text), place)
    return f"{source}: {words}" if line is None else f"{source}:{line}: {words}"
