"""Signatures as the standardwebhooks package checks them."""

from __future__ import annotations

import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from appliance.core.errors import SecretError
from appliance.core.ids import from_text
from appliance.webhooks import Key
from appliance.webhooks.signing import event_name, headers, key_of, secret_of

NEW, OLD = b"n" * 32, b"o" * 32
BODY = '{"type":"message.delivered","data":{"words":"ü"}}'.encode()


def signed(at_seconds: float, *keys: bytes) -> dict[str, str]:
    return dict(headers(keys, "msg_1", int(at_seconds * 1000), BODY))


def test_the_package_takes_what_we_sign():
    told = Webhook(secret_of(NEW)).verify(BODY, signed(time.time(), NEW))
    assert told["type"] == "message.delivered"


def test_while_a_secret_is_rotated_both_open_it():
    both = signed(time.time(), NEW, OLD)
    assert both["webhook-signature"].count("v1,") == 2
    for key in (NEW, OLD):
        Webhook(secret_of(key)).verify(BODY, both)


@pytest.mark.parametrize("skew", [-301, 301])
def test_a_recording_that_is_played_later_and_a_clock_that_is_off_are_refused(skew):
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_of(NEW)).verify(BODY, signed(time.time() + skew, NEW))


def test_nothing_that_was_changed_passes():
    good = signed(time.time(), NEW)
    check = Webhook(secret_of(NEW)).verify
    for name, value in (
        ("webhook-id", "msg_2"),
        ("webhook-timestamp", str(int(good["webhook-timestamp"]) + 1)),
        ("webhook-signature", signed(time.time(), OLD)["webhook-signature"]),
    ):
        with pytest.raises(WebhookVerificationError):
            check(BODY, good | {name: value})
    with pytest.raises(WebhookVerificationError):
        check(BODY + b" ", good)


def test_a_secret_is_the_standards_and_nothing_else_is_read_as_one():
    assert secret_of(NEW).startswith("whsec_")
    assert key_of(secret_of(NEW)) == NEW
    with pytest.raises(SecretError):
        key_of("whsec_!!!")


def test_a_name_is_the_events_and_the_endpoints_and_has_no_full_stop():
    message = from_text("05p3k8r2m0001")
    assert event_name(Key(message, 17, 0), 3) == "msg_05p3k8r2m0001-0-17-3"
    assert event_name(Key(message, 16, -1), 3) == "msg_05p3k8r2m0001-all-16-3"
