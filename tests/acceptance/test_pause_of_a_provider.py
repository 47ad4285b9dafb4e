"""A provider is paused for some seconds: its mail waits and says why, others go on, and it goes by itself."""

from __future__ import annotations

from appliance.lab.dns_server import LabDns
from appliance.operations import Target
from tests.support.box import ROOT, running_box
from tests.support.letters import Letter, open_door, post
from tests.support.peers import PeerReceiver
from tests.support.records import pause, took_effect, waiting
from tests.support.way import until

ZONE = {
    "gmail.test": {"MX": ["10 aspmx.l.google.com."]},
    "workspace.test": {"MX": ["10 aspmx.l.google.com.", "20 alt1.aspmx.l.google.com."]},
    "good.test": {"MX": ["10 mx.good.test."]},
    **{
        host: {"A": ["127.0.0.1"]}
        for host in ("aspmx.l.google.com", "alt1.aspmx.l.google.com", "mx.good.test")
    },
}
SHAPING = {"file": str(ROOT / "tests/data/shaping/named.toml")}
SECONDS = 8


async def test_a_paused_provider_waits_until_the_pause_ends(tmp_path):
    async with LabDns(ZONE) as dns, PeerReceiver() as mx:
        async with running_box(tmp_path, dns, mx.port, shaping=SHAPING, **open_door()) as box:
            target = Target(provider="google")
            await pause(box, target, reason="they have trouble", seconds=SECONDS)
            await took_effect(box)
            domains = ("gmail.test", "workspace.test", "good.test")
            await post(
                box.submission, [Letter(to=f"u{n}@{name}") for name in domains for n in range(10)]
            )
            await until(lambda: mx.count == 10)
            rows = await waiting(box)
            assert mx.count == 10
            assert {m.recipients[0].partition("@")[2] for m in mx.messages} == {"good.test"}
            assert len(rows) == 20
            assert all("they have trouble" in row["reason"] for row in rows), rows
            await until(lambda: mx.count == 30, seconds=SECONDS + 10)
            assert await waiting(box) == []
