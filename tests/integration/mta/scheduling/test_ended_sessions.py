"""A kept connection that the receiver ends with 421: at once on another, unless it has a rule for the words."""

from __future__ import annotations

import pytest

from appliance.lab.receiver import Receiver
from appliance.lab.script import Action, Point, Script
from tests.support.warmup import MemoryStore
from tests.support.way import open_way, site_on, until

SHAPING = """
[default]
connections = 1
messages_per_connection = 100
tls = "opportunistic"

[provider.google]
title = "Google"
mx = [".google.lab"]

[[rule]]
id = "too-fast"
provider = "google"
enhanced = ["4.7.28"]
then = [{ do = "slow", rate = "10/min", for = "10 min" }]
samples = ["421 4.7.28 unusual rate"]

[[rule]]
id = "timed-out"
provider = "google"
enhanced = ["4.4.2"]
then = [{ do = "slow", rate = "10/min", for = "10 min" }]
samples = ["451 4.4.2 timed out"]

[[rule]]
id = "anything-before-the-message"
code = ["4xx"]
enhanced = ["", "4.7.0"]
then = [{ do = "slow", rate = "10/min", for = "10 min" }]
samples = ["421 4.7.0 Try again later, closing connection."]
"""
MANY = "421 too many messages in this connection"


@pytest.mark.parametrize("words", ["421 4.3.2 closing", MANY, Action.DROP])
async def test_a_session_that_just_ends_costs_the_message_nothing(tmp_path, words):
    """Whatever general rules say, or rules for what this box says itself of a connection that is gone."""
    async with Receiver(Script()) as mx, _google(tmp_path, mx) as way:
        await _second_hears(way, mx, words)
        await until(lambda: mx.count == 2)
        await until(lambda: len(way.witness.outcomes) == 2)
        assert [outcome.decision.event for outcome in way.witness.outcomes] == ["delivered"] * 2
        assert way.regulator.throttles.live() == []


async def test_words_that_the_provider_has_a_rule_for_are_an_answer_and_slow_the_receiver_down(
    tmp_path,
):
    async with Receiver(Script()) as mx, _google(tmp_path, mx) as way:
        await _second_hears(way, mx, "421 4.7.28 unusual rate")
        await until(lambda: len(way.witness.outcomes) == 2)
        assert way.witness.outcomes[1].decision.event == "deferred"
        (throttle,) = way.regulator.throttles.live()
        assert "421 4.7.28 unusual rate" in throttle.fault.reply


async def _second_hears(way, mx, words):
    """One message, then another on the same connection, of which the receiver has enough."""
    way.router.special["example.net"] = site_on(mx.port, "mx.google.lab")
    await way.send()
    await until(lambda: len(way.witness.outcomes) == 1)
    mx.script.once[Point.MAIL] = [words]
    await way.send()


def _google(tmp_path, mx):
    return open_way(tmp_path, mx.port, shaping=SHAPING, store=MemoryStore())
