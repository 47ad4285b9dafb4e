"""A bad afternoon with Google, from the first 421 4.7.28 until all is as before."""

from __future__ import annotations

import pytest

from appliance.core import clock
from mta.reply import Reply
from mta.shaping.blame import Answer
from mta.shaping.book import shipped_book
from mta.shaping.model import Zone
from mta.shaping.throttles import Throttles
from mta.status import Phase, Scope
from tests.support.throttling import HOUR, MINUTE, NOW, SECOND

SAID = "4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address."
REPLY = Reply.from_text(421, SAID)
START = NOW + 6 * HOUR  # 14:00


@pytest.fixture
def google():
    return Zone("google", shipped_book().providers["google"])


@pytest.fixture
def throttles():
    return Throttles(shipped_book)


def hear(throttles, zone, at):
    rules = shipped_book().find(REPLY, phase=Phase.DOT, provider="google")
    return throttles.heard(
        Answer(
            egress="out1",
            zone=zone,
            tenant_id=7,
            domain="gmail.com",
            host="gmail-smtp-in.l.google.com",
            reply=REPLY,
            scope=Scope.SESSION,
            rules=rules,
        ),
        at,
    )


def test_the_afternoon(throttles, google):
    full = google.provider.limits.message_rate

    def at(minutes, seconds=0):
        return START + minutes * MINUTE + seconds * SECOND

    def pace():
        return str(throttles.rate("out1", google))

    def told():
        (standing,) = throttles.explain({"out1"}, google, at(0))
        return [f"{clock.aware(c.at):%H:%M} {c.words.partition(':')[0]}" for c in standing.history]

    # 14:00 once is no pattern; 14:02 twice within the hour is.
    assert hear(throttles, google, at(0)).changes == ()
    assert throttles.rate("out1", google) == full
    (slowed,) = hear(throttles, google, at(2)).changes
    assert slowed.words == f"slowed to 10/min: google-unusual-rate: 421 {SAID}"
    assert pace() == "10/min"
    assert throttles.rate("out2", google) == full, "another address did nothing wrong"
    assert throttles.wait("out1", google, 7, "gmail.com", at(2)) is None, "slow, not suspended"

    # Answers to what was already on its way do not slow it further; one a minute later does.
    for seconds in (1, 20, 59):
        assert hear(throttles, google, at(2, seconds)).changes == ()
    assert pace() == "10/min"
    hear(throttles, google, at(3, 30))
    assert pace() == "5/min"

    # Half an hour of quiet from the last fault, then up; never two steps within ten minutes.
    assert throttles.step(at(33, 29)) == []
    assert [change.words for change in throttles.step(at(33, 30))] == ["back to 10/min"]
    assert throttles.step(at(43, 29)) == []
    throttles.step(at(43, 30))
    assert pace() == "20/min"

    # 14:50 again: down to what the rule says, and the quiet time begins anew.
    hear(throttles, google, at(50))
    assert pace() == "10/min"
    assert throttles.step(at(79, 59)) == []
    throttles.step(at(80))
    assert pace() == "20/min"
    assert told() == [
        "14:02 slowed to 10/min",
        "14:03 slowed to 5/min",
        "14:33 back to 10/min",
        "14:43 back to 20/min",
        "14:50 slowed to 10/min",
        "15:20 back to 20/min",
    ]

    # Left in peace it comes back by itself, in the time that can be told beforehand.
    while throttles.in_force:
        throttles.step(throttles.next_change_at)
    assert throttles.rate("out1", google) == full
    assert told()[-1].endswith("back to the configured limits")
