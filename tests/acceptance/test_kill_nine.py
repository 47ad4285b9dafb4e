"""kill -9 of every process at random moments under load: nothing acknowledged is lost.

A recipient may be doubled only when its receiver had taken the message and the outcome was not yet
durable: then the log knows of one delivery only. KILLS and SEED run it longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections import Counter
from functools import partial

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Script
from mta.scheduling.results import OUTSTANDING
from tests.support.box import running_box
from tests.support.load import Ledger, client
from tests.support.way import until

KILLS = int(os.environ.get("KILLS", "20"))
SEED = int(os.environ.get("SEED", "20261120"))
ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
NUMBER = re.compile(rb"\r\nX-Number: (\d+)\r\n")


async def test_killing_every_process_at_random_moments_loses_nothing(tmp_path):
    dice = random.Random(SEED)
    seen: Counter[int] = Counter()

    def take(received):
        seen[int(NUMBER.search(received.data).group(1))] += 1

    ledger, stop = Ledger(), asyncio.Event()
    async with LabDns(ZONE) as dns, Receiver(Script(keep=False), on_message=take) as mx:
        async with running_box(
            tmp_path,
            dns,
            mx.port,
            spool={"processes": 2},
            submission={"trusted_networks": [{"network": "127.0.0.0/8", "tenant": "acme"}]},
            listeners={"submission": {"address": "127.0.0.1", "port": 0, "tls": "none"}},
        ) as box:
            clients = [asyncio.create_task(client(box.submission, ledger, stop)) for _ in range(8)]
            kills = Counter()
            for _ in range(KILLS):
                await asyncio.sleep(dice.uniform(0.05, 0.6))
                await until(box.pids, seconds=60)  # all of them may be waiting for their restart
                name, pid = dice.choice(sorted(box.pids().items()))
                os.kill(pid, signal.SIGKILL)
                kills[name] += 1
            stop.set()
            await asyncio.gather(*clients)
            missing = lambda: ledger.acknowledged - seen.keys()  # noqa: E731
            await until(lambda: not missing(), seconds=60)
            await until(box.healthy, seconds=60)
            doubles = {number: count for number, count in seen.items() if count > 1}
            await _each_double_has_one_recorded_delivery(box, doubles)
    print(
        f"\n{sum(kills.values())} kills {dict(kills)}, {len(ledger.acknowledged)} acknowledged, "
        f"{len(seen)} arrived, {len(doubles)} doubled, seed {SEED}"
    )
    assert len(ledger.acknowledged) > KILLS
    assert not missing()
    mta_kills = sum(count for name, count in kills.items() if name.startswith("mta-"))
    assert sum(count - 1 for count in doubles.values()) <= OUTSTANDING * mta_kills


async def _each_double_has_one_recorded_delivery(box, doubles):
    for number in sorted(doubles)[:20]:
        found = await box.cli("messages", "list", "--address", f"u{number}@good.test")
        for message in found["messages"]:
            await until(partial(_deliveries, box, message["id"]), seconds=20)
            assert await _deliveries(box, message["id"]) == 1, (number, message)


async def _deliveries(box, message_id):
    shown = await box.cli("messages", "show", message_id)
    return [event["kind"] for event in shown["events"]].count("delivered")
