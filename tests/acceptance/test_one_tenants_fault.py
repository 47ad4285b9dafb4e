"""One tenant's mail displeases Google: that tenant waits there, and nobody else anywhere.

Two tenants send from the same address by the shipped rules. What the receiver says of the messages of
one of them slows neither the other tenant nor the address; the tenant's own mail to others goes on.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from appliance.lab.dns_server import LabDns
from appliance.lab.script import Point, Script, Starttls
from tests.support.box import running_box
from tests.support.letters import Letter, open_door, post
from tests.support.peers import PeerReceiver
from tests.support.records import throttles_of, took_effect, waiting
from tests.support.way import until

ACME, RIVAL = "shop.test", "rival.test"
FROM = {ACME: "127.0.1.1", RIVAL: "127.0.2.1"}  # where their applications run
ZONE = {
    "gmail.test": {"MX": ["10 aspmx.l.google.com."]},
    "good.test": {"MX": ["10 mx.good.test."]},
    "aspmx.l.google.com": {"A": ["127.0.0.1"]},
    "mx.good.test": {"A": ["127.0.0.1"]},
}
SUSPICIOUS = (
    "421 4.7.0 [127.0.0.11 19] Our system has detected that this message is suspicious due to the very"
    " low reputation of the sending domain."
)
SUSPENDED = "Google suspended this tenant's mail"
TIMES = 5  # the rule wants it so often
AT_ONCE = 5  # Google's connections: so many may be under way when it is enough
PATIENT = {"retry": [300.0], "lifetime": 86_400.0, "jitter": 0.0}


class Taste:
    """Refuses what one tenant writes to Google; counts what it was offered."""

    def __init__(self):
        self.offered = Counter()  # by domain of the sender and of the recipient

    def __call__(self, point, _source, content):
        if point is not Point.DOT:
            return None
        sender = next(name for name in FROM if f"From: orders@{name}".encode() in content)
        self.offered[sender] += 1
        return SUSPICIOUS if sender == RIVAL and b"@gmail.test" in content else None


async def test_only_the_tenant_at_fault_is_suspended(tmp_path):
    taste = Taste()
    script = Script(reaction=taste, starttls=Starttls.GOOD)
    async with LabDns(ZONE) as dns, PeerReceiver(script) as mx:
        async with running_box(tmp_path, dns, mx.port, **_settings()) as box:
            await _prepare(box)
            await asyncio.gather(
                _post(box, RIVAL, "gmail.test", 40), _post(box, ACME, "gmail.test", 40)
            )
            await until(lambda: mx.count == 40, seconds=15)
            rest = await _the_rest_waits(box, 40)
            assert TIMES <= taste.offered[RIVAL] <= TIMES + AT_ONCE
            await _the_story_names_the_tenant(box)

            await _post(box, ACME, "gmail.test", 20)
            await _post(box, RIVAL, "good.test", 20)
            await until(lambda: mx.count == 80, seconds=15)
            assert taste.offered[ACME] == 60
            assert {row["id"] for row in await waiting(box)} == rest


def _settings():
    door = open_door(acme="127.0.1.0/24", rival="127.0.2.0/24")
    return {"shaping": {"file": ""}, "queue": PATIENT, **door}


async def _prepare(box):
    await box.cli("egress", "create", "out11", "--address", "127.0.0.11")
    await box.cli("tenant", "create", "rival")
    await box.cli("domain", "create", RIVAL, "--tenant", "rival", "--assume-verified")
    await took_effect(box)


async def _post(box, sender, domain, count):
    letters = [Letter(to=f"u{n}@{domain}", sender=f"orders@{sender}") for n in range(count)]
    await post(box.submission, letters, source=FROM[sender])


async def _the_rest_waits(box, count):
    """Those who were refused for their time, the others for the tenant's: with the remote's words."""

    found = {}

    async def waits():
        rows = await waiting(box)
        reasons = Counter(row["reason"] for row in rows)
        of_tenant = sum(n for why, n in reasons.items() if SUSPENDED in why)
        found["rest"] = {row["id"] for row in rows}
        is_told = all(SUSPICIOUS in why for why in reasons) and len(reasons) == 2
        return is_told and len(rows) == count and of_tenant >= count - TIMES - AT_ONCE

    await until(waits, seconds=15)
    return found["rest"]


async def _the_story_names_the_tenant(box):
    await until(lambda: throttles_of(box), seconds=15)  # written down a moment after it acts
    (throttle,) = await throttles_of(box)
    tenants = {one["name"]: one["id"] for one in await box.cli("tenant", "list")}
    assert throttle.subject == ("out11", "google", tenants["rival"], "")
    explained = await box.cli("shaping", "explain", "gmail.test")
    (egress,) = explained["egresses"]
    (told,) = egress["throttles"]
    assert told["tenant_id"] == tenants["rival"]
    assert told["state"].startswith("suspended until ")
    assert told["why"] == f'"{SUSPICIOUS}" (rule google-suspicious-message)'
    assert egress["rate"] == explained["limits"]["message_rate"]
