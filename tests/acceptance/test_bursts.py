"""A receiver that answers `421 4.7.28` to bursts: the rate falls, comes back, and `explain` tells the story.

Quiet times are a minute and more by rule: the test lets them pass by making what is stored older, which
the running box takes over as it takes over what another process stored.
"""

from __future__ import annotations

import asyncio
from collections import deque

from appliance.lab.dns_server import LabDns
from appliance.lab.script import Point, Script
from tests.support.box import ROOT, running_box
from tests.support.letters import Letter, open_door, post
from tests.support.peers import PeerReceiver
from tests.support.records import pass_quiet_time, throttles_of, took_effect, waiting
from tests.support.way import until

ADDRESS = "127.0.0.11"
ZONE = {
    "gmail.test": {"MX": ["10 aspmx.l.google.com."]},
    "aspmx.l.google.com": {"A": ["127.0.0.1"]},
}
SHAPING = {"file": str(ROOT / "tests/data/shaping/bursts.toml")}  # 40 a second; slowed: one
BURST = 10  # messages
WITHIN = 4.0  # seconds: a busy machine bursts too, and one message a second is no burst
UNUSUAL = "421 4.7.28 Gmail has detected an unusual rate of mail originating from your IP address."
WHY = f'"{UNUSUAL}" (rule google-unusual-rate)'


class Touchy:
    """Minds more than BURST messages WITHIN some seconds, then counts anew; `calm` is when it minds nothing."""

    def __init__(self):
        self.calm = False
        self.refused = 0
        self._times = deque(maxlen=BURST)

    def __call__(self, point, _source, _content):
        if point is not Point.MAIL or self.calm:
            return None
        now = asyncio.get_running_loop().time()
        if len(self._times) == BURST and now - self._times[0] < WITHIN:
            self._times.clear()
            self.refused += 1
            return UNUSUAL
        self._times.append(now)
        return None


async def test_the_rate_falls_comes_back_and_explain_tells_the_story(tmp_path):
    mood = Touchy()
    async with LabDns(ZONE) as dns, PeerReceiver(Script(reaction=mood)) as mx:
        async with running_box(tmp_path, dns, mx.port, shaping=SHAPING, **open_door()) as box:
            await box.cli("egress", "create", "out11", "--address", ADDRESS)
            await took_effect(box)
            await _post(box, 80)
            await until(lambda: mood.refused >= 2)
            await _fallen(box, mx, mood)
            mood.calm = True
            await _comes_back(box, mx)

            mood.calm = False
            before = mood.refused
            await _post(box, 60)
            await until(lambda: mood.refused > before)  # the hour has not passed: once is enough
            await until(lambda: _is_slowed(box))
            mood.calm = True
            await box.cli("shaping", "lift", "out11", "google", "--reason", "they mended it")
            await until(lambda: mx.count == 200, seconds=20)  # a minute and more when still slow
            story = await _throttle(box)
            assert (story["in_force"], story["history"][-1]["words"][:9]) == (False, "lifted by")
            assert await waiting(box) == []


async def _fallen(box, mx, mood):
    """At most one a second, over at most two connections, and everybody may know why."""
    clock_of = asyncio.get_running_loop().time
    await until(lambda: _is_slowed(box))
    await until(lambda: mx.open_sessions <= 2)  # what was under way is over
    began, before, refused = clock_of(), mx.transactions()[ADDRESS], mood.refused
    await asyncio.sleep(5)
    seconds, sent = clock_of() - began, mx.transactions()[ADDRESS] - before
    assert 2 <= sent <= seconds + 2
    assert mx.open_sessions <= 2
    assert mood.refused == refused
    story = await _throttle(box)
    assert story["state"] == "slowed to 60/min, 2 connections"
    assert story["why"] == WHY
    assert story["history"][0]["at"] < story["next_at"] < story["normal_at"]
    assert _words(story) == [f"slowed to 60/min, 2 connections: google-unusual-rate: {UNUSUAL}"]


async def _comes_back(box, mx):
    """Step by step, up to the limit and no further."""

    async def is_over():
        await pass_quiet_time(box)
        await asyncio.sleep(1)
        return not await _is_slowed(box)

    await until(is_over, seconds=40)
    steps = _words(await _throttle(box))
    ups = [words for words in steps if words.startswith("back to")]
    assert ups[:3] == ["back to 120/min, 3 connections", "back to 240/min", "back to 480/min"]
    assert ups[-1] == "back to the configured limits"
    await until(lambda: mx.count == 80, seconds=20)
    await _post(box, 60)
    await until(lambda: mx.count == 140, seconds=10)


async def _post(box, count):
    """What is accepted, however slowly, leaves in one burst."""
    await box.cli("queue", "pause", "--provider", "google", "--reason", "until all has come in")
    letters = [Letter(to=f"u{n}@gmail.test") for n in range(count)]
    await asyncio.gather(*(post(box.submission, letters[n::4]) for n in range(4)))
    await box.cli("queue", "resume", "--provider", "google")


async def _is_slowed(box):
    return any(one.in_force for one in await throttles_of(box))


def _words(story):
    return [step["words"] for step in story["history"]]


async def _throttle(box):
    """What the one throttle is, or was."""
    explained = await box.cli("shaping", "explain", "gmail.test")
    assert (explained["provider"], explained["limits"]["message_rate"]) == ("google", "40/s")
    (egress,) = explained["egresses"]
    assert egress["address"] == ADDRESS
    return next(iter(egress["throttles"]), None)
