"""What an endpoint may be, what an answer means, when an event is tried again."""

from __future__ import annotations

import pytest

from appliance.core.errors import UsageError
from appliance.webhooks import TYPES, Outcome
from appliance.webhooks.rules import (
    MAX_RETRY_AFTER,
    checked_description,
    checked_types,
    checked_url,
    outcome_of,
    retry_after_ms,
    target_of,
    wait_ms,
)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://hooks.example.com", "https://hooks.example.com/"),
        ("HTTPS://Hooks.Example.COM./in?key=1", "https://hooks.example.com/in?key=1"),
        ("https://hooks.example.com:443/in", "https://hooks.example.com/in"),
        ("https://hooks.example.com:8443/in", "https://hooks.example.com:8443/in"),
        ("https://bücher.example/ä?ö=ü", "https://xn--bcher-kva.example/%C3%A4?%C3%B6=%C3%BC"),
        ("https://[2606:4700:0:0::1111]/in", "https://[2606:4700::1111]/in"),
        ("https://my_app.example.com/in", "https://my_app.example.com/in"),
    ],
)
def test_a_url_is_kept_in_one_spelling(url, same):
    assert checked_url(url, allow_http=False).url == same
    assert target_of(same).url == same


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "http://hooks.example.com/",
        "https:///in",
        "https://user@hooks.example.com/",
        "https://user:pw@hooks.example.com/",
        "https://@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com/#",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:25/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com:x/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nX-Evil: 1",
        "https://hooks.example.com\\@evil.example/",
        "https://hooks..example.com/",
        "https://-.example.com/",
        "https://[::1/",
        "https://[fe80::1%eth0]/",
        "https://[v1.x]/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.01/",
        "https://127.0.0.1.1/",
        "https://192.0.2.300/",
        "https://hooks.example.com/" + "a" * 2000,
        "https://" + "a" * 64 + ".example/",
    ],
)
def test_a_url_that_is_no_endpoint_is_refused_by_name(url):
    with pytest.raises(UsageError) as refused:
        checked_url(url, allow_http=False)
    assert refused.value.field == "url"


def test_http_is_taken_where_it_is_allowed():
    assert (
        checked_url("http://hooks.example.com:80/x", allow_http=True).authority
        == "hooks.example.com"
    )


def test_full_width_digits_are_read_as_what_they_stand_for():
    """As browsers do: it is an address then, and judged as one, or it is refused."""
    with pytest.raises(UsageError):
        checked_url("https://\uff11\uff12\uff17.1/", allow_http=False)


def test_types_are_chosen_from_the_list_and_kept_in_its_order():
    assert checked_types(["message.bounced", "message.accepted", "message.bounced"]) == (
        "message.accepted",
        "message.bounced",
    )
    assert checked_types(TYPES) == TYPES
    for wrong in ([], ["message.nothing"], ["delivered"], ["webhook.test"]):
        with pytest.raises(UsageError) as refused:
            checked_types(wrong)
        assert refused.value.field == "types"


def test_a_description_is_words():
    assert checked_description("  for\n the shop ") == "for the shop"
    for wrong in ("x" * 201, "bell \a"):
        with pytest.raises(UsageError):
            checked_description(wrong)


@pytest.mark.parametrize(
    ("outcome", "statuses"),
    [
        (Outcome.TAKEN, (200, 201, 202, 204, 299)),
        (Outcome.GONE, (410,)),
        (Outcome.FAILED, (408, 425, 429, 500, 502, 503, 504, 599)),
        (Outcome.REFUSED, (300, 301, 302, 307, 308, 400, 401, 403, 404, 409, 422)),
    ],
)
def test_a_status_means_one_thing(outcome, statuses):
    assert {outcome_of(status) for status in statuses} == {outcome}


def test_waits_grow_as_the_list_says_and_are_spread():
    waits = (5, 30, 120)
    assert [wait_ms(waits, failures, 0.5) for failures in (1, 2, 3, 4, 99)] == [
        5000,
        30_000,
        120_000,
        120_000,
        120_000,
    ]
    assert (wait_ms(waits, 1, 0.0), wait_ms(waits, 1, 1.0)) == (4000, 6000)


def test_what_a_receiver_asks_for_is_bounded():
    asked = {"7": 7000, " 7 ": 7000, "999999999999": MAX_RETRY_AFTER}
    asked |= dict.fromkeys(("", "-1", "1.5", "Fri, 31 Dec 1999 23:59:59 GMT", "٣"), 0)
    assert {text: retry_after_ms(text) for text in asked} == asked
