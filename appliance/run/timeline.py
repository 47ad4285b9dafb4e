"""Timeline: an event of a message in words; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appliance.core import clock
from mta.status import EventKind


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a time line."""

    at: int
    what: str
    words: str
    n: int = -1
    kind: str = ""


def tell(n: int, kind: str, at: int, data: dict[str, Any]) -> list[Told]:
    """An event in words; `accepted` also tells of signing and queueing."""
    if kind == EventKind.ACCEPTED:
        return _tell_accepted(at, data)
    to = data.get("to", "")
    if kind in (EventKind.DELIVERED, EventKind.DEFERRED, EventKind.BOUNCED, EventKind.EXPIRED):
        return [Told(at, kind, _attempt_words(to, data), n, kind)]
    words = data.get("reason") or data.get("reply") or (f"by {data['by']}" if "by" in data else "")
    if kind == EventKind.REROUTED:
        pool = f"pool {data['pool']}" if data["pool"] else "its own pool"
        words = f"to {pool} {words}"
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
            f"when sent, d={data['signing_domain']} with {signed}"
            if signed
            else "no key: it leaves unsigned",
        ),
        Told(at, "queued", f"{data['class']}, safe on disk"),
    ]


def _attempt_words(to: str, data: dict[str, Any]) -> str:
    host = data.get("host") or "no host"
    words = f"{to} by {host}{_tls_words(data.get('tls', ''))}: {data['reply']}"
    if data.get("next"):
        words += f"; next try {clock.iso(data['next'])}"
    return words


def _tls_words(tls: str) -> str:
    """Of "TLSv1.3 TLS_AES_256_GCM_SHA384 (dane-ee verified)" all but the cipher."""
    version, _, rest = tls.partition(" ")
    trust = rest.partition("(")[2]
    return f" {version} ({trust}" if trust else f" {version}".rstrip()
