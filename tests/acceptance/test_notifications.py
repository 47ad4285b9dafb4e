"""An admin stops all sending, and the people of the box hear of it by mail, through the box that is stopped."""

from __future__ import annotations

import email
import email.policy

from appliance.core.database import open_engine
from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.people import Users
from tests.support.box import SCOPE, running_box
from tests.support.way import until

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}


async def test_the_news_of_a_stop_passes_the_stop_and_comes_once(tmp_path):
    async with LabDns(ZONE) as dns, Receiver() as mx:
        async with running_box(tmp_path, dns, mx.port) as box:
            engine = open_engine(box.home.control_db)
            await Users(engine).create(SCOPE, email="root@good.test", name="Root", role="admin")
            await engine.dispose()
            await box.cli("kill-switch", "on", "--reason", "an address is blocked")
            await until(lambda: mx.count == 1, seconds=40)
            (arrived,) = mx.messages
            assert arrived.recipients == ("root@good.test",)
            message = email.message_from_bytes(arrived.data, policy=email.policy.SMTP)
            assert "an address is blocked" in message.get_content()
            assert "kill-switch off" in message.get_content()
            assert (await box.cli("kill-switch", "status"))["is_on"]
            await box.cli("kill-switch", "off")
