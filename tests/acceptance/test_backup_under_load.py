"""A backup made under load and restored on an empty machine: nothing that was acknowledged before is lost.

The old box goes on after the backup and is killed. Twice is sent only what it delivered after the backup
had begun, and with --hold nothing at all before somebody says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from appliance.core.database import sqlite_connect
from appliance.core.home import Home
from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Script
from tests.support.box import RunningBox, running_box, serving
from tests.support.load import Ledger, client
from tests.support.way import until

ZONE = {
    "good.test": {"MX": ["10 mx.good.test."]},
    "mx.good.test": {"A": ["127.0.0.1"]},
    "slow.test": {"MX": ["10 mx.slow.test."]},
    "mx.slow.test": {"A": ["127.0.0.1"]},
}
ADDRESS = re.compile(r"u(\d+)@")
NUMBER = re.compile(rb"\r\nX-Number: (\d+)\r\n")
BOX = {
    "spool": {"processes": 2},
    "submission": {"trusted_networks": [{"network": "127.0.0.0/8", "tenant": "acme"}]},
    "listeners": {"submission": {"address": "127.0.0.1", "port": 0, "tls": "none"}},
}


class World:
    """How often each letter arrived."""

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()

    def take(self, received) -> None:
        self.seen[int(NUMBER.search(received.data).group(1))] += 1


def delivered_by_the_log(home: Home) -> set[int]:
    """Letters whose delivery is on disk: the log is told of it after that."""
    found = set()
    for file in home.log_dir.glob("????-??-??.db"):
        with contextlib.closing(sqlite_connect(file, readonly=True)) as connection:
            rows = connection.execute(
                "SELECT address FROM log_recipient WHERE status = 'delivered'"
            )
            found |= {int(ADDRESS.match(address)[1]) for (address,) in rows}
    return found


async def back_up_under_load(
    old: RunningBox, ledger: Ledger, folder: Path
) -> tuple[set[int], set[int], str]:
    """Clients send on while the backup is made, and for a while after.

    What was acknowledged before, what of it was delivered by then, and where the backup is.
    """
    await old.cli("backup", "new-key", str(folder / "key"))
    stop = asyncio.Event()
    domains = ("good.test", "good.test", "slow.test", "slow.test")
    clients = [asyncio.create_task(client(old.submission, ledger, stop, one)) for one in domains]
    try:
        await until(lambda: len(ledger.acknowledged) > 400, seconds=60)
        before = set(ledger.acknowledged)
        await until(lambda: len(delivered_by_the_log(old.home)) > 100, seconds=60)
        done = delivered_by_the_log(old.home)
        key = str(folder / "key")
        made = await old.cli("backup", str(folder / "backups"), "--key-file", key)
        assert made["verified"] is True, made
        await old.cli("queue", "resume", "--domain", "slow.test")  # these make the window
        await asyncio.sleep(0.5)
    finally:
        stop.set()
        await asyncio.gather(*clients)
    return before, done, made["path"]


async def kill(box: RunningBox) -> None:
    """As when the machine is gone."""
    for pid in (*box.pids().values(), box.process.pid):
        os.kill(pid, signal.SIGKILL)
    await box.process.wait()
    await until(lambda: not box.pids(), seconds=30)


async def let_go(box: RunningBox, world: World) -> None:
    """Nothing has left that was held; now it may."""
    before = Counter(world.seen)
    await asyncio.sleep(1)
    assert world.seen == before, "something left that was held"
    await box.cli("queue", "release", "--domain", "slow.test", "--yes")
    await box.cli("queue", "release", "--domain", "good.test", "--yes")


@pytest.mark.parametrize("hold", [False, True], ids=["sent at once", "held"])
async def test_nothing_is_lost_and_only_the_window_is_doubled(tmp_path, hold):
    world, ledger = World(), Ledger()
    async with LabDns(ZONE) as dns, Receiver(Script(keep=False), on_message=world.take) as mx:
        async with running_box(tmp_path, dns, mx.port, **BOX) as old:
            await old.cli("queue", "pause", "--domain", "slow.test", "--reason", "test")
            before, done, backup = await back_up_under_load(old, ledger, tmp_path)
            await kill(old)
        early = set(world.seen)
        old.home = Home(tmp_path / "new")
        words = ["restore", backup, "--key-file", str(tmp_path / "key")]
        restored = await old.cli(*words, *(["--hold"] if hold else []))
        async with serving(old.home, old.login, dns, old.tenant_id, tmp_path / "new.log") as new:
            if hold:
                assert restored["held"] == restored["waiting"] > 0
                await let_go(new, world)
            await new.cli("queue", "resume", "--domain", "slow.test")
            missing = lambda: before - world.seen.keys()  # noqa: E731
            await until(lambda: not missing(), seconds=60)
            await until(lambda: sum(world.seen.values()) >= len(early) + restored["waiting"])
            checked = await new.cli("spool", "check")
    doubled = {number for number, count in world.seen.items() if count > 1}
    print(
        f"\n{len(before)} acknowledged before, {len(ledger.acknowledged)} in all,"
        f" {restored['waiting']} waited in the backup, {len(doubled)} doubled"
    )
    assert checked["sound"], checked
    assert max(world.seen.values()) <= 2
    assert doubled <= early, "sent twice by one box"
    assert not doubled & done, "sent again, and had been delivered before the backup began"
    assert len(doubled) <= restored["waiting"], "more than waited when the backup was made"
