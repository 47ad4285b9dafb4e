"""Owners: the mta processes, asked over their sockets; several answer as if they were one.

A queue is its owner's alone, so a box that does not run has no answer: NotRunningError (exit code 69).
One owner of several that is silent is an error too: half a queue must not look like the whole.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from appliance.core import ids
from appliance.core.errors import NotFoundError, NotRunningError
from appliance.core.rpc import call_sync

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from appliance.core.home import Home

TIMEOUT: Final = 30.0
LONG_TIMEOUT: Final = 600.0  # an action on a million recipients works in pages
PAGE: Final = 500  # of each shard, as mta/scheduling/operations.py has it
_START: Final = (-1, -1)
_SOCKET: Final = re.compile(r"mta-\d+\.sock")

Row = dict[str, Any]


class Owners:
    """All mta processes of a box."""

    def __init__(self, home: Home, configured: int) -> None:
        self._home, self._configured = home, configured

    def is_running(self) -> bool:
        """Whether any of them answers."""
        return any(_answers(self._home.socket(name)) for name in self._names())

    def destinations(self) -> list[Row]:
        """What waits, by domain and state, most first."""
        merged: dict[tuple[str, str], Row] = {}
        for row in self._rows("queue_summary", {"limit": PAGE}):
            key = row["domain"], row["status"]
            merged[key] = _merged(merged[key], row) if key in merged else row
        return sorted(merged.values(), key=lambda row: (-row["count"], row["domain"]))

    def recipients(self, wanted: Mapping[str, object], limit: int) -> list[Row]:
        """Waiting and held recipients that match, oldest message first."""
        found: list[Row] = []
        after = _START
        while len(found) < limit:
            payload = {"filter": dict(wanted), "after": list(after), "limit": PAGE}
            page = sorted(self._rows("queue_list", payload), key=_place)[:PAGE]
            found += page
            if len(page) < PAGE:
                break
            after = _place(page[-1])
        return found[:limit]

    def show(self, message_id: int) -> dict[str, Any]:
        """A message in the queue. Raises NotFoundError when none such waits."""
        name = self._owner_of(ids.shard_of(message_id))
        answer = self._call(name, "queue_show", {"id": message_id})
        assert isinstance(answer, dict)
        return answer

    def act(self, action: str, wanted: Mapping[str, object], by: str) -> dict[str, int]:
        """Retry, hold, release or cancel all that match; the counts of what was done."""
        total = {"changed": 0, "being_sent": 0}
        payload = {"action": action, "filter": dict(wanted), "by": by}
        for name in self._running:
            done = self._call(name, "queue_act", payload, LONG_TIMEOUT)
            total = {key: total[key] + int(done[key]) for key in total}
        return total

    def explain(self, domain: str) -> list[dict[str, Any]]:
        """How mail to a domain goes, as each process sees it."""
        return [self._call(name, "shaping_explain", {"domain": domain}) for name in self._running]

    def submit(self, payload: Mapping[str, object]) -> Any:
        """Hand a message to the first process."""
        return self._call(self._running[0], "submit", dict(payload))

    def _rows(self, method: str, payload: object) -> Iterator[Row]:
        for name in self._running:
            yield from self._call(name, method, payload)

    def _owner_of(self, shard: int) -> str:
        names = self._running
        for name in names:
            if shard in self._call(name, "shards", None):
                return name
        raise NotFoundError(
            f"no process owns shard {shard}, which the id names: look at the id again"
        )

    @cached_property
    def _running(self) -> tuple[str, ...]:
        """Every owner; raises NotRunningError when one is silent."""
        names = self._names()
        silent = [name for name in names if not _answers(self._home.socket(name))]
        if len(silent) == len(names):
            raise NotRunningError(
                f"the box in {self._home.path} does not run: start it with `pillarbox serve`"
            )
        if silent:
            raise NotRunningError(
                f"{', '.join(silent)} does not answer, so the answer would be incomplete: it may be"
                " starting (try again), have trouble (see the log), or wait for a restart of the box"
            )
        return names

    def _names(self) -> tuple[str, ...]:
        """Those configured, and whoever else has a socket: the configuration may be newer."""
        found = {
            path.stem for path in self._home.run_dir.glob("*.sock") if _SOCKET.match(path.name)
        }
        configured = {f"mta-{index}" for index in range(self._configured)}
        return tuple(sorted(found | configured, key=lambda name: int(name.removeprefix("mta-"))))

    def _call(self, name: str, method: str, payload: object, timeout: float = TIMEOUT) -> Any:
        return call_sync(self._home.socket(name), method, payload, timeout)


def _answers(socket: Path) -> bool:
    try:
        call_sync(socket, "shards", None, TIMEOUT)
    except NotRunningError:
        return False
    return True


def _place(row: Row) -> tuple[int, int]:
    return int(row["message_id"]), int(row["n"])


def _merged(one: Row, other: Row) -> Row:
    return one | {
        "count": one["count"] + other["count"],
        "oldest": min(one["oldest"], other["oldest"]),
        "next": min(one["next"], other["next"]),
        "reason": one["reason"] or other["reason"],
    }
