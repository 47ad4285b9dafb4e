"""Who may send from which domain, and which domain signs."""

from __future__ import annotations

import pytest

from mta.directory import Directory, FromPolicy, SendingDomain, Tenant
from mta.message import ReturnPathMode
from mta.policy.refusal import Refused
from mta.policy.sender import check_tenant, return_path_of, signing_domain
from tests.support.submissions import credential


def domain(name, tenant_id=7, **changes):
    return SendingDomain(
        **({"id": 1, "tenant_id": tenant_id, "name": name, "verified": True} | changes)
    )


MINE, MY_SUB = domain("example.com"), domain("mail.example.com")
THEIRS, THEIR_SUB = domain("example.org", 8), domain("theirs.example.com", 8)
UNPROVED = domain("unproved.example", verified=False)
BOX = Directory(
    generation=1,
    domains={d.name: d for d in (MINE, MY_SUB, THEIRS, THEIR_SUB, UNPROVED)},
    default_domains={7: MINE},
)


def test_a_tenant_in_good_standing_may_send():
    check_tenant(Tenant(id=7, name="acme"))


@pytest.mark.parametrize(
    ("reason", "words"), [("unpaid", r"suspended \(unpaid\): contact"), ("", "suspended: contact")]
)
def test_a_suspended_tenant_is_told_whom_to_ask(reason, words):
    with pytest.raises(Refused, match=words) as refused:
        check_tenant(Tenant(id=7, name="acme", suspended=True, suspended_reason=reason))
    assert (refused.value.reply.code, refused.value.reply.enhanced) == (550, "5.7.1")


@pytest.mark.parametrize(
    ("name", "signs"),
    [
        ("example.com", MINE),
        ("shop.example.com", MINE),  # a verified domain covers its subdomains
        ("a.b.c.example.com", MINE),
        ("mail.example.com", MY_SUB),  # the nearest verified one
        ("x.mail.example.com", MY_SUB),
        ("example.org", None),
        ("theirs.example.com", None),  # another tenant has verified that one
        ("x.theirs.example.com", None),
        ("unproved.example", None),
        ("notexample.com", None),
        ("com", None),
        ("", None),
    ],
)
def test_the_nearest_verified_domain_answers_if_it_is_the_tenants_own(name, signs):
    if signs is None:
        with pytest.raises(Refused) as refused:
            signing_domain(credential(), name, BOX)
        assert str(refused.value).startswith(f"{name} is not a verified sending domain")
        assert (refused.value.reply.code, refused.value.reply.enhanced) == (550, "5.7.1")
    else:
        assert signing_domain(credential(), name, BOX) is signs


@pytest.mark.parametrize(
    ("name", "is_allowed"),
    [
        ("mail.example.com", True),
        ("x.mail.example.com", True),
        ("example.com", False),
        ("notmail.example.com", False),
    ],
)
def test_a_credential_may_be_held_to_some_of_the_tenants_domains(name, is_allowed):
    who = credential(allowed_from=frozenset({"mail.example.com"}))
    if is_allowed:
        assert signing_domain(who, name, BOX) is not None
    else:
        with pytest.raises(Refused, match=r"may not send from .*, only from mail\.example\.com"):
            signing_domain(who, name, BOX)


@pytest.mark.parametrize(
    ("name", "signs"),
    [("mail.example.com", MY_SUB), ("example.org", MINE), ("elsewhere.test", MINE)],
)
def test_a_forwarder_signs_foreign_mail_with_the_tenants_default_domain(name, signs):
    who = credential(from_policy=FromPolicy.ANY)
    assert signing_domain(who, name, BOX) is signs


def test_a_forwarder_without_a_default_domain_sends_unsigned():
    who = credential(from_policy=FromPolicy.ANY, tenant_id=9)
    assert signing_domain(who, "elsewhere.test", BOX) is None


@pytest.mark.parametrize(
    ("of_credential", "of_domain", "mode"),
    [
        (None, None, ReturnPathMode.RECIPIENT),
        (None, ReturnPathMode.MESSAGE, ReturnPathMode.MESSAGE),
        (ReturnPathMode.RECIPIENT, ReturnPathMode.MESSAGE, ReturnPathMode.RECIPIENT),
        (ReturnPathMode.MESSAGE, None, ReturnPathMode.MESSAGE),
    ],
)
def test_the_credential_decides_before_the_domain_how_return_paths_are_made(
    of_credential, of_domain, mode
):
    found = return_path_of(
        credential(return_path_mode=of_credential),
        domain("example.com", return_path_mode=of_domain, bounce_domain="b.example.com"),
        "bounces.box.lab",
    )
    assert found == ("b.example.com", mode)


@pytest.mark.parametrize("of", [None, domain("example.com")])
def test_without_a_verified_return_path_the_boxs_own_is_used(of):
    assert return_path_of(credential(), of, "bounces.box.lab")[0] == "bounces.box.lab"
