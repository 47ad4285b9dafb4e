"""A store with 1 % of its pages destroyed: repaired, the box starts and delivers the rest; losses are named."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Script
from tests.support.box import running_box, serving
from tests.support.damage import destroyed
from tests.support.load import Ledger, client
from tests.support.way import until

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
NUMBER = re.compile(rb"\r\nX-Number: (\d+)\r\n")
MESSAGES = 1000
SEED = 20261121


async def test_a_box_with_a_damaged_store_delivers_what_is_whole_and_names_the_rest(tmp_path):
    seen: Counter[int] = Counter()

    def take(received):
        seen[int(NUMBER.search(received.data).group(1))] += 1

    ledger, stop = Ledger(), asyncio.Event()
    async with LabDns(ZONE) as dns, Receiver(Script(keep=False), on_message=take) as mx:
        async with running_box(
            tmp_path,
            dns,
            mx.port,
            spool={"processes": 1},
            submission={"trusted_networks": [{"network": "127.0.0.0/8", "tenant": "acme"}]},
            listeners={"submission": {"address": "127.0.0.1", "port": 0, "tls": "none"}},
        ) as box:
            await box.cli("queue", "pause", "--domain", "good.test", "--reason", "test")
            sizes = (200, 200, 20_000)
            clients = [
                asyncio.create_task(client(box.submission, ledger, stop, padding=size))
                for size in sizes
            ]
            await until(lambda: len(ledger.acknowledged) >= MESSAGES, seconds=120)
            stop.set()
            await asyncio.gather(*clients)
            running = await box.cli("spool", "check")
            assert running["sound"]
            assert not running["shards"][0]["pages_checked"]
            assert await box.cli("spool", "repair", expect=65)  # not while it runs
        path = box.home.spool_db(0)
        hit = destroyed(0.01, "random")(path, random.Random(SEED))
        checked = await box.cli("spool", "check", expect=1)
        assert not checked["sound"]
        repaired = (await box.cli("spool", "repair"))["shards"][0]
        assert (await box.cli("spool", "check"))["sound"]
        async with serving(box.home, box.login, dns, box.tenant_id, tmp_path / "again.log") as box:
            await box.cli("queue", "resume", "--domain", "good.test")
            lost = {int(who["address"].split("@")[0][1:]) for who in _recipients(repaired)}
            await until(lambda: not ledger.acknowledged - seen.keys() - lost, seconds=120)
            await asyncio.sleep(1)
            one = repaired["losses"][0]["id"]
            shown = await until_logged(box, one)
    print(
        f"\n{len(hit)} of {repaired['pages']} pages destroyed: {len(ledger.acknowledged)} acknowledged,"
        f" {len(seen)} delivered, {len(lost)} lost and named, seed {SEED}"
    )
    assert set(seen.values()) == {1}
    assert seen.keys() | lost >= ledger.acknowledged
    assert not seen.keys() & lost
    assert 0 < len(lost) < len(ledger.acknowledged) / 5
    assert shown == "corrupt"
    names = {path.name for path in box.home.corrupt_dir.iterdir()}
    assert names >= {f"{loss['id']}.json" for loss in repaired["losses"]}


def _recipients(repaired):
    return [who for loss in repaired["losses"] for who in loss["recipients"]]


async def until_logged(box, message):
    """The state of a lost message's recipient, as the event log has it in the end."""
    for _ in range(50):
        shown = await box.cli("messages", "show", message)
        status = shown["recipients"][0]["status"]
        if status == "corrupt":
            return status
        await asyncio.sleep(0.2)
    return status
