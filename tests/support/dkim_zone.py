"""DKIM for tests: a signing plan with published test keys, its DNS records, and dkimpy as verifier."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import dkim

from mta.directory import DkimKey
from mta.message import SigningPlan
from mta.signing.dns_records import dkim_record
from mta.signing.keys import algorithm_of, import_pem, make_ed25519, public_key_text

DATA = Path(__file__).parent.parent / "data" / "dkim"
DOMAIN = "relay.example.com"


@cache
def plan() -> SigningPlan:
    """RSA-2048 first, then Ed25519, as the box signs."""
    keys = (import_pem((DATA / "2048_testkey.key").read_bytes()), make_ed25519())
    return SigningPlan(
        domain=DOMAIN,
        keys=tuple(
            DkimKey(selector=f"s{number}", algorithm=algorithm_of(key), private_key=key)
            for number, key in enumerate(keys)
        ),
    )


def zone(of: SigningPlan) -> dict[str, str]:
    """The TXT records of a plan's keys, by name."""
    records = [
        dkim_record(
            of.domain,
            selector=key.selector,
            algorithm=key.algorithm,
            public_key=public_key_text(key.private_key),
        )
        for key in of.keys
    ]
    return {record.name: record.value for record in records}


def dkimpy_verifies(message: bytes, records: dict[str, str], *, signatures: int) -> bool:
    """Whether dkimpy finds every one of the first signatures of a message good."""

    def answer(name: bytes, timeout: int = 5) -> bytes:
        return records.get(name.decode().rstrip("."), "").encode()

    verifier = dkim.DKIM(message)
    try:
        return all(verifier.verify(idx=index, dnsfunc=answer) for index in range(signatures))
    except (dkim.DKIMException, dkim.ValidationError):
        return False
