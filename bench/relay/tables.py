"""Tables: what was measured, in columns for a terminal and in Markdown for docs/performance.md. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from relay.clients import Kind
from relay.report import PEER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relay.clients import Load
    from relay.latency import Latency
    from relay.report import Cell

Row = tuple[str, ...]
OURS: Final = "pillarbox"
UNSIGNED: Final = "postfix"
_HEAD: Final = ("size", "sessions", "mode", "relay", "accepted/s", "delivered/s", "ratio")
_HEAD_COST: Final = ("CPU ms", "PSS MB", "procs", "ctxsw", "busy %", "others %", "CPU ms by part")
_MODES: Final = {"one": "a connection each", "many": "connection kept"}
_WORDS: Final = {
    Kind.COLD: "{n:,} domains, cold DNS cache",
    Kind.WARM: "{n:,} domains, warm DNS cache",
    Kind.TLS: "STARTTLS and AUTH",
    Kind.RESUMED: "STARTTLS (resumed) and AUTH",
}


def rows(cells: Iterable[Cell]) -> list[Row]:
    """The main table, the head first."""
    found: list[Row] = [(*_HEAD, *_HEAD_COST)]
    for one in cells:
        load, value = one.load, one.values
        place = (f"{load.size // 1024} KB", str(load.sessions), load.mode, one.relay)
        if not value:
            found.append((*place, one.errors[0] if one.errors else "not measured"))
            continue
        found.append(
            (
                *place,
                f"{one.accepted:.0f}",
                f"{one.delivered:.0f}" + ("*" if one.errors else ""),
                f"{one.ratio:.2f}" if one.ratio else "",
                f"{value['cpu_ms']:.2f}",
                f"{value['pss_mb']:.0f}",
                f"{value['processes']:.0f}",
                f"{value['switches']:.0f}",
                f"{value['busy_percent']:.0f}",
                f"{value['others_percent']:.0f}",
                _parts(one.parts_ms),
            )
        )
    return found


def latency_rows(found: Iterable[Latency]) -> list[Row]:
    """Latencies, the head first."""
    head = ("size", "relay", "accepted p50/p99 ms", "delivered p50/p99 ms", "signatures")
    return [
        head,
        *(
            (
                f"{one.size // 1024} KB",
                one.relay,
                f"{one.accepted_p50_ms:.2f} / {one.accepted_p99_ms:.2f}",
                f"{one.delivered_p50_ms:.2f} / {one.delivered_p99_ms:.2f}",
                "; ".join(one.signatures) or "none",
            )
            for one in found
        ),
    ]


def flush_rows(found: Iterable[dict[str, Any]]) -> list[Row]:
    """Flushes, the head first."""
    return [
        ("relay", "sessions", "flushes a message"),
        *(
            (one["relay"], str(one["sessions"]), _number(one["per_message"], "not counted"))
            for one in found
        ),
    ]


def cpu_rows(found: dict[str, dict[str, float]]) -> list[Row]:
    """CPU by program, the head first."""
    return [
        ("relay", "CPU ms a message by program (4 KB, 20 sessions)"),
        *((relay, _parts(split)) for relay, split in found.items()),
    ]


def compared_rows(cells: Sequence[Cell]) -> list[Row]:
    """Ours, the peer and the peer without signatures side by side, a row a load, the head first."""
    head = (
        "load",
        "accepted/s",
        "ratio",
        "end to end/s",
        "ratio",
        "each turn, end to end",
        "CPU ms a message",
        "memory MB (PSS)",
    )
    found = [head]
    for ours in (one for one in cells if one.relay == OURS and one.values):
        found_of = {one.relay: one for one in cells if one.load == ours.load and one.values}
        trio = [found_of[name] for name in (OURS, PEER, UNSIGNED) if name in found_of]
        found.append(
            (
                in_words(ours.load),
                _all(trio, "accepted_per_s", ",.0f"),
                _number(ours.accepted_ratio, "-"),
                _all(trio, "delivered_per_s", ",.0f"),
                _number(ours.ratio, "-"),
                " / ".join(f"{min(one.runs):,.0f} to {max(one.runs):,.0f}" for one in trio[:2]),
                _all(trio, "cpu_ms", ".2f"),
                _all(trio, "pss_mb", ".0f"),
            )
        )
    return found


def in_words(load: Load) -> str:
    """A load as the documentation names it."""
    words = _WORDS.get(load.kind, _MODES["many" if load.kept else "one"]).format(n=load.messages)
    return f"{load.size // 1024} KB, {load.sessions} sessions, {words}"


def markdown(lines: Sequence[Row]) -> str:
    """A table in Markdown, the head first."""
    head, *rest = lines
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ("---",) * len(head), *rest))


def table(lines: Sequence[Row]) -> str:
    """Columns side by side; the last one is as long as it likes."""
    columns = max(len(line) for line in lines)
    widths = [
        max((len(line[i]) for line in lines if i < len(line) - 1), default=0)
        for i in range(columns)
    ]
    return "\n".join(
        "  ".join(word.ljust(widths[i]) for i, word in enumerate(line)).rstrip() for line in lines
    )


def _all(trio: Sequence[Cell], name: str, form: str) -> str:
    return " / ".join(format(one.values[name], form) for one in trio)


def _parts(split: dict[str, float]) -> str:
    return ", ".join(f"{name} {ms:.2f}" for name, ms in split.items())


def _number(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:.2f}"
