"""An address that goes away while mail is queued for it: what waited is planned anew, nothing is stuck.

Disabled with its lanes full, its mail leaves from the other one. With the last one disabled mail waits
and says so; it goes by itself when an address is back.
"""

from __future__ import annotations

import asyncio

from appliance.lab.dns_server import LabDns
from tests.support.box import ROOT, running_box
from tests.support.letters import Letter, open_door, post
from tests.support.peers import PeerReceiver
from tests.support.records import took_effect, waiting
from tests.support.way import until

OUT1, OUT2 = "127.0.0.11", "127.0.0.12"
LETTERS = 600
ZONE = {
    "gmail.test": {"MX": ["10 aspmx.l.google.com."]},
    "aspmx.l.google.com": {"A": ["127.0.0.1"]},
}
PACED = {"file": str(ROOT / "tests/data/shaping/bursts.toml")}  # 40 a second from each address
REASON = "no egress address of this box may send: see `pillarbox egress list`"


async def test_what_waits_for_a_disabled_address_leaves_from_another(tmp_path):
    async with LabDns(ZONE) as dns, PeerReceiver() as mx:
        async with running_box(tmp_path, dns, mx.port, shaping=PACED, **open_door()) as box:
            await box.cli("egress", "create", "out1", "--address", OUT1)
            await box.cli("egress", "create", "out2", "--address", OUT2)
            await took_effect(box)
            await box.cli("kill-switch", "on", "--reason", "until all has come in")
            await post(box.submission, _letters(LETTERS))
            await box.cli("kill-switch", "off")
            await until(lambda: min(mx.taken()[OUT1], mx.taken()[OUT2]) > 10)
            await box.cli("egress", "disable", "out1", "--reason", "the provider took it away")
            await took_effect(box)
            await asyncio.sleep(1)  # what is under way comes to its end
            last = mx.transactions()[OUT1]
            assert 0 < last < LETTERS // 2 - 20, "mail still waited for it"
            await until(lambda: mx.count == LETTERS, seconds=30)
            assert mx.transactions() == {OUT1: last, OUT2: LETTERS - last}
            assert await waiting(box) == []

            await box.cli("egress", "disable", "out2", "--reason", "so is this one")
            await took_effect(box)
            await post(box.submission, _letters(20))
            await until(lambda: _reasons_are(box, [REASON] * 20), seconds=10)
            assert mx.count == LETTERS
            await box.cli("egress", "enable", "out1")
            await until(lambda: mx.count == LETTERS + 20, seconds=10)
            assert mx.transactions() == {OUT1: last + 20, OUT2: LETTERS - last}
            assert await waiting(box) == []


def _letters(count):
    return [Letter(to=f"u{n}@gmail.test") for n in range(count)]


async def _reasons_are(box, reasons):
    return [row["reason"] for row in await waiting(box)] == reasons
