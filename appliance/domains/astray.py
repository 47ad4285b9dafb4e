"""Astray: a record that stands at another name than it must; pure.

Most panels of DNS hosts append the zone to what is typed: who pastes the whole name publishes
`pb1r._domainkey.example.com.example.com`. So what is missing is looked for there, below the domain and each of
its parents, and counts only if it says what it must: a wildcard answers at every name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.domains.model import CheckState
from appliance.domains.rules import tags
from appliance.domains.spf import is_spf
from mta.signing.dns_records import RecordKind

if TYPE_CHECKING:
    from appliance.domains.model import Check
    from mta.signing.dns_records import DnsRecord


def places(record: DnsRecord, domain: str) -> tuple[str, ...]:
    """Where the record may have landed, by the zone in which it was typed."""
    labels = domain.split(".")
    zones = (".".join(labels[start:]) for start in range(min(len(labels) - 1, 3)))
    return tuple(f"{record.name}.{zone}" for zone in zones)


def means(record: DnsRecord, text: str) -> bool:
    """Whether the text, found elsewhere, was meant for this record."""
    match record.kind:
        case RecordKind.DKIM:
            return bool(text) and tags(text).get("p") == tags(record.value).get("p")
        case RecordKind.SPF:
            return is_spf(text)
        case RecordKind.DMARC:
            return text.replace(" ", "").startswith("v=DMARC1")
        case RecordKind.OWNERSHIP | RecordKind.RETURN_PATH:
            return text.strip().rstrip(".") == record.value.rstrip(".")


def told(check: Check, record: DnsRecord, place: str, text: str) -> Check:
    """The check of a missing record that stands at `place`."""
    zone = place.removeprefix(f"{record.name}.")
    typed = record.name.removesuffix(zone).rstrip(".") or "@"
    problem = (
        f"it stands at {place}: the DNS host appends {zone} by itself, so enter the name as {typed}"
    )
    return replace(check, state=CheckState.DIFFERENT, problem=problem, found=(text,))
