"""How it ended: what the event log says of every recipient, read from its files while the box runs or not."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from appliance.core import ids
from appliance.core.database import sqlite_connect
from tests.acceptance.torture.ledger import FINAL, End

if TYPE_CHECKING:
    from appliance.core.home import Home

_OURS: Final = re.compile(r"u(\d+)-\d+@")
_RECIPIENTS: Final = "SELECT message_id, n, address, status FROM log_recipient"
_EVENTS: Final = "SELECT message_id, n, kind FROM log_event WHERE n >= 0 ORDER BY seq"


def endings(home: Home) -> dict[tuple[int, str], End]:
    """Each recipient of the harness's letters with its state and events."""
    found: dict[tuple[int, str], End] = {}
    for file in sorted(home.log_dir.glob("????-??-??.db")):
        connection = sqlite_connect(file, readonly=True)
        try:
            events: dict[tuple[int, int], list[str]] = defaultdict(list)
            for message_id, n, kind in connection.execute(_EVENTS):
                events[message_id, n].append(kind)
            for message_id, n, address, status in connection.execute(_RECIPIENTS):
                if mine := _OURS.match(address):
                    kinds = tuple(events[message_id, n])
                    key = int(mine[1]), address
                    assert key not in found, f"{key} was accepted twice"
                    text, shard = ids.to_text(message_id), ids.shard_of(message_id)
                    found[key] = End(text, shard, status, kinds)
        finally:
            connection.close()
    return found


def set_aside(home: Home) -> list[str]:
    """Events that nobody could digest; there may be none."""
    problems = []
    for file in sorted(home.log_dir.glob("????-??-??.db")):
        connection = sqlite_connect(file, readonly=True)
        try:
            rows = connection.execute("SELECT kind, problem FROM log_rejected")
            problems += [f"event set aside: {kind}: {problem}" for kind, problem in rows]
        finally:
            connection.close()
    return problems


def waiting(home: Home) -> int:
    """How many recipients have not ended yet, failure notices among them."""
    count = 0
    for file in sorted(home.log_dir.glob("????-??-??.db")):
        connection = sqlite_connect(file, readonly=True)
        try:
            states = connection.execute(
                "SELECT status, count(*) FROM log_recipient GROUP BY status"
            )
            count += sum(many for status, many in states if status not in FINAL)
        finally:
            connection.close()
    return count
