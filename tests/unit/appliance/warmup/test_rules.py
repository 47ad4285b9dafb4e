"""Which days are judged, and what may be named."""

from __future__ import annotations

import pytest

from appliance.core.errors import UsageError
from appliance.warmup.rules import CATCH_UP, checked_egress, checked_providers, due_days
from mta.warmup.schedule import SHIPPED, load_schedule

STANDARD = load_schedule(SHIPPED / "standard.toml")


@pytest.mark.parametrize(
    ("decided", "today", "due"),
    [
        ("2027-01-14", "2027-01-15", ()),
        ("2027-01-13", "2027-01-15", ("2027-01-14",)),
        ("2026-12-30", "2027-01-02", ("2026-12-31", "2027-01-01")),
        ("2027-01-15", "2027-01-15", ()),
        ("2027-09-01", "2027-01-15", ()),
    ],
)
def test_days_that_are_over_and_not_judged_are_due(decided, today, due):
    assert due_days(decided, today) == due


def test_after_a_long_absence_only_the_last_days_are_judged():
    due = due_days("2025-01-01", "2027-01-15")
    assert len(due) == CATCH_UP
    assert due[-1] == "2027-01-14"


def test_providers_are_those_named_else_all_of_the_schedule():
    assert checked_providers((" Google", "other", "google"), STANDARD) == ("google", "other")
    assert checked_providers((), STANDARD) == STANDARD.providers
    with pytest.raises(UsageError, match="names no provider"):
        checked_providers(("gmail users",), STANDARD)


@pytest.mark.parametrize("name", ["", "  ", "x" * 256])
def test_an_egress_has_a_name(name):
    with pytest.raises(UsageError):
        checked_egress(name)
