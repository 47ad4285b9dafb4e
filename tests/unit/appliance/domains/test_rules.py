"""Rules of domains: names, who covers what, key states, and the judgement of records."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.domains import rules, spf
from appliance.domains.model import BoxNames, Check, CheckState, DomainKey, KeyState, Report
from appliance.domains.rules import Found
from mta.directory import Directory, SendingDomain
from mta.signing.dns_records import RecordKind, dkim_record, ownership_record, return_path_cname

BOX = BoxNames(hostname="mail.box.example", bounce_domain="bounces.mail.box.example")
NOW = 1_800_000_000_000
QUEUE_LIFE = 4 * clock.DAY
KEY = DomainKey(
    id=1,
    domain_id=1,
    selector="pb1r",
    algorithm="rsa-sha256",
    public_key="AAAA",
    state=KeyState.ACTIVE,
    created_at=0,
    updated_at=0,
    withdraw_at=0,
)


@pytest.mark.parametrize(
    ("given_name", "stored"),
    [
        ("Example.COM.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a_b.example", "a_b.example"),
    ],
)
def test_a_name_is_stored_as_lower_case_a_labels(given_name, stored):
    assert rules.checked_name(given_name) == stored


@pytest.mark.parametrize(
    "name", ["", "com", "a..b", "-a.example", "a b.example", "x" * 64 + ".example", "ü..example"]
)
def test_what_is_no_domain_is_refused_in_words(name):
    with pytest.raises(UsageError, match="no domain name"):
        rules.checked_name(name)


def test_a_selector_number_is_never_used_twice():
    assert rules.next_selectors([]) == ("pb1r", "pb1e")
    assert rules.next_selectors(["pb1r", "pb1e", "google", "pb7r"]) == ("pb8r", "pb8e")


def test_a_domain_covers_its_subdomains():
    assert rules.owner_of({"example.com": 1}, "a.b.example.com") == 1
    assert rules.owner_of({"example.com": 1}, "badexample.com") is None


def test_the_nearest_verified_name_wins():
    verified = {"example.com": 1, "shop.example.com": 2}
    assert rules.owner_of(verified, "mail.shop.example.com") == 2
    assert rules.owner_of(verified, "other.example.com") == 1


names = st.lists(st.sampled_from(["a", "b", "example", "com"]), min_size=1, max_size=5).map(
    ".".join
)


@given(st.dictionaries(names, st.integers(1, 3)), names)
def test_the_rule_and_the_directory_agree(verified, name):
    domains = {
        found: SendingDomain(id=1, tenant_id=owner, name=found, verified=True)
        for found, owner in verified.items()
    }
    owner = Directory(generation=0, domains=domains).owner_of(name)
    assert (owner.tenant_id if owner else None) == rules.owner_of(verified, name)


def test_a_name_is_verified_by_one_tenant_only():
    assert rules.why_not_verify({}, "example.com", 2) == ""
    assert rules.why_not_verify({"example.com": 2}, "example.com", 2) == ""
    assert "another tenant" in rules.why_not_verify({"example.com": 1}, "example.com", 2)


def test_another_tenants_parent_is_no_obstacle():
    assert rules.why_not_verify({"example.com": 1}, "sub.example.com", 2) == ""


def test_a_pending_key_takes_over_when_its_record_is_seen():
    new = replace(KEY, id=2, selector="pb2r", state=KeyState.PENDING)
    changes = rules.next_states([new, KEY], frozenset({"pb2r"}), NOW, QUEUE_LIFE)
    assert changes == {
        2: (KeyState.ACTIVE, 0),
        1: (KeyState.RETIRING, NOW + QUEUE_LIFE + 7 * clock.DAY),
    }


def test_an_unseen_key_changes_nothing():
    new = replace(KEY, id=2, selector="pb2r", state=KeyState.PENDING)
    assert rules.next_states([new, KEY], frozenset({"pb1r"}), NOW, QUEUE_LIFE) == {}


def test_a_new_rsa_key_leaves_the_ed25519_key_alone():
    new = replace(KEY, id=2, selector="pb2r", state=KeyState.PENDING)
    other = replace(KEY, id=3, selector="pb1e", algorithm="ed25519-sha256")
    assert 3 not in rules.next_states([new, KEY, other], frozenset({"pb2r"}), NOW, QUEUE_LIFE)


def test_a_retiring_key_is_withdrawn_after_its_time_and_not_before():
    old = replace(KEY, state=KeyState.RETIRING, withdraw_at=NOW)
    assert rules.next_states([old], frozenset(), NOW - 1, QUEUE_LIFE) == {}
    assert rules.next_states([old], frozenset(), NOW, QUEUE_LIFE) == {1: (KeyState.WITHDRAWN, NOW)}


OWNERSHIP = ownership_record("example.com", "tok")
DKIM = dkim_record("example.com", selector="pb1r", algorithm="rsa-sha256", public_key="MIIBAAAA")
RETURN_PATH = return_path_cname("example.com", target=BOX.bounce_domain)
SERVFAIL = Found(trouble="the name servers said SERVFAIL")


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (Found((OWNERSHIP.value,)), CheckState.OK),
        (Found(("something", OWNERSHIP.value + " ")), CheckState.OK),
        (Found(("pillarbox-verification=other",)), CheckState.DIFFERENT),
        (Found(), CheckState.MISSING),
        (SERVFAIL, CheckState.UNKNOWN),
    ],
)
def test_ownership_is_judged(found, state):
    check = rules.judge_text(OWNERSHIP, found)
    assert check.state is state
    assert bool(check.problem) is (state is not CheckState.OK)


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (Found(("v=DKIM1; k=rsa; p=MIIBAAAA",)), CheckState.OK, ""),
        (Found(("k=rsa;p= MIIB AAAA ;",)), CheckState.OK, ""),
        (Found(("v=DKIM1; k=rsa; p=MIIB",)), CheckState.DIFFERENT, "cut off after 4 of 8"),
        (Found(("v=DKIM1; k=rsa; p=ABCD",)), CheckState.DIFFERENT, "another key"),
        (Found(("v=DKIM1; p=",)), CheckState.DIFFERENT, "empty"),
        (Found(("v=DKIM1; p=MIIBAAAA", "v=DKIM1; p=x")), CheckState.DIFFERENT, "several"),
        (Found(), CheckState.MISSING, "no such TXT"),
        (SERVFAIL, CheckState.UNKNOWN, "SERVFAIL"),
    ],
)
def test_dkim_is_judged(found, state, words):
    check = rules.judge_dkim(DKIM, found)
    assert check.state is state
    assert words in check.problem


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("B" * 90, "holds the key of the selector pb1e: publish that of pb1r here"),
        ("A" * 70 + "x" + "A" * 19, "differs from its character 71 on, of 90"),
        ("A" * 40 + '" "' + "A" * 50, "quotation marks or backslashes"),
        ("C" * 90, "another key, perhaps of an earlier set-up"),
    ],
)
def test_what_a_wrong_key_is_is_said(there, words):
    keys = {"pb1r": f"v=DKIM1; k=rsa; p={'A' * 90}", "pb1e": f"v=DKIM1; k=ed25519; p={'B' * 90}"}
    wanted = replace(DKIM, value=keys["pb1r"])
    check = rules.judge_dkim(wanted, Found((f"v=DKIM1; k=rsa; p={there}",)), keys)
    assert words in check.problem


def test_several_spf_records_become_one():
    merged = rules.merged_spf(
        ("v=spf1 mx include:a.example ~all", "v=spf1 include:b.example mx -all")
    )
    assert merged == "v=spf1 mx include:a.example include:b.example -all"


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ([("_dmarc.a.example.com", Found(("v=DMARC1; p=none",)))], CheckState.OK),
        (
            [
                ("_dmarc.a.example.com", Found()),
                ("_dmarc.example.com", Found(("v=DMARC1;p=reject",))),
            ],
            CheckState.OK,
        ),
        (
            [("_dmarc.a.example.com", Found(("v=DMARC1; rua=mailto:a@b.example",)))],
            CheckState.DIFFERENT,
        ),
        (
            [("_dmarc.a.example.com", Found(("v=DMARC1; p=none", "v=DMARC1; p=reject")))],
            CheckState.DIFFERENT,
        ),
        ([("_dmarc.a.example.com", Found(("other",)))], CheckState.MISSING),
        ([("_dmarc.a.example.com", SERVFAIL)], CheckState.UNKNOWN),
    ],
)
def test_dmarc_is_judged_on_the_way_up(answers, state):
    assert rules.judge_dmarc("a.example.com", answers).state is state


def test_a_dmarc_record_may_stand_at_a_parent_but_not_at_the_top():
    assert rules.dmarc_places("a.b.example.com") == (
        "_dmarc.a.b.example.com",
        "_dmarc.b.example.com",
        "_dmarc.example.com",
    )


@pytest.mark.parametrize(
    ("cname", "mx", "state"),
    [
        (Found((BOX.bounce_domain,)), Found((BOX.hostname,)), CheckState.OK),
        (Found((BOX.bounce_domain,)), SERVFAIL, CheckState.OK),
        (Found(), Found((BOX.hostname,)), CheckState.OK),
        (Found(), Found(("mx.elsewhere.example",)), CheckState.DIFFERENT),
        (Found(("elsewhere.example",)), Found(), CheckState.DIFFERENT),
        (Found(), Found(), CheckState.MISSING),
        (SERVFAIL, Found(), CheckState.UNKNOWN),
    ],
)
def test_the_return_path_is_judged(cname, mx, state):
    assert rules.judge_return_path(RETURN_PATH, BOX, cname, mx).state is state


def judge_spf(*texts: str, **included: str) -> Check:
    records = {"example.com": spf.parse(texts[0])} if texts else {}
    records |= {name.replace("_", "."): spf.parse(text) for name, text in included.items()}
    return rules.judge_spf("example.com", Found(texts), records, BOX)


@pytest.mark.parametrize(
    ("texts", "state", "words"),
    [
        ((f"v=spf1 include:{BOX.bounce_domain} -all",), CheckState.OK, ""),
        (("v=spf1 mx -all",), CheckState.DIFFERENT, f"add include:{BOX.bounce_domain}"),
        (("v=spf1 mx -all", "v=spf1 a -all"), CheckState.DIFFERENT, "several"),
        (("v=spf1 " + "a " * 11 + "-all",), CheckState.DIFFERENT, "11 DNS look-ups"),
        (("v=spf1 ipv4:1.2.3.4 -all",), CheckState.DIFFERENT, "ipv4"),
        ((), CheckState.MISSING, "no SPF"),
    ],
)
def test_spf_is_judged(texts, state, words):
    check = judge_spf(*texts)
    assert check.state is state
    assert words in check.problem


def test_the_box_may_be_named_by_an_included_record():
    check = judge_spf(
        "v=spf1 include:spf.example.net -all",
        spf_example_net=f"v=spf1 include:{BOX.bounce_domain} -all",
    )
    assert check.state is CheckState.OK


def test_the_box_may_be_named_by_its_address():
    box = replace(BOX, addresses=("192.0.2.7",))
    text = "v=spf1 ip4:192.0.2.0/28 -all"
    check = rules.judge_spf("example.com", Found((text,)), {"example.com": spf.parse(text)}, box)
    assert check.state is CheckState.OK


def test_a_report_is_as_good_as_its_worst_selector():
    checks = (
        Check(kind=RecordKind.DKIM, name="a", state=CheckState.OK),
        Check(kind=RecordKind.DKIM, name="b", state=CheckState.MISSING),
    )
    report = Report(at=NOW, checks=checks)
    assert report.state(RecordKind.DKIM) is CheckState.MISSING
    assert report.state(RecordKind.SPF) is CheckState.UNKNOWN
