"""A day's budget of 200 that two mta processes share, counted by the receiver at RCPT, by source address.

Never more than 200: not under load, not over a restart, not with `kill -9` of the processes at random
moments. Exactly 200 without kills; with kills at most a portion of each killed process is lost.
KILLS and SEED run it longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from datetime import UTC, datetime

from appliance.core import ids
from appliance.core.settings import Warmup
from appliance.lab.dns_server import LabDns
from tests.support.box import ROOT, running_box, serving
from tests.support.letters import Letter, open_door, post
from tests.support.peers import PeerReceiver
from tests.support.records import took_effect, waiting
from tests.support.way import until

KILLS = int(os.environ.get("KILLS", "6"))
SEED = int(os.environ.get("SEED", "20261127"))
BUDGET = 200  # the first day of the schedule `aggressive`
LETTERS = 360
ADDRESS = "127.0.0.11"
WAITS = re.compile(r"warmup: 127\.0\.0\.11 has used 200 of 200 for Google today; next 00:00 \S+")
ZONE = {
    "gmail.test": {"MX": ["10 aspmx.l.google.com."]},
    "aspmx.l.google.com": {"A": ["127.0.0.1"]},
}


async def test_two_processes_under_load_send_exactly_the_budget(tmp_path):
    async with LabDns(ZONE) as dns, PeerReceiver() as mx:
        async with running_box(tmp_path, dns, mx.port, **_settings()) as box:
            await _warm_up(box)
            given = await _post(box)
            await until(lambda: mx.recipients()[ADDRESS] >= BUDGET, seconds=30)
            await _settle(box, mx)
            assert {ids.shard_of(ids.from_text(one)) for one in given} == {0, 1}
            assert mx.recipients() == {ADDRESS: BUDGET}
            assert mx.taken() == {ADDRESS: BUDGET}
            await _the_rest_says_what_it_waits_for(box, LETTERS - BUDGET)
        async with serving(box.home, box.login, dns, box.tenant_id, box.log) as box:
            await _the_rest_says_what_it_waits_for(box, LETTERS - BUDGET)
            await post(box.submission, [Letter(to="late@gmail.test")])
            await _the_rest_says_what_it_waits_for(box, LETTERS - BUDGET + 1)
            await _settle(box, mx)
            assert mx.recipients() == {ADDRESS: BUDGET}
            await box.cli("warmup", "finish", "out11", "--yes")
            await until(lambda: mx.taken()[ADDRESS] == LETTERS + 1, seconds=30)


async def test_processes_that_are_killed_waste_at_most_what_they_had_in_hand(tmp_path):
    dice = random.Random(SEED)
    async with LabDns(ZONE) as dns, PeerReceiver() as mx:
        async with running_box(tmp_path, dns, mx.port, **_settings()) as box:
            await _warm_up(box)
            await box.cli("warmup", "pause", "out11", "--reason", "until all has come in")
            await took_effect(box)
            await _post(box)
            assert mx.recipients() == {}
            await box.cli("warmup", "resume", "out11", "--yes")
            await until(lambda: mx.recipients()[ADDRESS] > 20, seconds=30)
            kills = 0
            while kills < KILLS and mx.recipients()[ADDRESS] < BUDGET:
                kills += await _kill_one(box, dice)
                await asyncio.sleep(dice.uniform(0.2, 0.9))
            await _settle(box, mx)
            sent = mx.recipients()[ADDRESS]
            assert kills >= min(KILLS, 3)
            assert BUDGET - kills * Warmup().portion <= sent <= BUDGET
            left = await waiting(box)
            delivered = {message.recipients[0] for message in mx.messages}
            assert delivered | {row["address"] for row in left} == {one.to for one in _letters()}
            assert all(WAITS.fullmatch(row["reason"]) for row in left)
    print(f"\n{kills} kills, {sent} of {BUDGET} sent, seed {SEED}")


def _settings():
    """Two processes, and a zone in which it is about noon: no test runs into midnight."""
    hours = 12 - datetime.now(UTC).hour
    return {
        "spool": {"processes": 2},
        "warmup": {"timezone": f"Etc/GMT{-hours:+d}"},  # its signs are the other way round
        "shaping": {"file": str(ROOT / "tests/data/shaping/named.toml")},
        **open_door(),
    }


async def _warm_up(box):
    await box.cli("egress", "create", "out11", "--address", ADDRESS, "--helo", "out11.box.test")
    started = await box.cli(
        "warmup", "start", "out11", "--schedule", "aggressive", "--provider", "google"
    )
    assert [one["limit"] for one in started] == [BUDGET]
    await took_effect(box)


async def _post(box):
    """Half of them over connections that are made while one process sleeps, half while the other does."""
    parts, letters = [], _letters()
    for half, pid in enumerate(_mtas(box)):
        os.kill(pid, signal.SIGSTOP)
        hands = [letters[n::18] for n in range(half, 18, 2)]
        parts += [asyncio.create_task(post(box.submission, hand)) for hand in hands]
        await asyncio.sleep(0.2)
        os.kill(pid, signal.SIGCONT)
    return [one for part in await asyncio.gather(*parts) for one in part]


def _letters():
    return [Letter(to=f"u{n}@gmail.test") for n in range(LETTERS)]


async def _kill_one(box, dice):
    """1 if there was one to kill: all of them may be waiting for their restart."""
    found = _mtas(box)
    if not found:
        return 0
    os.kill(dice.choice(found), signal.SIGKILL)
    return 1


def _mtas(box):
    return sorted(pid for name, pid in box.pids().items() if name.startswith("mta-"))


async def _settle(box, mx):
    """Until the budget is used and nothing has come for three seconds: portions idle for one."""

    async def used():
        return [one["used"] for one in await box.cli("warmup", "list")] == [BUDGET]

    await until(used, seconds=40)
    await until(box.healthy, seconds=30)
    before = mx.recipients()

    async def still():
        nonlocal before
        await asyncio.sleep(3)
        last, before = before, mx.recipients()
        return last == before

    await until(still, seconds=30)
    assert await used()


async def _the_rest_says_what_it_waits_for(box, count):
    async def waits():
        rows = await waiting(box)
        return len(rows) == count and all(WAITS.fullmatch(row["reason"]) for row in rows)

    await until(waits, seconds=15)
