"""/health tells 200 and 503, /metrics is read by Prometheus' own parser."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from tests.support.box import running_box
from tests.support.third_party import require_command
from tests.support.way import until

pytestmark = pytest.mark.alone


async def test_health_is_503_while_a_process_hangs_and_200_when_it_goes_on(tmp_path):
    async with LabDns({}) as dns, Receiver() as mx:
        async with running_box(tmp_path, dns, mx.port) as box:
            pid = box.pids()["mta-0"]
            os.kill(pid, signal.SIGSTOP)
            try:
                await until(lambda: _status(box, 503), seconds=20)
            finally:
                os.kill(pid, signal.SIGCONT)
            await until(lambda: _status(box, 200), seconds=20)


async def test_metrics_are_read_by_promtool_and_count_what_happened(tmp_path):
    require_command("promtool", "prometheus")
    async with LabDns({}) as dns, Receiver() as mx:
        async with running_box(tmp_path, dns, mx.port) as box:
            async with httpx.AsyncClient() as client:
                text = (await client.get(f"{box.web}/metrics")).text
            done = await asyncio.to_thread(
                subprocess.run,
                ["promtool", "check", "metrics"],
                input=text,
                text=True,
                capture_output=True,
                check=False,
            )
            families = {family.name: family for family in text_string_to_metric_families(text)}
    assert done.returncode == 0, done.stdout + done.stderr
    up = {sample.labels["process"]: sample.value for sample in families["pillarbox_up"].samples}
    assert up == {"mta-0": 1, "inbound": 1, "worker": 1, "web": 1}
    assert "pillarbox_commit_seconds" in families
    waiting = {
        sample.labels["status"]: sample.value
        for sample in families["pillarbox_queue_recipients"].samples
        if sample.labels["process"] == "mta-0"
    }
    assert (waiting["queued"], waiting["deferred"], waiting["held"]) == (0, 0, 0)
    ages = {sample.value for sample in families["pillarbox_queue_oldest_seconds"].samples}
    assert ages == {0}


async def _status(box, wanted: int) -> bool:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{box.web}/health", timeout=10)).status_code == wanted
