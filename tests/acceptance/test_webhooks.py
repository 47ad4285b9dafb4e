"""Webhooks of a whole box: kill -9 of the worker under load, and every event arrives, in order per message.

An event may come twice, when the worker died after the receiver had taken it; then under the same name, which
is how a receiver knows. What arrives is checked by the standardwebhooks package.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from typing import Any

from standardwebhooks import Webhook

from appliance.core.scope import Scope
from appliance.history import EventFilters, LogReader, cursor_at, follow
from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Script
from tests.support.box import running_box
from tests.support.load import Ledger, client
from tests.support.way import until
from tests.support.webhooks import OK, Got, answer, receiver

KILLS = 4
ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
SETTINGS = {
    "webhooks": {"allow_http": True, "allow_networks": ["127.0.0.0/8"], "retry": [0.1, 0.5]},
    "submission": {"trusted_networks": [{"network": "127.0.0.0/8", "tenant": "acme"}]},
    "listeners": {"submission": {"address": "127.0.0.1", "port": 0, "tls": "none"}},
}


async def test_killing_the_worker_loses_no_event_and_no_order(tmp_path):
    dice = random.Random(5)

    async def now_and_then(_: Got) -> bytes:
        await asyncio.sleep(dice.uniform(0, 0.01))
        return OK if dice.random() < 0.95 else answer(503)

    async with receiver() as dead:
        gone = dead.url
    async with (
        LabDns(ZONE) as dns,
        Receiver(Script(keep=False)) as mx,
        receiver(now_and_then) as shop,
        running_box(tmp_path, dns, mx.port, **SETTINGS) as box,
    ):
        made = await _made(box, shop, gone)
        accepted = await _mail_and_kills(box, shop)
        await until(lambda: mx.count >= accepted, seconds=60)
        await until(lambda: len(_events(shop)) >= 2 * accepted, seconds=90)
        wanted = _logged(box)
        await until(lambda: set(wanted) <= _events(shop), seconds=60)
        for got in shop.got[-20:]:
            Webhook(made["secret"]).verify(got.body, got.headers)
        deliveries = await box.cli("webhook", "deliveries", str(made["id"]), "--limit", "5")
        assert {one["status"] for one in deliveries} <= {200, 503}
        first = list(shop.got)
        await _replayed(box, shop, wanted[-1], made["id"])
        await _changed(box, made)
    _every_message_in_order(first)
    times = Counter(got.name for got in first)
    print(f"\n{KILLS} kills, {len(wanted)} events, {sum(times.values()) - len(times)} came again")
    assert len(wanted) > 50 * KILLS


async def _made(box, shop, gone: str) -> dict[str, Any]:
    """An endpoint that lives, tried out, and one that is dead."""
    made = await box.cli("webhook", "create", shop.url, "--tenant", "acme")
    await box.cli("webhook", "create", gone, "--tenant", "acme")
    tried = await box.cli("webhook", "test", str(made["id"]))
    assert (tried["outcome"], tried["status"]) == ("taken", 200)
    assert (await box.cli("webhook", "test", "2", expect=1))["outcome"] == "failed"
    shop.got.clear()
    return made


async def _mail_and_kills(box, shop) -> int:
    """Mail while the worker is killed again and again; how many messages were accepted."""
    ledger, stop = Ledger(), asyncio.Event()
    clients = [asyncio.create_task(client(box.submission, ledger, stop)) for _ in range(2)]
    for _ in range(KILLS):
        before = len(shop.got)
        await until(lambda before=before: len(shop.got) > before + 50, seconds=60)
        await until(lambda: "worker" in box.pids(), seconds=60)
        os.kill(box.pids()["worker"], signal.SIGKILL)
    stop.set()
    await asyncio.gather(*clients)
    return len(ledger.acknowledged)


def _events(shop) -> set[str]:
    return {got.json["data"]["event_id"] for got in shop.got}


def _logged(box) -> list[str]:
    """Every event of the log, in the order in which they came."""
    log = LogReader(box.home.log_dir)
    cursor = cursor_at(0)
    every = follow(log, Scope.system(), EventFilters(), cursor=cursor, rest=lambda: False)
    found = [event.id for event in every]
    log.close()
    return found


async def _replayed(box, shop, event: str, webhook: int) -> None:
    shop.got.clear()
    await box.cli("webhook", "replay", str(webhook), "--event", event)
    seen = lambda: [got.json["data"]["event_id"] for got in shop.got]  # noqa: E731
    await until(lambda: event in seen(), seconds=30)
    job = await box.cli("webhook", "replay", str(webhook), "--all", "--since", "1h")
    ended = await box.cli("job", "show", str(job["job"]), "--wait")
    assert ended["state"] == "done", ended
    await until(lambda: len(set(seen())) >= ended["result"]["replayed"], seconds=60)


async def _changed(box, made) -> None:
    """What else people do with an endpoint."""
    one = str(made["id"])
    changed = await box.cli("webhook", "update", one, "--type", "message.bounced")
    assert changed["types"] == ["message.bounced"]
    assert (await box.cli("webhook", "rotate", one))["secret"] != made["secret"]
    assert not (await box.cli("webhook", "disable", one, "--reason", "repairs"))["enabled"]
    assert (await box.cli("webhook", "show", one))["disabled_reason"] == "repairs"
    assert (await box.cli("webhook", "enable", one, "--skip"))["enabled"]
    await box.cli("webhook", "delete", one, "--yes")
    assert [each["id"] for each in await box.cli("webhook", "list")] == [2]


def _every_message_in_order(got: list[Got]) -> None:
    """The first time each event came: after the ones before it."""
    first: dict[str, Got] = {}
    for one in got:
        first.setdefault(one.name, one)
    order: dict[str, list[int]] = {}
    for one in first.values():
        data = one.json["data"]
        order.setdefault(data["message_id"], []).append(int(data["event_id"].rpartition(".")[2]))
    assert all(seqs == sorted(seqs) for seqs in order.values())
