"""Box records: what DNS must say of the box itself, before any tenant's domain. Pure.

    A and PTR        the name it greets with; receivers refuse senders whose two do not match
    MX and SPF       its bounce domain, to which the return paths of all tenants' domains are aliases
    SPF, DKIM, DMARC of its host name, for the notices it sends itself

An address that is not configured stands as a placeholder: the machine behind a NAT does not know it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.domains import KeyState
from appliance.domains.records import dkim_of
from mta.signing.dns_records import dmarc_record, spf_mechanisms

if TYPE_CHECKING:
    from appliance.domains import BoxNames, DomainRecord

UNKNOWN_ADDRESS: Final = "<public IPv4 address of this machine>"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRecord:
    """One record to publish, with why."""

    name: str
    type: str
    value: str
    purpose: str


def box_records(names: BoxNames, own: DomainRecord) -> tuple[BoxRecord, ...]:
    """Every record of the box, in the order in which people go through them."""
    return (*_host(names), *_bounces(names), *_notices(names, own))


def _host(names: BoxNames) -> tuple[BoxRecord, ...]:
    address = names.addresses[0] if names.addresses else UNKNOWN_ADDRESS
    return (
        BoxRecord(
            name=names.hostname,
            type="A",
            value=address,
            purpose="The name by which the box greets must lead to its address.",
        ),
        BoxRecord(
            name=ipaddress.ip_address(address).reverse_pointer if names.addresses else address,
            type="PTR",
            value=f"{names.hostname}.",
            purpose="And its address back to the name; set where the machine is rented.",
        ),
    )


def _bounces(names: BoxNames) -> tuple[BoxRecord, ...]:
    return (
        BoxRecord(
            name=names.bounce_domain,
            type="MX",
            value=f"10 {names.hostname}.",
            purpose="Bounces and complaints come back to the box (port 25).",
        ),
        BoxRecord(
            name=names.bounce_domain,
            type="TXT",
            value=f"v=spf1 {_senders(names)} -all",
            purpose="Lets the box send with its own return paths; tenants' SPF records include it.",
        ),
    )


def _notices(names: BoxNames, own: DomainRecord) -> tuple[BoxRecord, ...]:
    keys = [key for key in own.keys if key.state is not KeyState.WITHDRAWN]
    signing = (*(dkim_of(own, key) for key in keys), dmarc_record(names.hostname))
    return (
        BoxRecord(
            name=names.hostname,
            type="TXT",
            value=f"v=spf1 {_senders(names)} -all",
            purpose="SPF of the name itself: failure notices have no other sender.",
        ),
        *(
            BoxRecord(name=one.name, type=one.type, value=one.value, purpose=one.purpose)
            for one in signing
        ),
    )


def _senders(names: BoxNames) -> str:
    return " ".join(spf_mechanisms(addresses=names.addresses)) or f"a:{names.hostname}"
