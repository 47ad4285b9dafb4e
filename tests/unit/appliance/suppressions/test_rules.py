"""Targets, import rows and the soft-bounce rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.suppressions import Entry, Reason, SoftBounceRule
from appliance.suppressions.rules import Row, format_row, is_repeated, normal_target, parse_row


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("User@Example.COM", "user@example.com"),
        (" <user@example.com> ", "user@example.com"),
        ("example.com.", "example.com"),
        ("@example.com", "example.com"),
        ("ü@bücher.example", "ü@xn--bcher-kva.example"),
        ('"a@b"@example.com', '"a@b"@example.com'),
    ],
)
def test_targets_have_one_form(text, target):
    assert normal_target(text) == target


@pytest.mark.parametrize(
    "text", ["", "user@", "user", "a b@example.com", "a@b\x00.example", "x" * 400, "a@.com", "com"]
)
def test_what_is_no_target_is_refused_in_words(text):
    with pytest.raises(UsageError):
        normal_target(text)


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("user@example.com", Row("user@example.com", Reason.IMPORT, 0)),
        ("\ufeffuser@example.com\r\n", Row("user@example.com", Reason.IMPORT, 0)),
        ('"user@example.com",complaint', Row("user@example.com", Reason.COMPLAINT, 0)),
        (
            "example.com,manual,2027-01-15T08:00:00Z",
            Row("example.com", Reason.MANUAL, 1_800_000_000_000),
        ),
        ("example.com,,2027-01-15", Row("example.com", Reason.IMPORT, 1_799_971_200_000)),
        ("target,reason,expires", None),
        ("Email,Reason", None),
        ("# comment", None),
        ("", None),
    ],
)
def test_a_line_is_read(line, row):
    assert parse_row(line) == row


@pytest.mark.parametrize(
    "line",
    [
        "a@example.com,nonsense",
        "a@example.com,manual,tomorrow",
        "a@example.com,manual,,x",
        '"a@example.com',
        "a@example.com," + "x" * 1000,
        "not an address",
    ],
)
def test_a_bad_line_is_refused_in_words(line):
    with pytest.raises(UsageError):
        parse_row(line)


@given(
    st.sampled_from(["user@example.com", '"a,b"@example.com', "example.com", '"a""b"@example.com']),
    st.sampled_from(Reason),
    st.just(0) | st.integers(1, 4_000_000_000).map(lambda seconds: seconds * clock.SECOND),
)
def test_an_export_can_be_imported_again(target, reason, expires_at):
    entry = Entry(
        id=1,
        tenant_id=1,
        target=target,
        reason=reason,
        event_id="",
        created_at=0,
        expires_at=expires_at,
    )
    assert parse_row(format_row(entry)) == Row(target, reason, expires_at)


RULE = SoftBounceRule(count=5, span=7 * clock.DAY)


@pytest.mark.parametrize(
    ("count", "days", "verdict"),
    [(5, 7, True), (4, 30, False), (50, 6, False), (6, 8, True), (0, 0, False)],
)
def test_soft_bounces_are_enough_when_many_and_over_a_long_time(count, days, verdict):
    last = 100 * clock.DAY
    first = last - days * clock.DAY
    assert is_repeated(RULE, count=count, first_at=first, last_at=last) is verdict
