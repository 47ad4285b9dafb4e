"""Addresses: which ones webhooks may go to; pure.

Public ones, as mail may (mta/transport/mx.py): not loopback, private, link-local (cloud metadata), CGNAT,
multicast or reserved, also not inside of an IPv4-mapped, 6to4 or NAT64 address. What
`webhooks.allow_networks` lists is allowed besides.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from mta.transport.mx import is_public

if TYPE_CHECKING:
    from collections.abc import Iterable


class Allowed:
    """Says yes or no to an address."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ipaddress.ip_network(text) for text in networks)

    def __call__(self, address: str) -> bool:
        return is_public(address) or self._is_listed(address)

    def _is_listed(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        inner = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        return any((inner or ip) in network for network in self._networks)
