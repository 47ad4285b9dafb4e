"""A full disk: 452, the service stays up, goes on by itself when there is space, and loses nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess

import pytest

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Script
from tests.support.box import running_box
from tests.support.load import Ledger, client
from tests.support.way import until

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 96 MB of its own; needs root."""
    if os.geteuid() != 0:
        words = (
            "a small tmpfs can only be mounted by root: run the tests as root to see a full disk"
        )
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("floor", [8 << 20, 0], ids=["below the floor", "really full"])
async def test_a_full_disk_answers_452_and_goes_on_when_there_is_space(small_disk, floor):
    seen = set()
    async with (
        LabDns(ZONE) as dns,
        Receiver(Script(keep=False), on_message=lambda m: seen.add(m.recipients[0])) as mx,
    ):
        async with running_box(
            small_disk,
            dns,
            mx.port,
            spool={"min_free_bytes": floor},
            submission={"trusted_networks": [{"network": "127.0.0.0/8", "tenant": "acme"}]},
            listeners={"submission": {"address": "127.0.0.1", "port": 0, "tls": "none"}},
        ) as box:
            ledger, stop = Ledger(), asyncio.Event()
            work = [asyncio.create_task(client(box.submission, ledger, stop)) for _ in range(3)]
            await until(lambda: len(ledger.acknowledged) > 20, seconds=20)
            _fill(small_disk)
            before = len(ledger.refused)
            await until(lambda: len(ledger.refused) > before + 3, seconds=30)
            answers = {text[:9] for text in list(ledger.refused.values())[before + 1 :]}
            pids = box.pids()
            (small_disk / "ballast").unlink()
            taken = len(ledger.acknowledged)
            await until(lambda: len(ledger.acknowledged) > taken + 20, seconds=30)
            stop.set()
            await asyncio.gather(*work)
            await until(
                lambda: {f"u{n}@good.test" for n in ledger.acknowledged} <= seen, seconds=60
            )
            assert answers <= {"452 4.3.1", "451 4.3.0"}, answers
            assert "452 4.3.1" in answers
            assert box.pids()["mta-0"] == pids["mta-0"], "the process went down"


def _fill(place):
    # Unbuffered: a buffer that could not be written would be tried once more at the end.
    with (place / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"x" * 65536)
        except OSError:
            return
