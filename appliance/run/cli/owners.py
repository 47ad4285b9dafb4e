"""Owners: the mta processes, asked over their sockets; several answer as if they were one.

A queue is its owner's alone, so a box that does not run has no answer: NotRunningError (exit code 69).
One owner of several that is silent is an error too: half a queue must not look like the whole.
"""

from __future__ import annotations

import re
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from appliance.core import ids
from appliance.core.errors import NotFoundError, NotRunningError
from appliance.core.rpc import call_sync
from appliance.run.queue_summary import merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from appliance.core.home import Home

TIMEOUT: Final = 30.0
LONG_TIMEOUT: Final = 300.0  # among a million recipients the first that match may be far away
PAGE: Final = 500  # of each shard, as mta/scheduling/operations.py has it
COUNTS: Final = ("changed", "being_sent", "ready")
_START: Final = (-1, -1)
_SOCKET: Final = re.compile(r"mta-\d+\.sock")

Row = dict[str, Any]


class Owners:
    """All mta processes of a box."""

    def __init__(self, home: Home, configured: int) -> None:
        self._home, self._configured = home, configured

    def summary(self, by: str, limit: int) -> Row:
        """What waits, counted, the fullest group first (appliance/run/queue_summary.py)."""
        asked = {"by": by, "limit": limit}
        parts = [self._call(name, "queue_summary", asked, LONG_TIMEOUT) for name in self._running]
        found = merged(parts)
        return found | {"groups": found["groups"][:limit]}

    def overviews(self) -> list[Row]:
        """What goes on in each process (appliance/run/overview.py)."""
        return [self._call(name, "overview", None, LONG_TIMEOUT) for name in self._running]

    def recipients(self, wanted: Mapping[str, object], limit: int) -> list[Row]:
        """Waiting and held recipients that match, oldest message first."""
        found: list[Row] = []
        after = _START
        while len(found) < limit:
            payload = {"filter": dict(wanted), "after": list(after), "limit": PAGE}
            rows = chain.from_iterable(
                self._call(name, "queue_list", payload, LONG_TIMEOUT) for name in self._running
            )
            page = sorted(rows, key=_place)[:PAGE]
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

    def act(
        self, order: Mapping[str, object], wanted: Mapping[str, object]
    ) -> Iterator[dict[str, int]]:
        """Carry out an order ({action, by, pool}) on all that match; counts, about once a second."""
        number = wanted.get("message_id")
        only = ids.shard_of(number) if isinstance(number, int) else None
        for name in self._running:
            for shard in self._call(name, "shards", None):
                if only in (None, shard):
                    yield from self._turns(name, {**order, "filter": dict(wanted), "shard": shard})

    def _turns(self, name: str, payload: dict[str, object]) -> Iterator[dict[str, int]]:
        is_over = False
        while not is_over:
            done = self._call(name, "queue_act", payload, LONG_TIMEOUT)
            yield {count: done[count] for count in COUNTS}
            payload |= {"after": done["after"], "upto": done["upto"]}
            is_over = done["after"] is None

    def explain(self, domain: str) -> list[dict[str, Any]]:
        """How mail to a domain goes, as each process sees it."""
        return [self._call(name, "shaping_explain", {"domain": domain}) for name in self._running]

    def submit(self, payload: Mapping[str, object]) -> Any:
        """Hand a message to the first process."""
        return self._call(self._running[0], "submit", dict(payload))

    @property
    def names(self) -> tuple[str, ...]:
        """Every owner's; raises NotRunningError when one is silent."""
        return self._running

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
