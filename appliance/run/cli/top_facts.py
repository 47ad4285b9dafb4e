"""Facts of `pillarbox top`: what goes on in the whole box, gathered from its processes.

    Gatherer(box).look() -> Facts

Rates, queue and addresses are the overviews of the mta processes as one (appliance/run/overview.py);
processes and their memory come from every process's health; listed addresses from control.db. What
moves slowly is asked for every some seconds only. Raises NotRunningError when no mta answers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from appliance.core import clock
from appliance.core.errors import NotRunningError
from appliance.core.rpc import call_sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from appliance.run.cli.box import Box
    from appliance.run.cli.rooms import Rooms

Row = dict[str, Any]

_SLOW: Final = 10.0
_PATIENCE: Final = 2.0
_COUNTS: Final = ("delivered", "deferred", "bounced", "ready", "connections", "sites")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of the box."""

    name: str
    pid: int
    started_at: int
    memory: int  # octets that are its own, and its part of what is shared (PSS); 0 = not known
    words: str  # what is wrong with it; "" = nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One look."""

    at: int
    hostname: str
    counts: dict[str, int]  # recipients by state
    counted_at: int
    oldest: int
    ready: int
    being_sent: int
    connections: int
    commit_ms: float
    commit_p99_ms: float
    series: dict[str, list[int]]  # recipients of each of the last sixty seconds
    flows: list[Row]
    destinations: list[Row]
    blocked: list[Row]
    stops: list[str]
    alarms: list[str]
    processes: list[Process]


class Gatherer:
    """Looks again and again."""

    def __init__(self, box: Box, now: Callable[[], float] = clock.monotonic) -> None:
        self._box, self._now = box, now
        self._slow_at = float("-inf")
        self._listed: list[str] = []
        self._processes: list[Process] = []

    def look(self) -> Facts:
        """Everything as it stands."""
        overviews = self._box.owners.overviews()
        if self._now() - self._slow_at >= _SLOW:
            self._listed = self._box.ask(_listed)
            self._processes = processes(self._box.home.run_dir)
            self._slow_at = self._now()
        ill = [f"{one.name}: {one.words}" for one in self._processes if one.words]
        return together(
            overviews,
            hostname=self._box.settings.box.hostname,
            alarms=[*ill, *self._listed],
            processes=self._processes,
        )


async def _listed(rooms: Rooms) -> list[str]:
    """Addresses that are on a blocklist."""
    found = await rooms.blocklists.listings(rooms.scope)
    now = clock.now_ms()
    from appliance.run.cli.output import span

    return [
        f"{one.address} ({one.egress}) is listed on {one.zone} for {span(now - one.listed_at)}"
        for one in found
    ]


# -- as one --------------------------------------------------------------------


def together(
    parts: Sequence[Row], *, hostname: str, alarms: list[str], processes: list[Process]
) -> Facts:
    """The overviews of all mta processes as one."""
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part["queue"]["counts"])
    memory = Counter[str]()
    for part in parts:
        memory.update(part["memory"])
    return Facts(
        at=max(part["at"] for part in parts),
        hostname=hostname,
        counts=dict(counts),
        counted_at=min(part["queue"]["at"] for part in parts),
        oldest=_oldest(part["queue"]["oldest"] for part in parts),
        ready=memory["ready"],
        being_sent=memory["being_sent"],
        connections=memory["connections"],
        commit_ms=max(part["commit"]["median_ms"] for part in parts),
        commit_p99_ms=max(part["commit"]["p99_ms"] for part in parts),
        series=_series([part["series"] for part in parts]),
        flows=_flows(part["flows"] for part in parts),
        destinations=_destinations(part["destinations"] for part in parts),
        blocked=_blocked(part["blocked"] for part in parts),
        stops=list(dict.fromkeys(words for part in parts for words in part["stops"])),
        alarms=alarms,
        processes=processes,
    )


def _oldest(times: Iterable[int]) -> int:
    return min(filter(None, times), default=0)


def _series(parts: list[dict[str, list[int]]]) -> dict[str, list[int]]:
    return {
        kind: [sum(each) for each in zip(*(p[kind] for p in parts), strict=True)]
        for kind in parts[0]
    }


def _flows(parts: Iterable[list[Row]]) -> list[Row]:
    """Each process knows all states, and its own part of what goes."""
    found: dict[tuple[str, str], Row] = {}
    for row in (row for part in parts for row in part):
        place = row["egress"], row["provider"]
        mine = found.setdefault(place, row | dict.fromkeys(_COUNTS, 0) | {"states": {}})
        for name in _COUNTS:
            mine[name] += row[name]
        mine["states"] = row["states"] | mine["states"]
    return sorted(found.values(), key=_weight_of_flow)


def _weight_of_flow(row: Row) -> tuple[object, ...]:
    """Trouble first, then traffic; an address that warms up is no trouble."""
    calm = not row["states"].keys() - {"warming"}
    traffic = row["delivered"] + row["deferred"] + row["bounced"]
    return calm, -traffic, -row["ready"], not row["states"], row["egress"], row["provider"]


def _destinations(parts: Iterable[list[Row]]) -> list[Row]:
    found: dict[str, Row] = {}
    for row in (row for part in parts for row in part):
        mine = found.get(row["domain"])
        found[row["domain"]] = row if mine is None else _one_destination(mine, row)
    return sorted(
        found.values(), key=lambda r: (-r["waiting"] - r["held"], -r["delivered"], r["domain"])
    )


def _one_destination(one: Row, other: Row) -> Row:
    older = one if _oldest((one["oldest"], other["oldest"])) == one["oldest"] else other
    sums = {
        name: one[name] + other[name] for name in ("waiting", "held", "delivered", "connections")
    }
    return (
        one
        | sums
        | {
            "provider": one["provider"] or other["provider"],
            "oldest": older["oldest"],
            "words": older["words"] or one["words"] or other["words"],
        }
    )


def _blocked(parts: Iterable[list[Row]]) -> list[Row]:
    found: dict[str, Row] = {}
    for row in (row for part in parts for row in part):
        mine = found.setdefault(row["why"], row | {"keys": 0})
        mine["keys"] += row["keys"]
        mine["until_at"] = max(mine["until_at"], row["until_at"])
    return sorted(found.values(), key=lambda row: -row["keys"])


# -- processes -----------------------------------------------------------------


def processes(run_dir: Path) -> list[Process]:
    """Every process that has a socket, and how it is."""
    return [_process(path) for path in sorted(run_dir.glob("*.sock"))]


def _process(path: Path) -> Process:
    try:
        found = call_sync(path, "health", None, _PATIENCE)
    except NotRunningError as error:
        return Process(name=path.stem, pid=0, started_at=0, memory=0, words=str(error))
    ill = [f"{name}: {one['words']}" for name, one in found["checks"].items() if not one["ok"]]
    return Process(
        name=found["process"],
        pid=found["pid"],
        started_at=found["started_at"],
        memory=memory_of(found["pid"]),
        words="; ".join(ill),
    )


def memory_of(pid: int) -> int:
    """PSS in octets; 0 where the system does not tell it (another user, no Linux)."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    line = next((line for line in text.splitlines() if line.startswith("Pss:")), "Pss: 0")
    return int(line.split()[1]) * 1024
