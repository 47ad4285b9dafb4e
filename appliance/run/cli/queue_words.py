"""Queue in words: what waits, what is paused and who waits, as tables that people read; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.run.cli.output import Table, ago, ahead, counted, span, when
from mta.scheduling.why import TITLES, Why

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from appliance.operations import KillStatus
    from appliance.run.cli.output import Part
    from appliance.run.cli.owners import Row
    from mta.directory import Pause

_STATES: Final = ("queued", "deferred", "held")
_OLD: Final = 3 * clock.SECOND
_UNNAMED: Final = {
    "domain": "-",
    "reason": "-",
    "provider": "not looked up yet",
    "site": "not looked up yet",
    "egress": "not tried yet",
    "tenant": "-",
}


def groups_in_words(
    found: Row, pauses: Iterable[Pause], switch: KillStatus, names: dict[int, str], now: int
) -> Iterator[Part]:
    """What waits, counted; above it everything that a person has stopped."""
    if switch.is_on:
        from appliance.run.cli.kill_switch import in_words

        yield in_words(switch)
    yield from (f"paused ({one.id}): {pause_in_words(one, names, now)}" for one in pauses)
    yield _total(found, now)
    if not found["groups"]:
        return
    if found["by"] == "domain" and found["reasons"]:
        yield ""
        yield _reasons(found["reasons"])
    yield ""
    yield _table(found, now)
    left = found["total"] - len(found["groups"])
    if left > 0:
        yield ""
        yield f"and {left:,} more: raise --limit, or count by provider, site, egress or tenant with --by"


def _total(found: Row, now: int) -> str:
    counts = found["counts"]
    number = sum(counts.values())
    if not number:
        return "nothing waits"
    states = ", ".join(f"{counts[state]:,} {state}" for state in _STATES if counts.get(state))
    verb = "waits" if number == 1 else "wait"
    words = f"{counted(number, 'recipient')} {verb}: {states}; the oldest since {span(now - found['oldest'])}"
    age = now - found["at"]
    return f"{words} (counted {ago(found['at'], now)})" if age > _OLD else words


def _reasons(rows: Sequence[Row]) -> Table:
    """What is waited for. A destination counts whole for what its oldest recipient waits for."""
    return Table(
        ("REASON", "RECIPIENTS", "DESTINATIONS", "MOST OF THEM"),
        [
            (
                TITLES[Why(row["kind"])],
                f"{row['recipients']:,}",
                f"{row['destinations']:,}",
                f"{row['example']}: {row['most']:,}" if row["example"] else "-",
            )
            for row in rows
        ],
        empty="",
        right=frozenset({"RECIPIENTS", "DESTINATIONS"}),
    )


def _table(found: Row, now: int) -> Table:
    by = found["by"]
    has_provider = by in ("domain", "site")
    headers = (by.upper(), *(("PROVIDER",) if has_provider else ()))
    return Table(
        (*headers, "STATE", "RECIPIENTS", "OLDEST", "NEXT TRY", "WHY"),
        [
            (
                TITLES[Why(group["kind"])] if by == "reason" else group["name"] or _UNNAMED[by],
                *((group["provider"] or "-",) if has_provider else ()),
                group["status"],
                f"{group['count']:,}",
                span(now - group["oldest"]),
                "-" if group["status"] == "held" else ahead(_next(group), now),
                group["reason"] or "-",
            )
            for group in found["groups"]
        ],
        empty="",
        right=frozenset({"RECIPIENTS"}),
    )


def _next(group: Row) -> int:
    """What is due may be kept back longer."""
    return int(max(group["next"], group["until"]))


def pause_in_words(one: Pause, names: dict[int, str], now: int) -> str:
    """What is stopped, since when, by whom, why, and until when."""
    parts = (
        f"tenant {names.get(one.tenant_id, one.tenant_id)}" if one.tenant_id else "",
        f"credential {one.credential_id}" if one.credential_id else "",
        f"domain {one.domain}" if one.domain else "",
        f"site {one.site}" if one.site else "",
        f"provider {one.provider}" if one.provider else "",
        f"egress {one.egress}" if one.egress else "",
        f"tag {one.tag}" if one.tag else "",
    )
    end = f"; ends {ahead(one.expires_at, now)}" if one.expires_at else ""
    return f"{', '.join(filter(None, parts))} since {when(one.at)} by {one.by}: {one.reason}{end}"


def recipients_in_words(rows: Sequence[Row], now: int) -> Iterator[Part]:
    """Who waits, since when, until when and why."""
    yield Table(
        ("ID", "RECIPIENT", "STATE", "TRIES", "NEXT TRY", "EGRESS", "WHY"),
        [
            (
                row["id"],
                row["address"],
                row["status"],
                str(row["attempts"]),
                ahead(row["next"], now) if row["status"] in ("queued", "deferred") else "-",
                row["egress"] or "-",
                row["reason"] or "-",
            )
            for row in rows
        ],
        empty="nothing in the queue matches",
        right=frozenset({"TRIES"}),
    )
