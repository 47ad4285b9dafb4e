from __future__ import annotations

import pytest

from appliance.core import clock
from mta.policy.controls import Controls, read_controls
from mta.policy.headers import scan
from mta.policy.refusal import Refused
from mta.status import TrafficClass

NOW = 1_790_000_000_000  # Mon, 21 Sep 2026 14:13:20 UTC


def _read(*lines: bytes) -> Controls:
    head = b"".join(b"X-Pillarbox-" + line + b"\r\n" for line in lines)
    return read_controls(scan(head + b"\r\n", allow_8bit=True), now_ms=NOW)


def _refusal(*lines: bytes) -> str:
    with pytest.raises(Refused) as refused:
        _read(*lines)
    line = refused.value.reply.line()
    assert line.isascii()
    assert line.isprintable()
    return line


def test_a_message_without_control_headers_asks_for_nothing():
    assert read_controls(scan(b"From: a@b\r\n\r\n", allow_8bit=False), now_ms=NOW) == Controls()


def test_all_controls_are_read():
    controls = _read(
        b"Class: bulk",
        b"Tag: welcome, onboarding",
        b"tag: day-1",
        b'Metadata: {"order": "1234",\r\n "items": [1, 2]}',
        b"Send-At: Mon, 21 Sep 2026 16:13:21 +0100",
        b"Idempotency-Key: order-1234",
        b"Pool: Warm-1",
    )
    assert controls == Controls(
        traffic_class=TrafficClass.BULK,
        tags=("welcome", "onboarding", "day-1"),
        metadata='{"order": "1234", "items": [1, 2]}',
        send_at=NOW + clock.HOUR + clock.SECOND,
        idempotency_key="order-1234",
        pool="warm-1",
    )


def test_a_folded_value_is_unfolded():
    assert _read(b"Tag: one,\r\n two,\r\n\tthree").tags == ("one", "two", "three")


@pytest.mark.parametrize("value", [b"Bulk", b" TRANSACTIONAL "])
def test_the_class_is_read_in_any_case(value: bytes):
    assert _read(b"Class:" + value).traffic_class == value.decode().strip().lower()


@pytest.mark.parametrize(
    ("text", "ahead_s"),
    [
        ("Mon, 21 Sep 2026 14:13:25 +0000", 5),
        ("21 Sep 2026 14:13:25 GMT", 5),
        ("Mon, 21 Sep 2026 14:13:25 -0000", 5),  # what email.utils.formatdate() writes
        ("Mon, 21 Sep 2026 10:13:25 -0400 (EDT)", 5),
        ("2026-09-21T14:13:25Z", 5),
        ("2026-09-21 16:13:25.500+02:00", 5.5),
        ("2026-10-21T14:13:20Z", 30 * 86_400),
    ],
)
def test_send_at_is_read_in_both_forms(text: str, ahead_s: float):
    assert _read(b"Send-At: " + text.encode()).send_at == NOW + int(ahead_s * 1000)


@pytest.mark.parametrize("text", ["Mon, 21 Sep 2020 14:13:25 +0000", "2026-09-21T14:13:20Z"])
def test_a_time_that_is_past_means_now(text: str):
    assert _read(b"Send-At: " + text.encode()).send_at == 0


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"Class: urgent", "X-Pillarbox-Class: urgent is neither transactional nor bulk"),
        (b"Class:", "X-Pillarbox-Class: it is empty"),
        (b"Tag: ,", "X-Pillarbox-Tag: it is empty"),
        (b"Tag: " + b"x" * 65, "X-Pillarbox-Tag: xxxxxxxxxxxxxxxxx... has 65 characters"),
        (b"Tag: " + b",".join(b"t%d" % n for n in range(11)), "X-Pillarbox-Tag: 11 tags"),
        (b"Tag: a\x07b", "X-Pillarbox-Tag: a?b holds a control character"),
        (b"Tag: \xff", "X-Pillarbox-Tag: it is neither ASCII nor UTF-8"),
        (b"Metadata: {", "X-Pillarbox-Metadata: not JSON"),
        (b"Metadata: [1]", "X-Pillarbox-Metadata: it must be a JSON object"),
        (b'Metadata: {"a": NaN}', "X-Pillarbox-Metadata: not JSON"),
        (
            b'Metadata: {"a":\r\n ' + b"\r\n ".join([b"[" * 900] * 4) + b"}",
            "X-Pillarbox-Metadata: not JSON",
        ),
        (
            b'Metadata: {"a":"' + b"\r\n ".join([b"x" * 900] * 5) + b'"}',
            "X-Pillarbox-Metadata: 4512 octets; it may have 4096",
        ),
        (b"Send-At: tomorrow", "X-Pillarbox-Send-At: tomorrow has no time zone, or is no date"),
        (
            b"Send-At: Mon, 21 Sep 2026 14:13:25",
            "X-Pillarbox-Send-At: Mon, 21 Sep 2026 14:13:25 has no time zone",
        ),
        (
            b"Send-At: Mon, 41 Sep 2026 14:13:25 GMT",
            "X-Pillarbox-Send-At: Mon, 41 Sep 2026 14:13:25 GMT is not",
        ),
        (b"Send-At: Mon, GMT", "X-Pillarbox-Send-At: Mon, GMT is not a date"),
        (
            b"Send-At: 2026-09-21T14:13:25",
            "X-Pillarbox-Send-At: 2026-09-21T14:13:25 has no time zone",
        ),
        (
            b"Send-At: 2026-99-21T14:13:25Z",
            "X-Pillarbox-Send-At: 2026-99-21T14:13:25Z is not a time",
        ),
        (
            b"Send-At: 2026-10-21T14:13:21Z",
            "X-Pillarbox-Send-At: 2026-10-21T14:13:21Z is more than 30 days ahead",
        ),
        (b"Idempotency-Key: " + b"x" * 256, "X-Pillarbox-Idempotency-Key: 256 characters"),
        (b"Idempotency-Key: \xc3\xa9", "X-Pillarbox-Idempotency-Key: it holds something else"),
        (b"Pool:", "X-Pillarbox-Pool: it is empty"),
        (b"Track: yes", "X-Pillarbox-Track: tracking is not available"),
        (b"Send-Later: x", "X-Pillarbox-Send-Later: no such control header"),
    ],
)
def test_a_wrong_control_is_refused_with_its_name(line: bytes, answer: str):
    assert _refusal(line).startswith("550 5.6.0 " + answer)


@pytest.mark.parametrize(
    "line", [b"Class: bulk", b"Pool: a", b"Metadata: {}", b"Send-At: 2026-09-22T14:13:25Z"]
)
def test_a_control_that_may_stand_once_stands_once(line: bytes):
    assert "it stands 2 times" in _refusal(line, line)
