"""Settings file: from a TOML file and the environment to Settings, or to errors in words.

    load(path, environ)

Every error of the file and the environment is reported at once, each with its place:
    pillarbox.toml:12: delivery.remote_port: 70000 is not allowed; give a whole number from 0 to 65535
The environment wins over the file: PILLARBOX_DELIVERY__REMOTE_PORT=2525. Its values are TOML; for an
option that is a text the quotes may be left out. PILLARBOX_HOME names the data directory and is no option.
What neither names stays at its default. Never shows the value of a secret. Fails with ConfigError only.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from appliance.core.errors import ConfigError
from appliance.core.settings import Settings
from appliance.core.settings_lines import line_of, lines_of
from appliance.core.settings_options import Option, allowed, as_toml, options, sections
from appliance.core.settings_rules import problems
from appliance.core.toml_text import tables_of, text_of

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

    from appliance.core.settings_lines import Path

PREFIX: Final = "PILLARBOX_"
RESERVED: Final = frozenset({"PILLARBOX_HOME"})
_STEP: Final = re.compile(r"\[(\d+)\]|\.(\w+)")


def load(path: pathlib.Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a file (None = no file) and the environment."""
    found = _Found()
    if path is not None:
        _read_file(path, found)
    _read_environment(environ, found)
    found.raise_if_wrong()
    settings = _assemble(found.values)
    for place, words in problems(settings):
        found.complain(place, words)
    found.raise_if_wrong()
    return settings


@dataclass(slots=True)
class _Found:
    """What the sources gave, and what is wrong with it."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)  # option -> environment variable
    lines: dict[Path, int] = field(default_factory=dict)
    file: str = ""
    errors: list[str] = field(default_factory=list)

    def complain(self, path: Path, words: str) -> None:
        """Note what is wrong with the option at `path`, with its place if it has one."""
        name = _dotted(path)
        place = next((self.sources[key] for key in _enclosing(name) if key in self.sources), "")
        if not place and self.file:
            line = line_of(self.lines, path)
            place = self.file if line is None else f"{self.file}:{line}"
        self.errors.append(f"{place}: {name}: {words}" if place else f"{name}: {words}")

    def raise_if_wrong(self) -> None:
        if self.errors:
            raise ConfigError("\n".join(self.errors))


def _dotted(path: Path) -> str:
    """submission.trusted_networks[0].tenant."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _enclosing(name: str) -> list[str]:
    """The name, and the option it is an element of."""
    return [name, name.partition("[")[0]]


def _read_file(path: pathlib.Path, found: _Found) -> None:
    found.file = str(path)
    text = text_of(path, "the configuration")
    tables = tables_of(text, found.file)
    found.lines = lines_of(text)
    _take_table(tables, (), found)


def _take_table(table: dict[str, Any], prefix: Path, found: _Found) -> None:
    """Sort each key of a table of the file: an option, a table, or a mistake."""
    for key, value in table.items():
        path = (*prefix, key)
        name = _dotted(path)
        if name in options():
            _take(options()[name], value, path, found)
        elif name not in sections():
            found.complain(path, f"there is no such option{_did_you_mean(name)}")
        elif isinstance(value, dict):
            _take_table(value, path, found)
        else:
            found.complain(path, f"is a table; write [{name}] on a line of its own")


def _take(option: Option, value: Any, path: Path, found: _Found) -> None:
    try:
        found.values[option.name] = msgspec.convert(value, option.annotation)
    except msgspec.ValidationError as error:
        words, inside = _split_place(str(error))
        given = "the value" if option.secret else _short(as_toml(value))
        detail = f" ({words})" if isinstance(option.kind, inspect.VarTupleType) else ""
        words = f"{given} is not allowed; give {allowed(option.kind)}{detail}"
        found.complain((*path, *inside), words)


def _split_place(words: str) -> tuple[str, Path]:
    """The words of msgspec, and where inside the value they belong: "... - at `$[1].tenant`"."""
    words, _, place = words.partition(" - at `$")
    steps = _STEP.findall(place)
    return words, tuple(int(index) if index else name for index, name in steps)


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _did_you_mean(name: str) -> str:
    """What was probably meant: "; did you mean delivery.remote_port?"."""
    import difflib  # noqa: PLC0415 - only when there is a mistake: start-up counts

    known = [*options(), *sections()]
    last = name.rpartition(".")[2]
    close = [other for other in known if other.rpartition(".")[2] == last]
    close = close or difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f"; did you mean {' or '.join(close[:3])}?" if close else ""


def _read_environment(environ: Mapping[str, str], found: _Found) -> None:
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in RESERVED:
            _take_variable(variable, environ[variable], found)


def _take_variable(variable: str, text: str, found: _Found) -> None:
    name = variable.removeprefix(PREFIX).lower().replace("__", ".")
    path = tuple(name.split("."))
    found.sources[name] = f"environment {variable}"
    if name in options():
        option = options()[name]
        _take(option, _value_of(option, text), path, found)
    elif name in sections():
        found.complain(path, f"is a table; name one of its options, {variable}__...")
    else:
        found.complain(path, f"there is no such option{_did_you_mean(name)}")


def _value_of(option: Option, text: str) -> Any:
    """A variable's value: TOML; but for a text, what is not a TOML string stands for itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = parsed["value"]
    if len(parsed) > 1 or (isinstance(option.kind, inspect.StrType) and not isinstance(value, str)):
        return text
    return value


def _assemble(values: dict[str, Any]) -> Settings:
    """The defaults with `values` put over them. A table given in part keeps its other defaults."""
    tree: dict[str, Any] = {}
    for name, option in options().items():
        *tables, last = name.split(".")
        table = tree
        for part in tables:
            table = table.setdefault(part, {})
        table[last] = values.get(name, option.default)
    return msgspec.convert(tree, Settings)
