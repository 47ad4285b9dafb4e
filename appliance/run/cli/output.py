"""Output: what a command says, for people as text and tables, for programs as JSON.

    show(value, *parts)     the answer: JSON of the value, or the parts (lines and Tables) as text
    line(value, text)       one item of a stream: a line of JSON, or of text
    note(text)              hints and progress, on standard error, left out of JSON

Promises: times are UTC; a text of a remote host never reaches the terminal with control characters in
it. In JSON a stored time (`at`, `*_at`, `next`, `oldest`, `expires`) is ISO 8601, and null for never.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal

import click

from appliance.core import clock

_TIMES: Final = frozenset({"at", "next", "oldest", "expires"})
_UNPIPED_WIDTH: Final = 10_000  # what another program reads is never wrapped
_AFTER_ASCII: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headers; `empty` is said when there are none. Numbers stand right."""

    headers: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    empty: str
    right: frozenset[str] = frozenset()  # headers of numbers


Part = str | Table


class Output:
    """Says things in the form that was asked for."""

    def __init__(self) -> None:
        self.as_json = False

    def show(self, value: object, parts: Iterable[Part]) -> None:
        """The answer of a command. `parts` may be a generator: it does not run for JSON."""
        if self.as_json:
            click.echo(encode(value, indent=2))
            return
        for part in parts:
            click.echo(rendered(part) if isinstance(part, Table) else printable(part))

    def line(self, value: object, text: str) -> None:
        """One item of a stream, at once."""
        click.echo(encode(value) if self.as_json else printable(text))

    def note(self, text: str) -> None:
        """Something that is not the answer."""
        if not self.as_json:
            click.echo(printable(text), err=True)

    def error(self, text: str) -> None:
        """What went wrong."""
        if self.as_json:
            click.echo(encode({"error": text}), err=True)
            return
        for line in text.splitlines():
            click.echo(printable(line), err=True)


def encode(value: object, *, indent: int = 0) -> str:
    """The value as JSON that is safe to print."""
    import msgspec

    text = msgspec.json.encode(plain(value))
    if indent:
        text = msgspec.json.format(text, indent=indent)
    # Outside of strings JSON is ASCII, so what is escaped here stands inside one.
    return _AFTER_ASCII.sub(lambda found: f"\\u{ord(found.group()):04x}", text.decode())


def plain(value: object, key: str = "") -> Any:
    """The value as tables, lists, texts and numbers; stored times as ISO 8601 or None."""
    if isinstance(value, Mapping):
        return {str(name): plain(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(plain(item) for item in value)
    if dataclasses.is_dataclass(value):
        return plain(
            {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        )
    return _simple(value, key)


def _simple(value: object, key: str) -> Any:
    match value:
        case bool() | float() | None:
            return value
        case Enum():
            return value.value
        case int():
            return _time(value) if key in _TIMES or key.endswith("_at") else value
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case _:  # octets too, on purpose: nothing that is stored as octets is for print
            raise TypeError(f"{type(value).__name__} has no form for print")


def _time(ms: int) -> str | None:
    return clock.iso(ms) if ms > 0 else None


def printable(text: str) -> str:
    """The text with what could command a terminal written as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def rendered(table: Table) -> str:
    """The table as text, folded to the terminal's width."""
    if not table.rows:
        return table.empty
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in table.headers:
        justify: Literal["left", "right"] = "right" if header in table.right else "left"
        grid.add_column(Text(header), overflow="fold", justify=justify)
    for row in table.rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else _UNPIPED_WIDTH)
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def when(ms: int) -> str:
    """A stored time as people read it, in UTC; "-" for never."""
    return clock.aware(ms).strftime("%Y-%m-%d %H:%M:%SZ") if ms > 0 else "-"


def span(ms: int) -> str:
    """A duration in words of at most two units: 45 s, 3 min, 2 h 10 min, 5 d."""
    if ms < clock.SECOND:
        return f"{max(ms, 0)} ms"
    units = ((clock.DAY, "d"), (clock.HOUR, "h"), (clock.MINUTE, "min"), (clock.SECOND, "s"))
    largest = next(index for index, (size, _) in enumerate(units) if ms >= size)
    (size, name), (small, small_name) = units[largest], units[min(largest + 1, 3)]
    rest = ms % size // small
    # Two units only where the second one matters: 2 h 10 min, but 12 h and 45 min.
    detailed = rest and ms // size < 10 and largest < 2
    return f"{ms // size} {name} {rest} {small_name}" if detailed else f"{ms // size} {name}"


def ago(ms: int, now: int) -> str:
    """How long a stored time is past: "3 min ago"."""
    return f"{span(now - ms)} ago" if ms > 0 else "never"


def ahead(ms: int, now: int) -> str:
    """How far a stored time is away: "in 3 min", "due" once it has come."""
    return f"in {span(ms - now)}" if ms > now else "due"


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 recipient, 2,000 recipients."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
