"""Judges what DNS and this machine say of an address and its HELO name; pure (MTA-14).

    HELO name -> address      an A or AAAA record of the HELO name holds the address
    address -> name           the address has a reverse name (PTR)
    name -> address           and that name leads back to it (RFC 1912 2.1; large receivers insist)

A reverse name that is not the HELO name is a warning: most receivers put up with it. So is an address
that no interface of this machine has: the mail may leave from another node.
Words name each record to publish, and who can.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.egress.model import AddressCheck, CheckState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Found:
    """An answer of DNS: values, none, or `trouble` in words when nobody could say."""

    values: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found of one address."""

    address: str
    helo: str
    forward: Found  # addresses of the HELO name
    reverse: Found  # names of the address
    back: Mapping[str, Found] = field(default_factory=dict)  # addresses of each reverse name
    is_here: bool = True  # whether this machine has the address

    @property
    def record(self) -> str:
        """The type of a forward record."""
        return "AAAA" if ":" in self.address else "A"


def judge(facts: Facts, now: int) -> AddressCheck:
    """The facts with what is wrong in them."""
    problems = (*_forward(facts), *_reverse(facts))
    found = (facts.forward, facts.reverse, *facts.back.values())
    troubles = tuple(one.trouble for one in found if one.trouble)
    state = CheckState.UNKNOWN if troubles else CheckState.OK
    return AddressCheck(
        address=facts.address,
        at=now,
        state=CheckState.WRONG if problems else state,
        forward=facts.forward.values,
        reverse=facts.reverse.values,
        problems=problems + troubles,
        warnings=tuple(_warnings(facts)),
    )


def settled(old: Iterable[AddressCheck], fresh: Iterable[AddressCheck]) -> tuple[AddressCheck, ...]:
    """What to keep: an answer that DNS could not give changes nothing of what was known."""
    known = {check.address: check for check in old}
    return tuple(
        known.get(check.address, check) if check.state is CheckState.UNKNOWN else check
        for check in fresh
    )


def _forward(facts: Facts) -> Iterator[str]:
    if facts.forward.trouble or _holds(facts.forward, facts.address):
        return
    yield (
        f"the HELO name {facts.helo} does not lead to {facts.address}{_instead(facts.forward)}:"
        f" where the DNS of {facts.helo} is kept, publish"
        f" `{facts.helo}. {facts.record} {facts.address}`"
    )


def _reverse(facts: Facts) -> Iterator[str]:
    if facts.reverse.trouble:
        return
    if not facts.reverse.values:
        yield (
            f"{facts.address} has no reverse name, and large receivers refuse it: where the address"
            f" is rented, have `{_pointer(facts.address)}. PTR {facts.helo}.` set"
        )
        return
    if any(_holds(found, facts.address) or found.trouble for found in facts.back.values()):
        return
    names = ", ".join(facts.reverse.values[:3])
    yield (
        f"the reverse name of {facts.address} is {names}, which does not lead back to it: where the"
        f" address is rented, have `{_pointer(facts.address)}. PTR {facts.helo}.` set"
    )


def _warnings(facts: Facts) -> Iterator[str]:
    names = facts.reverse.values
    if names and facts.helo not in names:
        yield (
            f"the reverse name of {facts.address} is {', '.join(names[:3])}, the HELO name is"
            f" {facts.helo}: some receivers want them to be the same"
        )
    if not facts.is_here:
        yield (
            f"no interface of this machine has {facts.address}: mail cannot leave from it here until"
            f" it is added (`ip address add {facts.address}/{_bits(facts.address)} dev INTERFACE`)"
        )


def _holds(found: Found, address: str) -> bool:
    wanted = ipaddress.ip_address(address)
    return any(ipaddress.ip_address(value) == wanted for value in found.values)


def _instead(found: Found) -> str:
    return f" but to {', '.join(found.values[:3])}" if found.values else ""


def _pointer(address: str) -> str:
    return ipaddress.ip_address(address).reverse_pointer


def _bits(address: str) -> int:
    return ipaddress.ip_address(address).max_prefixlen
