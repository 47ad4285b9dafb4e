"""What a tenant may be called."""

from __future__ import annotations

import pytest

from appliance.core.errors import UsageError
from appliance.tenancy.rules import checked_name, checked_quota, checked_reason, checked_weight


@pytest.mark.parametrize(
    ("given", "stored"), [("acme", "acme"), (" Acme-Mail ", "acme-mail"), ("a", "a")]
)
def test_a_plain_word_is_a_name(given, stored):
    assert checked_name(given) == stored


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a b", "a.b", "ä", "x" * 64, "box", "a\nb", "system"]
)
def test_other_names_are_refused_in_words(name):
    with pytest.raises(UsageError):
        checked_name(name)


@pytest.mark.parametrize("weight", [0, -1, 1001])
def test_a_weight_has_bounds(weight):
    with pytest.raises(UsageError):
        checked_weight(weight)


def test_a_quota_is_not_negative():
    assert checked_quota(0) == 0
    with pytest.raises(UsageError):
        checked_quota(-1)


def test_a_reason_is_one_line_of_words():
    assert checked_reason(" sends\n spam ") == "sends spam"
    with pytest.raises(UsageError):
        checked_reason(" \n")
