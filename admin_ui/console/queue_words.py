"""Queue words: the rows of a count as a page shows them; pure.

A reason has a word, the kind of its badge and an icon. What the kill switch's operator wrote is for who sees the
whole box: a tenant reads the fixed words of the kind (mta/scheduling/why.py) alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from admin_ui.console import words
from mta.scheduling.why import SENTENCES, TITLES, Why

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from admin_ui.desks import Row
    from appliance.operations import KillStatus

_BAD: Final = ("bad", "x")
_LOOK: Final = ("look", "triangle-alert")
_WAY: Final = ("way", "clock")
_OFF: Final = ("off", "pause")
_SHAPES: Final = {
    Why.SUSPENDED: _BAD,
    Why.CANNOT_CONNECT: _BAD,
    Why.CANNOT_LOOK_UP: _BAD,
    Why.NO_TLS: _BAD,
    Why.NO_ADDRESS: _BAD,
    Why.STOPPED: ("bad", "octagon-minus"),
    Why.SLOWED: _LOOK,
    Why.GREYLISTED: _LOOK,
    Why.MAILBOX_FULL: _LOOK,
    Why.REFUSED: _LOOK,
    Why.TROUBLE: _LOOK,
    Why.SURGE: ("look", "pause"),
    Why.HELD: _OFF,
    Why.PAUSED: _OFF,
    Why.TENANT_SUSPENDED: _OFF,
}
_OWN: Final = frozenset({Why.STOPPED, Why.TENANT_SUSPENDED})
"""Kinds whose words were written by a person of the box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A group as a row."""

    name: str
    provider: str
    state: str
    pick: str
    count: int
    oldest: int  # ms that it is old
    badge: tuple[str, str, str]  # word, kind, icon
    words: str
    address: str
    egress: str  # name and state
    next: int  # ms since 1970; 0: no try
    next_said: str
    is_held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """A figure over the table."""

    label: str
    figure: str
    compare: str
    unit: str = ""
    judged: str = ""


def badge_of(kind: Why) -> tuple[str, str, str]:
    """Word, kind and icon."""
    return (TITLES[kind], *_SHAPES.get(kind, _WAY))


def why_words(one: Mapping[str, str], *, is_box: bool) -> str:
    """What was said last, or what is waited for, in words that this reader may see."""
    kind = Why(one["kind"]) if one["kind"] else None
    if kind in _OWN and not is_box:
        return SENTENCES[kind]
    return one.get("words", "") or one["reason"] or (SENTENCES[kind] if kind else "")


def lines_of(
    groups: Sequence[Row],
    egresses: Mapping[str, tuple[str, str]],
    now: int,
    stop: KillStatus,
    *,
    is_box: bool = True,
) -> list[Line]:
    """The rows of a table."""
    return [_line(one, egresses, now, stop, is_box=is_box) for one in groups]


def _line(
    one: Row,
    egresses: Mapping[str, tuple[str, str]],
    now: int,
    stop: KillStatus,
    *,
    is_box: bool,
) -> Line:
    address, state = egresses.get(one["egress"], ("", ""))
    is_held = one["status"] == "held"
    at = 0 if is_held else max(one["next"], one["until"])
    return Line(
        name=one["name"],
        provider=one["provider"],
        state=one["status"],
        pick=f"{one['status']} {one['name']}" if one["name"] else "",
        count=one["count"],
        oldest=max(now - one["oldest"], 0),
        badge=badge_of(Why(one["kind"])),
        words=why_words(one, is_box=is_box),
        address=address or one["egress"],
        egress=", ".join(filter(None, (one["egress"] if address else "", state))),
        next=at,
        next_said=_next_said(at, now, stop, is_held=is_held),
        is_held=is_held,
    )


def _next_said(at: int, now: int, stop: KillStatus, *, is_held: bool) -> str:
    if is_held:
        return "held"
    if stop.is_on:
        return "was due"
    return words.relative(at, now) if at > now else "leaving now"


def stats_of(found: Row, live: Row, stop: KillStatus, now: int) -> list[Stat]:
    """What the cards say."""
    waiting = sum(found["counts"].values())
    stats = [
        Stat(
            label="Waiting",
            figure=words.number(waiting),
            compare=f"{found['total']:,} group{'s' * (found['total'] != 1)}, {found['counts'].get('held', 0):,} held",
        ),
        _oldest(found, now),
    ]
    if live["leaving_per_s"] is not None:
        stats.append(_leaving(live, stop))
    due = 0 if stop.is_on else found["due_soon"]
    share = f"{words.percent(due, waiting)} of what waits" if waiting else "nothing waits"
    compare = "none until sending goes on" if stop.is_on else share
    stats.append(
        Stat(label="Tried again in the next hour", figure=words.number(due), compare=compare)
    )
    return stats


def _oldest(found: Row, now: int) -> Stat:
    waiting, oldest = found["oldest_waiting"], found["oldest"]
    if not waiting:
        held = f"held for {words.duration(now - oldest)}" if oldest else "nothing waits"
        return Stat(label="Oldest, not held", figure="None", compare=held)
    held = (
        f"the oldest held: {words.duration(now - oldest)}" if oldest < waiting else "none is older"
    )
    return Stat(label="Oldest, not held", figure=words.duration(now - waiting), compare=held)


def _leaving(live: Row, stop: KillStatus) -> Stat:
    if stop.is_on:
        return Stat(label="Leaving", figure="0", unit="/ s", judged="bad", compare="stopped")
    return Stat(
        label="Leaving",
        figure=f"{live['leaving_per_s']:,.0f}"
        if live["leaving_per_s"] >= 10
        else f"{live['leaving_per_s']:g}",
        unit="/ s",
        judged="good",
        compare=f"{live['connections']:,} connections open",
    )
