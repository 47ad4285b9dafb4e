"""SPF, pure: reads records and counts the DNS look-ups that they cost (RFC 7208).

A receiver gives up with a permanent error after 10 look-ups (4.6.4); a domain with six services in its
record is often there already, and its owner sees nothing of it. Mechanisms behind `all` do not
count, a redirect beside `all` does not either (5.1, 6.1). Names with macros cannot be followed:
they count, and what they include stays unknown.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_LOOKUPS: Final = 10
_COUNT_BOUND: Final = 100
_TERM: Final = re.compile(
    r"(?P<qualifier>[+\-~?]?)(?P<name>[A-Za-z][A-Za-z0-9_.-]*)(?P<separator>[:=/]?)(?P<value>\S*)"
)
_ASKING: Final = frozenset({"a", "mx", "ptr", "exists", "include"})
_MECHANISMS: Final = _ASKING | {"all", "ip4", "ip6"}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class SpfRecord:
    """One record, as far as it is evaluated."""

    own_lookups: int
    includes: tuple[str, ...]
    redirect: str
    networks: tuple[Network, ...]  # of ip4 and ip6 that pass
    problem: str  # "" when every term can be read


ABSENT: Final = SpfRecord(
    own_lookups=0,
    includes=(),
    redirect="",
    networks=(),
    problem="there is none, and including a name without one is an error (RFC 7208 5.2)",
)


def is_spf(text: str) -> bool:
    """Whether a TXT record is an SPF record (4.5)."""
    return text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")


def parse(text: str) -> SpfRecord:
    """Read the terms up to `all`. A term nobody knows makes the whole record an error (4.6)."""
    reader = _Reader()
    for term in text.split()[1:]:
        reader.take(term)
    return reader.record()


class _Reader:
    def __init__(self) -> None:
        self._asked = 0
        self._includes: list[str] = []
        self._redirect = ""
        self._networks: list[Network] = []
        self._problem = ""
        self._ended = False

    def take(self, term: str) -> None:
        match = _TERM.fullmatch(term)
        if match is None:
            self._problem = self._problem or f"{term!r} is no SPF term"
            return
        name, separator, value = match["name"].lower(), match["separator"], match["value"]
        if separator == "=":
            self._redirect = value if name == "redirect" else self._redirect
        elif name not in _MECHANISMS:
            self._problem = self._problem or f"{term!r} is no SPF mechanism"
        elif not self._ended:
            self._mechanism(name, value, passes=match["qualifier"] in {"", "+"})

    def _mechanism(self, name: str, value: str, *, passes: bool) -> None:
        if name == "all":
            self._ended = True
        elif name in _ASKING:
            self._asked += 1
            if name == "include":
                self._includes.append(value.rstrip(".").lower())
        else:
            self._network(value, passes=passes)

    def _network(self, value: str, *, passes: bool) -> None:
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            self._problem = self._problem or f"{value!r} is no network"
            return
        if passes:
            self._networks.append(network)

    def record(self) -> SpfRecord:
        redirect = "" if self._ended else self._redirect.rstrip(".").lower()
        return SpfRecord(
            own_lookups=self._asked + bool(redirect),
            includes=tuple(self._includes),
            redirect=redirect,
            networks=tuple(self._networks),
            problem=self._problem,
        )


def references(record: SpfRecord) -> tuple[str, ...]:
    """The names whose records belong to this one and can be followed."""
    names = (*record.includes, record.redirect)
    return tuple(name for name in names if name and "%" not in name)


def count_lookups(records: Mapping[str, SpfRecord], name: str) -> int:
    """Look-ups of evaluating `name` to the end, each include as often as it is reached.

    Bounded: a record that includes itself counts as more than any limit.
    """
    total, waiting = 0, [name]
    while waiting and total < _COUNT_BOUND:
        record = records.get(waiting.pop())
        if record is not None:
            total += record.own_lookups
            waiting.extend(references(record))
    return total


def covers(records: Iterable[SpfRecord], addresses: Iterable[str]) -> bool:
    """Whether the records name each of the addresses (at least one is given)."""
    networks = [network for record in records for network in record.networks]
    wanted = [ipaddress.ip_address(text) for text in addresses]
    return bool(wanted) and all(
        any(address.version == network.version and address in network for network in networks)
        for address in wanted
    )
