"""An address of ours gets onto a DNS blocklist: notice, drained, mail from the others; delisted: as before.

The listed address is one of 192.88.99.0/24, which is nobody's any more (RFC 7526) and not this machine's
either: mail that left from it would be seen to fail.
"""

from __future__ import annotations

import asyncio

from appliance.egress import EgressRequest
from appliance.lab.dns_server import LabDns
from tests.support.blocklists import blocklist, enlist, zone_of
from tests.support.box import running_box, serving
from tests.support.letters import Letter, open_door, post
from tests.support.peers import PeerReceiver
from tests.support.records import add_egresses, took_effect, waiting
from tests.support.way import until

OURS, LISTED = "127.0.0.11", "192.88.99.7"
SUBJECT = f"egress out2: {LISTED} on zen.test"
ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
LISTS = """
[[list]]
name = "Zen"
zone = "zen.test"
families = ["ipv4"]
drain = true
lookup = "https://zen.test/{address}"
runbook = ["stop it", "wait"]
[list.codes]
"127.0.0.2" = "it sends spam"
"""


async def test_listed_drained_delisted_and_back(tmp_path):
    lists = tmp_path / "lists.toml"
    lists.write_text(LISTS)
    options = {"drain": True, "file": str(lists)}
    async with LabDns(zone_of(blocklist("zen")) | ZONE) as dns, PeerReceiver() as mx:
        async with running_box(tmp_path, dns, mx.port, blocklists=options, **open_door()) as box:
            await add_egresses(box, [EgressRequest(name="out1", address=OURS)])
            await add_egresses(box, [EgressRequest(name="out2", address=LISTED)])
        listing = enlist(dns, LISTED, "zen.test", text="https://zen.test/why")
        # A box that starts looks at once.
        async with serving(box.home, box.login, dns, box.tenant_id, box.log) as box:
            await until(lambda: _subjects(box, SUBJECT), seconds=20)
            assert await _state(box) == ("draining", "listed on zen.test")
            (row,) = await box.cli("blocklist", "list")
            assert (row["state"], row["drained"], row["meaning"]) == (
                "listed",
                True,
                "it sends spam",
            )
            await took_effect(box)
            await post(box.submission, [Letter(to=f"u{n}@good.test") for n in range(40)])
            await until(lambda: mx.count == 40)
            assert mx.taken() == {OURS: 40}
            assert await waiting(box) == []

            del dns.zone[listing]
            await asyncio.sleep(1)  # dns.min_ttl of the box
            await box.cli("blocklist", "check", "out2")
            assert await _state(box) == ("enabled", "")
            assert not await _subjects(box, SUBJECT)
            assert await _subjects(box, SUBJECT, "--all")


async def _subjects(box, subject, *options):
    return subject in {one["subject"] for one in await box.cli("notices", *options)}


async def _state(box):
    """Of the one that was listed."""
    found = {one["name"]: one for one in await box.cli("egress", "list")}
    assert found["out1"]["state"] == "enabled"
    return found["out2"]["state"], found["out2"]["why"]
