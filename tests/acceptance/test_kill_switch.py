"""The kill switch under load: after a second no transaction begins, also after a restart, until it is off."""

from __future__ import annotations

import asyncio

import pytest

from appliance.lab.dns_server import LabDns
from tests.support.box import running_box, serving
from tests.support.letters import Letter, open_door, post
from tests.support.peers import PeerReceiver
from tests.support.records import took_effect, waiting
from tests.support.way import until

pytestmark = pytest.mark.alone

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
SLOW = {"retry": [300.0], "jitter": 0.0}


async def test_no_transaction_begins_until_it_is_off_again(tmp_path):
    async with LabDns(ZONE) as dns, PeerReceiver() as mx:
        async with running_box(tmp_path, dns, mx.port, queue=SLOW, **open_door()) as box:
            stop = asyncio.Event()
            load = asyncio.create_task(_submit(box.submission, stop))
            await until(lambda: mx.count > 50, seconds=20)
            status = await box.command("kill-switch", "on", "--reason", "leaked password")
            await took_effect(box)
            await asyncio.sleep(1)  # what is under way comes to its end
            begun = mx.transactions().total()
            await asyncio.sleep(2)
            stop.set()
            sent = await load
            assert mx.transactions().total() == begun
            assert len(await waiting(box)) == sent - mx.count > 0
            shown = await box.cli("queue", "list")
            assert shown["kill_switch"]["reason"] == "leaked password"
            assert "leaked password" in shown["groups"][0]["reason"]
            again = box.home, box.login, box.dns, box.tenant_id, tmp_path / "again.log"
        async with serving(*again) as box:
            await asyncio.sleep(1)
            assert mx.transactions().total() == begun
            assert await box.command("kill-switch", "status") == status
            await box.cli("kill-switch", "off")
            await until(lambda: mx.count == sent, seconds=30)
            assert mx.transactions().total() == sent, "each was sent once"
            assert await waiting(box) == []


async def _submit(place: tuple[str, int], stop: asyncio.Event) -> int:
    """Letters in small bunches; how many were acknowledged."""
    sent = 0
    while not stop.is_set():
        await post(place, [Letter(to=f"u{sent + n}@good.test") for n in range(20)])
        sent += 20
        await asyncio.sleep(0.05)
    return sent
