"""Timeline: what happened to a message, in words, from the queue and the log, as it happens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from appliance.core import clock
from appliance.core.errors import NotFoundError, NotRunningError
from appliance.core.rpc import RpcClient
from mta.status import EventKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from appliance.core.home import Home

POLL = 0.05


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a time line."""

    at: int
    what: str
    words: str
    n: int = -1
    kind: str = ""


_FINAL = {
    EventKind.DELIVERED,
    EventKind.BOUNCED,
    EventKind.EXPIRED,
    EventKind.SUPPRESSED,
    EventKind.CANCELLED,
    EventKind.CORRUPT,
}


async def follow(
    home: Home, message_id: int, timeout: float, owners: tuple[str, ...] = ("mta-0",)
) -> AsyncIterator[Told]:
    """Events of a message until every recipient is final, or the time is over."""
    seen: set[tuple[str, int, int]] = set()
    everybody, final = -1, 0
    clients = [RpcClient(home.socket(name)) for name in owners]
    end = clock.monotonic() + timeout
    try:
        while clock.monotonic() < end and final != everybody:
            for n, kind, at, data in await _events(home, clients, message_id):
                if (kind, n, at) in seen:
                    continue
                seen.add((kind, n, at))
                if kind == EventKind.ACCEPTED:
                    everybody = len(data["recipients"])
                if kind in _FINAL:
                    final += 1
                for told in tell(n, kind, at, data):
                    yield told
            await asyncio.sleep(POLL)
    finally:
        for client in clients:
            await client.close()


async def _events(
    home: Home, clients: list[RpcClient], message_id: int
) -> list[tuple[int, str, int, dict[str, Any]]]:
    """What the log has, then what only the owner has yet."""
    from appliance.history import LogReader  # noqa: PLC0415 - opened for people only

    found = await asyncio.to_thread(LogReader(home.log_dir).raw_events, message_id)
    for client in clients:
        try:
            shown = await client.call("queue_show", {"id": message_id}, 5.0)
        except (NotFoundError, NotRunningError):
            continue
        found += [
            (n, kind, at, msgspec.json.decode(data)) for _, n, kind, at, data in shown["events"]
        ]
    return found


def tell(n: int, kind: str, at: int, data: dict[str, Any]) -> list[Told]:
    """An event in words; `accepted` also tells of signing and queueing."""
    if kind == EventKind.ACCEPTED:
        return _tell_accepted(at, data)
    to = data.get("to", "")
    if kind in (EventKind.DELIVERED, EventKind.DEFERRED, EventKind.BOUNCED, EventKind.EXPIRED):
        return [Told(at, kind, _attempt_words(to, data), n, kind)]
    words = data.get("reason") or data.get("reply") or (f"by {data['by']}" if "by" in data else "")
    return [Told(at, kind.replace("_", " "), f"{to} {words}".strip(), n, kind)]


def _tell_accepted(at: int, data: dict[str, Any]) -> list[Told]:
    people = [entry[1] for entry in data["recipients"]]
    to = people[0] if len(people) == 1 else f"{len(people)} recipients"
    signed = ", ".join(data["signed"])
    return [
        Told(at, "accepted", f"{data['size']} octets from {data['sender'] or '<>'} to {to}"),
        Told(
            at,
            "signed",
            f"d={data['signing_domain']} with {signed}" if signed else "no key: it leaves unsigned",
        ),
        Told(at, "queued", f"{data['class']}, safe on disk"),
    ]


def _attempt_words(to: str, data: dict[str, Any]) -> str:
    host = data.get("host") or "no host"
    tls = f" {data['tls'].split()[0]}" if data.get("tls") else ""
    words = f"{to} by {host}{tls}: {data['reply']}"
    if data.get("next"):
        words += f"; next try {clock.iso(data['next'])}"
    return words
