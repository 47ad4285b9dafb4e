"""The same box on PostgreSQL: one setting, and a message goes all the way."""

from __future__ import annotations

import asyncio
import smtplib

import pytest

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from tests.support.box import running_box
from tests.support.way import until

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
pytestmark = pytest.mark.postgres


async def test_a_message_goes_all_the_way_with_everything_in_postgresql(tmp_path, postgres_url):
    async with LabDns(ZONE) as dns, Receiver() as mx:
        async with running_box(
            tmp_path, dns, mx.port, database={"url": postgres_url}, spool={"processes": 2}
        ) as box:

            def send() -> None:
                with smtplib.SMTP(*box.submission, timeout=60) as client:
                    client.starttls()
                    client.login(box.login.username, box.login.password)
                    for n in range(20):
                        text = f"From: orders@shop.test\r\nSubject: {n}\r\n\r\nhi\r\n"
                        client.sendmail("orders@shop.test", [f"u{n}@good.test"], text)

            await asyncio.to_thread(send)
            await until(lambda: mx.count == 20, seconds=20)

            async def logged() -> bool:
                found = await box.cli("messages", "list")
                return [m["status"] for m in found["messages"]] == ["delivered"] * 20

            await until(logged, seconds=20)
            assert not list(box.home.spool_dir.glob("*.db"))
