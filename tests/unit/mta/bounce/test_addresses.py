from __future__ import annotations

import pytest

from appliance.core import clock
from mta.bounce.addresses import (
    NotOurs,
    Purpose,
    Why,
    bounce_token,
    own_address,
    taken_address,
)
from mta.bounce.return_path import LIFETIME_MS, TokenKind
from tests.support.inbound import DOMAIN, KEYS, OTHER_KEYS, new_id, own_directory, token

NOW = 1_800_000_000_000  # fixed, so that the tokens in the tests' names are
ID = new_id(NOW)


def look(address: str, now: int = NOW):
    return own_address(address, own_directory(), KEYS, now)


@pytest.mark.parametrize(
    ("address", "purpose"),
    [
        ("postmaster", Purpose.POSTMASTER),
        ("Postmaster@box.example", Purpose.POSTMASTER),
        ("abuse@BOX.example.", Purpose.POSTMASTER),
        (f"abuse@{DOMAIN}", Purpose.POSTMASTER),
        ("postmaster@b.shop.example", Purpose.POSTMASTER),
        (f"fbl@{DOMAIN}", Purpose.COMPLAINT),
        (f"Complaints@{DOMAIN}", Purpose.COMPLAINT),
        (token(ID), Purpose.BOUNCE),
        (token(ID).upper(), Purpose.BOUNCE),
        (token(ID, domain="b.shop.example"), Purpose.BOUNCE),
        (token(ID, domain="b.new.example"), Purpose.BOUNCE),  # not in this process's directory yet
        (token(ID, kind=TokenKind.UNSUBSCRIBE), Purpose.UNSUBSCRIBE),
    ],
)
def test_an_own_address_says_what_it_is_for(address: str, purpose: Purpose) -> None:
    assert look(address).purpose is purpose


def test_a_token_names_message_and_recipient() -> None:
    found = look(token(ID, 5)).token
    assert found is not None
    assert (found.message_id, found.n) == (ID, 5)


@pytest.mark.parametrize(
    ("address", "why", "reply"),
    [
        ("ann@example.net", Why.FOREIGN, "550 5.7.1"),
        (token(ID, domain="example.net", kind=TokenKind.UNSUBSCRIBE), Why.FOREIGN, "550 5.7.1"),
        (token(ID, domain="example.net", keys=OTHER_KEYS), Why.FOREIGN, "550 5.7.1"),
        ("ann", Why.FOREIGN, "550 5.7.1"),
        ("@box.example", Why.FOREIGN, "550 5.7.1"),
        ('"ann@box.example"@example.net', Why.FOREIGN, "550 5.7.1"),
        ("ann%example.net@box.example", Why.UNKNOWN, "550 5.1.1"),
        ("ann@box.example", Why.UNKNOWN, "550 5.1.1"),
        (f"ann@{DOMAIN}", Why.UNKNOWN, "550 5.1.1"),
        ("fbl@box.example", Why.UNKNOWN, "550 5.1.1"),
        (token(ID, domain="box.example"), Why.UNKNOWN, "550 5.1.1"),
        (token(ID, keys=OTHER_KEYS), Why.FORGED, "550 5.1.1"),
    ],
)
def test_everything_else_is_refused(address: str, why: Why, reply: str) -> None:
    with pytest.raises(NotOurs) as refused:
        look(address)
    assert refused.value.why is why
    assert str(refused.value.reply).startswith(reply)


def test_a_forged_token_reads_like_an_unknown_user() -> None:
    answers = set()
    for address in (token(ID, keys=OTHER_KEYS), f"ann@{DOMAIN}"):
        with pytest.raises(NotOurs) as refused:
            look(address)
        answers.add(str(refused.value.reply))
    assert len(answers) == 1


def test_an_old_token_has_expired() -> None:
    with pytest.raises(NotOurs) as refused:
        look(token(ID), NOW + LIFETIME_MS + clock.HOUR)
    assert refused.value.why is Why.EXPIRED
    assert str(refused.value.reply).startswith("550 5.7.1")


def test_what_was_let_in_is_understood_after_its_domain_was_given_up() -> None:
    assert taken_address(token(ID, domain="gone.example"), KEYS, NOW).purpose is Purpose.BOUNCE


def test_a_quoted_return_path_counts_only_when_it_is_a_bounce_token_of_ours() -> None:
    assert bounce_token(token(ID, 3), KEYS, NOW) is not None
    assert bounce_token(token(ID, kind=TokenKind.UNSUBSCRIBE), KEYS, NOW) is None
    assert bounce_token(token(ID, keys=OTHER_KEYS), KEYS, NOW) is None
    assert bounce_token("ann@example.net", KEYS, NOW) is None
    assert bounce_token("", KEYS, NOW) is None
