"""DANE for SMTP (RFC 7672): what TLSA records mean, and whether a certificate answers to them. Pure.

    usable()   the records that can be used: DANE-TA(2) and DANE-EE(3), of each kind the strongest digest
    verify()   how the chain that a host showed answers to them: "dane-ee", "dane-ta", or Distrusted

DANE-EE: the leaf matches; its names and dates mean nothing (RFC 7672 section 3.1.1). DANE-TA: a
certificate above the leaf matches, and from there down all must be valid as `cryptography` checks it:
signatures, dates, authorities that may sign, and the name of the host in the leaf. That verifier knows
RSA from 2048 bits and NIST's curves; a chain with anything else is not trusted, and its mail waits. The
recipient's domain in the leaf, which section 3.2.2 lets stand for the host's name, does not count: a
connection is shared by all domains of a site, and the owner of one would speak for the others' host.

Python's ssl has no DANE. It hands out the chain as it came (tls_policy.py), so nothing here needs a
second TLS library beside the one that asyncio speaks through.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)
from msgspec import Struct

from mta.transport.tls_results import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

TRUST_ANCHOR: Final = 2
END_ENTITY: Final = 3
_WHOLE, _KEY = 0, 1  # selectors: the certificate, its public key
_FULL, _SHA256, _SHA512 = 0, 1, 2  # matching types
_LENGTHS: Final = {_SHA256: 32, _SHA512: 64}
MAX_RECORDS: Final = 16
MAX_CHAIN: Final = 10


class Tlsa(Struct, frozen=True, array_like=True):
    """One TLSA record."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        """As zone files write it."""
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"


class Distrusted(Exception):  # noqa: N818 - a verdict on a certificate
    """The certificate is not what it must be; `failure` is the word for it in reports."""

    def __init__(self, failure: Failure, text: str) -> None:
        super().__init__(text)
        self.failure = failure


def usable(records: Iterable[Tlsa]) -> tuple[Tlsa, ...]:
    """The records that a client can use, in a fixed order; () when there is none (RFC 7672 3.1.3)."""
    sound = sorted({r for r in records if _is_sound(r)}, key=_order)
    best: dict[tuple[int, int], int] = {}
    for record in sound:  # digest agility (RFC 7671 section 9): the strongest one speaks alone
        if record.matching:
            best[record.usage, record.selector] = record.matching
    return tuple(
        record
        for record in sound
        if record.matching in (_FULL, best.get((record.usage, record.selector)))
    )[:MAX_RECORDS]


def _is_sound(record: Tlsa) -> bool:
    if record.usage not in (TRUST_ANCHOR, END_ENTITY) or record.selector not in (_WHOLE, _KEY):
        return False
    if record.matching == _FULL:
        return bool(record.data)
    return len(record.data) == _LENGTHS.get(record.matching)


def _order(record: Tlsa) -> tuple[int, int, int, bytes]:
    return -record.usage, record.selector, record.matching, record.data


def verify(chain: Sequence[bytes], records: Sequence[Tlsa], host: str, now: datetime) -> str:
    """How the chain (DER, leaf first) answers to the records. Raises Distrusted."""
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain[:MAX_CHAIN]]
        leaf, above = certificates[0], certificates[1:]
        if any(r.usage == END_ENTITY and _matches(leaf, r) for r in records):
            return "dane-ee"
        anchors = list(_anchors(leaf, above, records))
    except (IndexError, ValueError) as error:
        text = f"the certificate of {host} cannot be read: {error}"
        raise Distrusted(Failure.VALIDATION, text) from error
    if not anchors:
        text = f"the certificate of {host} matches none of its TLSA records"
        raise Distrusted(Failure.VALIDATION, text)
    _check_chain(leaf, above, anchors, host, now)
    return "dane-ta"


def _anchors(
    leaf: x509.Certificate, above: Sequence[x509.Certificate], records: Sequence[Tlsa]
) -> Iterable[x509.Certificate]:
    """The certificates that the records name; one that stands whole in a record need not be sent."""
    for record in records:
        if record.usage != TRUST_ANCHOR:
            continue
        if (record.selector, record.matching) == (_WHOLE, _FULL):
            anchor = x509.load_der_x509_certificate(record.data)
            if anchor != leaf:  # a leaf vouches for itself only as DANE-EE
                yield anchor
        else:
            yield from (found for found in above if _matches(found, record) and found != leaf)


def _matches(certificate: x509.Certificate, record: Tlsa) -> bool:
    if record.selector == _KEY:
        key = certificate.public_key()
        octets = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        octets = certificate.public_bytes(Encoding.DER)
    if record.matching == _FULL:
        return octets == record.data
    digest = hashlib.sha256 if record.matching == _SHA256 else hashlib.sha512
    return digest(octets).digest() == record.data


def _check_chain(
    leaf: x509.Certificate,
    above: Sequence[x509.Certificate],
    anchors: list[x509.Certificate],
    host: str,
    now: datetime,
) -> None:
    """Only what DANE needs of certificates, less than the web demands: private authorities are usual."""
    authority = ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, Criticality.AGNOSTIC, _must_be_authority
    )
    named = ExtensionPolicy.permit_all().require_present(
        x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
    )
    builder = PolicyBuilder().store(Store(anchors)).time(now)
    builder = builder.extension_policies(ca_policy=authority, ee_policy=named)
    try:
        verifier = builder.build_server_verifier(x509.DNSName(host))
        verifier.verify(leaf, list(above))
    except (VerificationError, ValueError) as error:
        words = str(error).partition(" (encountered")[0].removeprefix("validation failed: ")
        text = f"the certificate of {host} does not lead to its TLSA records: {words}"
        raise Distrusted(_failure(leaf, words, now), text) from error


def _must_be_authority(
    _policy: Policy, _certificate: x509.Certificate, extension: x509.BasicConstraints
) -> None:
    if not extension.ca:
        raise ValueError("a certificate signs another and is no authority")


def _failure(leaf: x509.Certificate, words: str, now: datetime) -> Failure:
    if leaf.not_valid_after_utc < now:
        return Failure.EXPIRED
    return Failure.HOST_MISMATCH if "subjectAltName" in words else Failure.NOT_TRUSTED
