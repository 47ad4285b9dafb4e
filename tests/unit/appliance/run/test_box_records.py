from __future__ import annotations

from appliance.domains import BoxNames, DomainKey, DomainRecord, KeyState
from appliance.run.box_records import UNKNOWN_ADDRESS, box_records

OWN = DomainRecord(
    id=1,
    tenant_id=0,
    name="mail.example.com",
    is_default=True,
    token="t",
    verified_at=1,
    return_path="bounces.mail.example.com",
    return_path_verified=False,
    has_dmarc=False,
    return_path_mode=None,
    report=None,
    checked_at=0,
    created_at=0,
    keys=tuple(
        DomainKey(
            id=number,
            domain_id=1,
            selector=f"s{number}",
            algorithm="rsa-sha256",
            public_key="KEY",
            state=state,
            created_at=0,
            updated_at=0,
            withdraw_at=0,
        )
        for number, state in enumerate([KeyState.ACTIVE, KeyState.WITHDRAWN])
    ),
)


def _values(names):
    return {(one.type, one.name): one.value for one in box_records(names, OWN)}


def test_the_box_needs_both_ways_of_its_name_bounces_spf_dkim_and_dmarc():
    names = BoxNames(
        hostname="mail.example.com", bounce_domain="bounces.example.com", addresses=("192.0.2.7",)
    )
    assert _values(names) == {
        ("A", "mail.example.com"): "192.0.2.7",
        ("PTR", "7.2.0.192.in-addr.arpa"): "mail.example.com.",
        ("MX", "bounces.example.com"): "10 mail.example.com.",
        ("TXT", "bounces.example.com"): "v=spf1 ip4:192.0.2.7 -all",
        ("TXT", "mail.example.com"): "v=spf1 ip4:192.0.2.7 -all",
        ("TXT", "s0._domainkey.mail.example.com"): "v=DKIM1; k=rsa; p=KEY",
        ("TXT", "_dmarc.mail.example.com"): "v=DMARC1; p=none",
    }


def test_an_address_that_is_not_configured_is_left_to_the_person():
    names = BoxNames(hostname="mail.example.com", bounce_domain="bounces.mail.example.com")
    found = _values(names)
    assert found["A", "mail.example.com"] == UNKNOWN_ADDRESS
    assert found["TXT", "mail.example.com"] == "v=spf1 a:mail.example.com -all"
