"""Records: what the owner of a domain has to publish, from the domain and the names of the box."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.domains.model import KeyState
from mta.signing.dns_records import (
    DnsRecord,
    dkim_record,
    dmarc_record,
    ownership_record,
    return_path_cname,
    return_path_records,
    spf_mechanisms,
    spf_record,
)

if TYPE_CHECKING:
    from appliance.domains.model import BoxNames, DomainKey, DomainRecord


def records_of(
    domain: DomainRecord, box: BoxNames, existing_spf: str = ""
) -> tuple[DnsRecord, ...]:
    """Every record, in the order in which people go through them."""
    keys = [key for key in domain.keys if key.state is not KeyState.WITHDRAWN]
    mechanisms = spf_mechanisms(include=box.bounce_domain)
    return (
        ownership_of(domain),
        *(dkim_of(domain, key) for key in keys),
        spf_record(domain.name, mechanisms, existing=existing_spf),
        dmarc_record(domain.name),
        return_path_of(domain, box),
    )


def records_of_box(domain: DomainRecord, box: BoxNames) -> tuple[DnsRecord, ...]:
    """What the box's admin publishes: keys of its notices, where bounces go, and from where it sends.

    Tenants' records point to the bounce domain, so its SPF record stands for the whole box.
    """
    label, _, parent = box.bounce_domain.partition(".")
    mechanisms = (f"a:{box.hostname}", *spf_mechanisms(addresses=box.addresses))
    keys = [key for key in domain.keys if key.state is not KeyState.WITHDRAWN]
    return (
        *(dkim_of(domain, key) for key in keys),
        *return_path_records(parent, host=box.hostname, mechanisms=mechanisms, label=label),
    )


def ownership_of(domain: DomainRecord) -> DnsRecord:
    """The TXT record that proves the domain."""
    return ownership_record(domain.name, domain.token)


def dkim_of(domain: DomainRecord, key: DomainKey) -> DnsRecord:
    """The TXT record of a selector."""
    return dkim_record(
        domain.name, selector=key.selector, algorithm=key.algorithm, public_key=key.public_key
    )


def return_path_of(domain: DomainRecord, box: BoxNames) -> DnsRecord:
    """The alias that brings bounces back to the box."""
    label = domain.return_path.removesuffix(f".{domain.name}")
    return return_path_cname(domain.name, target=box.bounce_domain, label=label)
