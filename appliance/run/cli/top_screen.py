"""Screen of `pillarbox top`: facts as lines that fit a terminal; pure.

From the top: what is stopped or wrong, the queue, rates, each address at each receiver, destinations, what
is waited for, processes. Of 24 lines as of 60 each part gets its share; a part that is cut says of how many.
Words of a remote host never reach the terminal with control characters in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from appliance.core import clock
from appliance.run.cli.output import ahead, printable, span, when
from appliance.run.cli.top_columns import Cell, Column, line_of, widths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from appliance.run.cli.top_facts import Facts, Row

UNBOUNDED: Final = 1000
"""Lines where nothing is cut."""

LEAST_WIDTH: Final = 40
_MOST_STOPS: Final = 4
_RECENT: Final = 10  # seconds that a rate is of
_OLD: Final = 10_000
_BARS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BARS: Final = "_.-:=+*#"
_STATES: Final = {
    "suspended": "bold red",
    "disabled": "red",
    "paused": "yellow",
    "draining": "yellow",
    "slowed": "yellow",
    "warming": "cyan",
}
"""Kinds of states of an address, the worst first."""


def screen(
    facts: Facts, *, width: int, height: int, ascii_only: bool = False, hint: str = ""
) -> list[Text]:
    """The lines, at most `height` of them, none wider than `width`."""
    width = max(width, LEAST_WIDTH)
    head = [
        *_title(facts, width),
        *_stops(facts),
        *_queue(facts),
        *_rates(facts, width, ascii_only),
    ]
    foot = [Text(), _processes(facts, hint)]
    parts = [_flows(facts, width), _destinations(facts, width), _blocked(facts)]
    body = _fitted(parts, width, height - len(head) - len(foot))
    lines = [*head, *body, *foot][:height]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
        line.rstrip()
    return lines


# -- above -----------------------------------------------------------------------


def _title(facts: Facts, width: int) -> Iterator[Text]:
    at = when(facts.at)
    name = printable(facts.hostname)
    gap = " " * max(1, width - cell_len(name) - len(at) - 11)
    yield Text.assemble(("pillarbox", "bold"), f"  {name}", gap, (at, "dim"))


def _stops(facts: Facts) -> Iterator[Text]:
    """What a person stopped, and what is wrong: the first thing to see at night."""
    found = [(f"■ {words}", "bold red") for words in facts.stops]
    found += [(f"! {words}", "yellow") for words in facts.alarms]
    for words, style in found[:_MOST_STOPS]:
        yield Text(printable(words), style=style)
    if len(found) > _MOST_STOPS:
        yield Text(
            f"  and {len(found) - _MOST_STOPS} more: pillarbox queue list, pillarbox notices",
            style="yellow",
        )


def _queue(facts: Facts) -> Iterator[Text]:
    counts = facts.counts
    total = sum(counts.values())
    pairs = [("waiting", f"{total:,}"), *((s, f"{counts[s]:,}") for s in counts if counts[s])]
    if facts.oldest:
        pairs.append(("oldest", _age(facts.at - facts.oldest)))
    line = _pairs(pairs)
    if facts.at - facts.counted_at > _OLD:
        line.append(f"   (counted {span(facts.at - facts.counted_at)} ago)", style="dim")
    yield line
    yield _pairs(
        [
            ("ready", f"{facts.ready:,}"),
            ("being sent", f"{facts.being_sent:,}"),
            ("connections", f"{facts.connections:,}"),
            ("commit", f"{facts.commit_ms:g} ms, p99 {facts.commit_p99_ms:g} ms"),
        ]
    )


def _pairs(pairs: list[tuple[str, str]]) -> Text:
    line = Text()
    for name, value in pairs:
        line.append(f"{name} ", style="dim")
        line.append(f"{value}   ", style="bold")
    line.rstrip()
    return line


def _rates(facts: Facts, width: int, ascii_only: bool) -> Iterator[Text]:  # noqa: FBT001 - a part of `screen`
    series = facts.series
    room = max(10, min(60, width - 50))
    most = max([1, *series["accepted"][-room:], *series["delivered"][-room:]])
    for name, kind in (("in", "accepted"), ("out", "delivered")):
        line = Text.assemble((f"{name:<4}", "dim"), (f"{_rate(series[kind]):>9}", "bold"), "  ")
        line.append(sparkline(series[kind][-room:], most, ascii_only=ascii_only), style="green")
        if kind == "delivered":
            line.append("   ")
            line.append_text(_pairs([(k, _rate(series[k])) for k in ("deferred", "bounced")]))
        yield line


def _rate(counts: Sequence[int]) -> str:
    """Recipients a second, over the last seconds."""
    rate = sum(counts[-_RECENT:]) / _RECENT
    return f"{rate:,.0f}/s" if rate >= 10 or not rate else f"{rate:.1f}/s"


def sparkline(counts: Sequence[int], most: int, *, ascii_only: bool) -> str:
    """A bar for each count; nothing at all is the lowest, the most is the highest."""
    bars = _ASCII_BARS if ascii_only else _BARS
    return "".join(
        bars[min(len(bars) - 1, -(-count * (len(bars) - 1) // most))] for count in counts
    )


# -- the parts -------------------------------------------------------------------


class _Part(NamedTuple):
    """A table; its rows have a cell for each column."""

    columns: list[Column]
    rows: list[list[Cell]]


def _fitted(parts: list[_Part], width: int, room: int) -> list[Text]:
    """Share the room out in turns: a line to each part that has more, two to destinations."""
    needs = [len(part.rows) for part in parts]
    given = [0] * len(parts)
    room -= sum(2 for need in needs if need)  # a blank line and a header each
    turns = [0, 1, 1, 2]
    while room > 0 and given != needs:
        for turn in turns:
            if room > 0 and given[turn] < needs[turn]:
                given[turn] += 1
                room -= 1
    lines: list[Text] = []
    for part, number in zip(parts, given, strict=True):
        lines += _table(part, width, number)
    return lines or [Text(), Text("nothing waits and nothing goes", style="dim")]


def _table(part: _Part, width: int, number: int) -> Iterator[Text]:
    if not number:
        return
    columns, rows = part.columns, part.rows[:number]
    sizes = widths(columns, rows, width)
    titles: list[Cell] = [Text(column.title, style="bold") for column in columns]
    if number < len(part.rows):
        titles[-1] = Text.assemble(titles[-1], (f"  ({number} of {len(part.rows)})", "dim"))
    yield Text()
    yield line_of(columns, sizes, titles)
    yield from (line_of(columns, sizes, row) for row in rows)


def _part(width: int, columns: list[Column], rows: Iterable[list[Cell]]) -> _Part:
    """Without the columns that there is no room for."""
    kept = [index for index, column in enumerate(columns) if column.from_width <= width]
    return _Part([columns[i] for i in kept], [[row[i] for i in kept] for row in rows])


def _flows(facts: Facts, width: int) -> _Part:
    columns = [
        Column("EGRESS", 24),
        Column("RECEIVER", 16),
        Column("SENT/MIN", right=True),
        Column("DEFERRED", right=True),
        Column("BOUNCED", right=True, from_width=90),
        Column("READY", right=True),
        Column("CONN", right=True),
        Column("STATE"),
    ]
    return _part(width, columns, (_flow(row) for row in facts.flows))


def _flow(row: Row) -> list[Cell]:
    return [
        row["egress"] or "-",
        row["provider"] or "(all)",
        _number(row["delivered"]),
        Text(_number(row["deferred"]), style="yellow"),
        Text(_number(row["bounced"]), style="red"),
        _number(row["ready"]),
        _number(row["connections"]),
        _state(row["states"]),
    ]


def _state(states: dict[str, str]) -> Text:
    """The worst first; an address that nothing holds back has no words."""
    line = Text()
    for kind, style in _STATES.items():
        if kind in states:
            line.append("; " if line else "")
            line.append(printable(states[kind]), style=style)
    return line


def _destinations(facts: Facts, width: int) -> _Part:
    columns = [
        Column("DESTINATION", 32),
        Column("RECEIVER", 16, from_width=100),
        Column("WAITING", right=True),
        Column("HELD", right=True, from_width=100),
        Column("OLDEST", right=True),
        Column("SENT/MIN", right=True),
        Column("CONN", right=True),
        Column("WHY"),
    ]
    return _part(width, columns, (_destination(row, facts.at) for row in facts.destinations))


def _destination(row: Row, now: int) -> list[Cell]:
    return [
        row["domain"] or "-",
        row["provider"] or "-",
        _number(row["waiting"] + row["held"]),
        _number(row["held"]),
        _age(now - row["oldest"]) if row["oldest"] else "-",
        _number(row["delivered"]),
        _number(row["connections"]),
        Text(printable(row["words"]), style="dim"),
    ]


def _blocked(facts: Facts) -> _Part:
    rows: list[list[Cell]] = []
    for row in facts.blocked:
        until = f"  ({ahead(row['until_at'], facts.at)})" if row["until_at"] > facts.at else ""
        rows.append([_number(row["keys"]), printable(row["why"]) + until])
    return _Part([Column("QUEUES", right=True), Column("WAIT FOR")], rows)


def _age(ms: int) -> str:
    return span(ms) if ms >= clock.SECOND else "<1 s"


def _number(number: int) -> str:
    return f"{number:,}" if number else "-"


# -- below -----------------------------------------------------------------------


def _processes(facts: Facts, hint: str) -> Text:
    found = facts.processes
    started = min((one.started_at for one in found if one.started_at), default=0)
    each = ", ".join(f"{one.name} {_megabytes(one.memory)}" for one in found)
    total = _megabytes(sum(one.memory for one in found))
    parts = (
        hint,
        f"up {span(facts.at - started)}" if started else "",
        f"memory {total} MB: {each}" if found else "",
    )
    return Text("   ".join(filter(None, parts)), style="dim")


def _megabytes(octets: int) -> str:
    return f"{octets / 1_000_000:,.0f}" if octets else "?"
