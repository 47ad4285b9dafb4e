"""DNS records: exactly what to publish for a sending domain, and how to write it down.

    ownership     TXT  _pillarbox.example.com             proves that the domain is the tenant's
    dkim          TXT  <selector>._domainkey.example.com  one for each key
    spf           TXT  example.com                        the record it has, with the box added
    dmarc         TXT  _dmarc.example.com                 watching only, until somebody decides more
    return_path   CNAME (or MX and TXT) bounces.example.com

Pure: nothing is looked up here. `value` is the logical text; `strings()` cuts a TXT into pieces of
255 octets (RFC 1035 3.3.14), which the receiver joins without a space (RFC 6376 3.6.2.2);
`zone_line()` is the line for a zone file. Names are absolute, without the last dot except in
zone lines and in the values of MX and CNAME.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mta.signing.keys import RSA

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_STRING: Final = 255
OWNERSHIP_LABEL: Final = "_pillarbox"
RETURN_PATH_LABEL: Final = "bounces"


class RecordKind(StrEnum):
    """What a record is for."""

    OWNERSHIP = "ownership"
    DKIM = "dkim"
    SPF = "spf"
    DMARC = "dmarc"
    RETURN_PATH = "return_path"


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsRecord:
    """One record to publish. `purpose` says in a sentence why."""

    kind: RecordKind
    name: str
    type: str  # TXT, MX, CNAME
    value: str
    purpose: str

    def strings(self) -> tuple[str, ...]:
        """A TXT value in pieces that fit into DNS; other types as they are."""
        if self.type != "TXT":
            return (self.value,)
        return tuple(
            self.value[start : start + MAX_STRING]
            for start in range(0, len(self.value), MAX_STRING)
        )

    def zone_line(self) -> str:
        """The record as a line of a zone file, one hour to live."""
        value = (
            " ".join(f'"{piece}"' for piece in self.strings()) if self.type == "TXT" else self.value
        )
        return f"{self.name}. 3600 IN {self.type} {value}"


def ownership_record(domain: str, token: str) -> DnsRecord:
    """Proves who owns the domain; may stay or go once it was seen."""
    return DnsRecord(
        kind=RecordKind.OWNERSHIP,
        name=f"{OWNERSHIP_LABEL}.{domain}",
        type="TXT",
        value=f"pillarbox-verification={token}",
        purpose="Proves that the domain is yours, so that nobody else can send with it.",
    )


def dkim_record(domain: str, *, selector: str, algorithm: str, public_key: str) -> DnsRecord:
    """The public key of a selector (RFC 6376 3.6.1); `public_key` as `keys.public_key_text()` gives it."""
    kind = "rsa" if algorithm == RSA else "ed25519"
    return DnsRecord(
        kind=RecordKind.DKIM,
        name=f"{selector}._domainkey.{domain}",
        type="TXT",
        value=f"v=DKIM1; k={kind}; p={public_key}",
        purpose=f"The {kind} key by which receivers verify that mail from {domain} was not changed.",
    )


def spf_mechanisms(*, include: str = "", addresses: Iterable[str] = ()) -> tuple[str, ...]:
    """How SPF names the box: one include (costs a look-up of ten), and or each address (costs none).

    Raises ValueError when an address is none.
    """
    named = (f"include:{include}",) if include else ()
    return named + tuple(f"ip{ipaddress.ip_address(text).version}:{text}" for text in addresses)


def spf_record(domain: str, mechanisms: Iterable[str], *, existing: str = "") -> DnsRecord:
    """The domain's SPF record with the mechanisms in it; a domain may have only one (RFC 7208 3.2)."""
    return DnsRecord(
        kind=RecordKind.SPF,
        name=domain,
        type="TXT",
        value=_with_mechanisms(existing or "v=spf1 ~all", tuple(mechanisms)),
        purpose="Lists who may send for the domain. Replace the old SPF record by this one: two are an error.",
    )


def _with_mechanisms(record: str, mechanisms: tuple[str, ...]) -> str:
    """Put before `all`, where they are still read (RFC 7208 5.1), and before `redirect=`."""
    terms = record.split()
    known = {term.lower().removeprefix("+") for term in terms}
    missing = [mechanism for mechanism in mechanisms if mechanism.lower() not in known]
    position = next((n for n, term in enumerate(terms) if _ends_evaluation(term)), len(terms))
    return " ".join([*terms[:position], *missing, *terms[position:]])


def _ends_evaluation(term: str) -> bool:
    return term.lower().lstrip("+-~?") == "all" or term.lower().startswith("redirect=")


def dmarc_record(domain: str, *, report_to: str = "") -> DnsRecord:
    """The least that Gmail and Yahoo ask of bulk senders: a record that watches (RFC 7489)."""
    reports = f"; rua=mailto:{report_to}" if report_to else ""
    return DnsRecord(
        kind=RecordKind.DMARC,
        name=f"_dmarc.{domain}",
        type="TXT",
        value=f"v=DMARC1; p=none{reports}",
        purpose="Tells receivers what to do with forged mail; start with none, go to quarantine or reject later.",
    )


def return_path_cname(domain: str, *, target: str, label: str = RETURN_PATH_LABEL) -> DnsRecord:
    """Bounces through one alias of the box's own bounce domain: MX and SPF come along."""
    return DnsRecord(
        kind=RecordKind.RETURN_PATH,
        name=f"{label}.{domain}",
        type="CNAME",
        value=f"{target}.",
        purpose="Bounces come back to the box under your own name, so that SPF is aligned for DMARC.",
    )


def return_path_records(
    domain: str, *, host: str, mechanisms: Iterable[str], label: str = RETURN_PATH_LABEL
) -> tuple[DnsRecord, DnsRecord]:
    """The same without an alias: where bounces go, and that the box may send with the name."""
    name = f"{label}.{domain}"
    return (
        DnsRecord(
            kind=RecordKind.RETURN_PATH,
            name=name,
            type="MX",
            value=f"10 {host}.",
            purpose="Bounces come back to the box under your own name.",
        ),
        DnsRecord(
            kind=RecordKind.RETURN_PATH,
            name=name,
            type="TXT",
            value=_with_mechanisms("v=spf1 -all", tuple(mechanisms)),
            purpose="SPF is asked for the return path's domain: this one makes it aligned for DMARC.",
        ),
    )
