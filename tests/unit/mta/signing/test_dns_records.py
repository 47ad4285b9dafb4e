from __future__ import annotations

import pytest

from mta.signing.dns_records import (
    RecordKind,
    dkim_record,
    dmarc_record,
    ownership_record,
    return_path_cname,
    return_path_records,
    spf_mechanisms,
    spf_record,
)
from mta.signing.keys import ED25519, RSA


def test_ownership_is_a_txt_under_a_name_of_its_own():
    record = ownership_record("example.com", "abc123")
    assert (record.name, record.type) == ("_pillarbox.example.com", "TXT")
    assert record.value == "pillarbox-verification=abc123"
    assert record.kind is RecordKind.OWNERSHIP


def test_a_long_key_is_cut_into_strings_of_255_octets():
    record = dkim_record("example.com", selector="pb1", algorithm=RSA, public_key="A" * 392)
    assert record.name == "pb1._domainkey.example.com"
    assert [len(piece) for piece in record.strings()] == [255, 410 - 255]
    assert "".join(record.strings()) == "v=DKIM1; k=rsa; p=" + "A" * 392
    first, second = record.strings()
    assert record.zone_line() == f'pb1._domainkey.example.com. 3600 IN TXT "{first}" "{second}"'


def test_an_ed25519_key_fits_into_one_string():
    record = dkim_record("example.com", selector="pb2", algorithm=ED25519, public_key="x" * 44)
    assert record.strings() == ("v=DKIM1; k=ed25519; p=" + "x" * 44,)


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ("", "v=spf1 include:spf.mx.example ip4:192.0.2.1 ip6:2001:db8::1 ~all"),
        (
            "v=spf1 mx include:_spf.google.com -all",
            "v=spf1 mx include:_spf.google.com include:spf.mx.example ip4:192.0.2.1 ip6:2001:db8::1 -all",
        ),
        (
            "v=spf1 +include:SPF.mx.example ip4:192.0.2.1 ?all",
            "v=spf1 +include:SPF.mx.example ip4:192.0.2.1 ip6:2001:db8::1 ?all",
        ),
        (
            "v=spf1 redirect=_spf.example.org",
            "v=spf1 include:spf.mx.example ip4:192.0.2.1 ip6:2001:db8::1 redirect=_spf.example.org",
        ),
        ("v=spf1 a", "v=spf1 a include:spf.mx.example ip4:192.0.2.1 ip6:2001:db8::1"),
    ],
)
def test_spf_keeps_what_stands_and_puts_the_box_before_all(existing: str, expected: str):
    mechanisms = spf_mechanisms(include="spf.mx.example", addresses=["192.0.2.1", "2001:db8::1"])
    record = spf_record("example.com", mechanisms, existing=existing)
    assert (record.name, record.value) == ("example.com", expected)


def test_an_spf_address_must_be_one():
    with pytest.raises(ValueError, match=r"192\.0\.2\.999"):
        spf_mechanisms(addresses=["192.0.2.999"])


def test_dmarc_begins_by_watching():
    assert dmarc_record("example.com").value == "v=DMARC1; p=none"
    assert (
        dmarc_record("example.com", report_to="d@example.com").value
        == "v=DMARC1; p=none; rua=mailto:d@example.com"
    )
    assert dmarc_record("example.com").name == "_dmarc.example.com"


def test_the_return_path_is_one_alias():
    record = return_path_cname("example.com", target="bounces.mx.example")
    assert record.zone_line() == "bounces.example.com. 3600 IN CNAME bounces.mx.example."
    assert record.strings() == ("bounces.mx.example.",)


def test_the_return_path_without_an_alias_has_mx_and_spf():
    mx, spf = return_path_records(
        "example.com", host="mx.example", mechanisms=("a:mx.example",), label="rp"
    )
    assert (mx.name, mx.type, mx.value) == ("rp.example.com", "MX", "10 mx.example.")
    assert (spf.name, spf.type, spf.value) == ("rp.example.com", "TXT", "v=spf1 a:mx.example -all")
