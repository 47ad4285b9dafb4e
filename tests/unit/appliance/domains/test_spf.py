"""SPF: reading records and counting their look-ups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domains import spf


@pytest.mark.parametrize(
    ("record", "lookups"),
    [
        ("v=spf1 -all", 0),
        ("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all", 0),
        ("v=spf1 a mx ptr exists:%{i}.example.com include:example.net ~all", 5),
        ("v=spf1 a:mail.example.com mx/24 A//64 -all", 3),
        ("v=spf1 redirect=example.net", 1),
        ("v=spf1 redirect=example.net -all", 0),  # RFC 7208 6.1: ignored beside all
        ("v=spf1 -all a mx include:example.net", 0),  # 5.1: never reached
        ("v=spf1 exp=explain.example.com -all", 0),  # 4.6.4: exp is not counted
        ("v=spf1", 0),
    ],
)
def test_terms_that_ask_are_counted(record, lookups):
    assert spf.parse(record).own_lookups == lookups


@pytest.mark.parametrize(
    "record",
    ["v=spf1 ip4:999.0.0.1 -all", "v=spf1 foo:bar -all", "v=spf1 !! -all", "v=spf1 ip5:1 -all"],
)
def test_a_term_nobody_knows_is_a_problem(record):
    assert spf.parse(record).problem


def test_an_unknown_modifier_is_no_problem():
    assert not spf.parse("v=spf1 later=thing -all").problem


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("v=spf1 -all", True),
        ("V=SPF1", True),
        ("v=spf10 -all", False),
        ("v=DMARC1", False),
        ("", False),
    ],
)
def test_an_spf_record_is_told_from_others(text, verdict):
    assert spf.is_spf(text) is verdict


def tree(**records: str) -> dict[str, spf.SpfRecord]:
    return {name.replace("_", "."): spf.parse(text) for name, text in records.items()}


def test_included_records_count_too():
    records = tree(
        a_example="v=spf1 include:b.example include:c.example -all",
        b_example="v=spf1 a mx -all",
        c_example="v=spf1 include:b.example -all",
    )
    assert spf.count_lookups(records, "a.example") == 2 + 2 + 1 + 2


def test_a_record_that_includes_itself_exceeds_the_limit_and_ends():
    records = tree(a_example="v=spf1 include:a.example -all")
    assert spf.count_lookups(records, "a.example") > spf.MAX_LOOKUPS


def test_a_macro_is_counted_and_not_followed():
    record = spf.parse("v=spf1 include:%{d}.example.net -all")
    assert record.own_lookups == 1
    assert spf.references(record) == ()


def test_addresses_are_covered_by_networks_that_pass():
    record = spf.parse("v=spf1 ip4:192.0.2.0/24 -ip4:198.51.100.1 ip6:2001:db8::/32 -all")
    assert spf.covers([record], ["192.0.2.9", "2001:db8::1"])
    assert not spf.covers([record], ["198.51.100.1"])
    assert not spf.covers([record], [])


@given(st.text(max_size=200))
def test_nothing_breaks_the_reader(text):
    assert spf.parse("v=spf1 " + text).own_lookups >= 0
