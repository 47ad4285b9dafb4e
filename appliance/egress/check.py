"""Asks DNS and this machine about the addresses of an egress, and has the answers judged.

Two round trips, all addresses at once. Never fails for what DNS says: what nobody could look up is
`unknown`, with the reason. Give it a fresh Resolver, or it repeats what it cached before.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final, Protocol

from appliance.core.dns import DnsTemporaryError, NoRecordError, NoSuchNameError
from appliance.egress.judge import Facts, Found, judge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from appliance.core.dns import Answer
    from appliance.egress.model import AddressCheck, EgressRecord

MAX_NAMES: Final = 5  # reverse names that are followed; more than one is rare already


class Lookup(Protocol):
    """What is needed of appliance.core.dns.Resolver."""

    async def addresses(self, name: str, *, ipv6: bool) -> Answer:
        """A or AAAA records."""

    async def ptr(self, address: str) -> Answer:
        """Names of an address."""


def can_bind(address: str) -> bool:
    """Whether an interface of this machine has the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True


async def check_egress(
    found: EgressRecord, lookup: Lookup, now: int, is_here: Callable[[str], bool]
) -> tuple[AddressCheck, ...]:
    """Look at every address of the egress."""
    facts = await asyncio.gather(
        *(_facts(address, found.helo, lookup, is_here) for address in found.addresses)
    )
    return tuple(judge(one, now) for one in facts)


async def _facts(address: str, helo: str, lookup: Lookup, is_here: Callable[[str], bool]) -> Facts:
    ipv6 = ":" in address
    forward, reverse = await asyncio.gather(
        _found(lookup.addresses(helo, ipv6=ipv6)), _found(lookup.ptr(address))
    )
    names = reverse.values[:MAX_NAMES]
    back = await asyncio.gather(*(_found(lookup.addresses(name, ipv6=ipv6)) for name in names))
    return Facts(
        address=address,
        helo=helo,
        forward=forward,
        reverse=reverse,
        back=dict(zip(names, back, strict=True)),
        is_here=is_here(address),
    )


async def _found(question: Awaitable[Answer]) -> Found:
    try:
        return Found((await question).values)
    except (NoSuchNameError, NoRecordError):
        return Found()
    except DnsTemporaryError as error:
        return Found(trouble=str(error))
