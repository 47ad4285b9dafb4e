"""What comes back to a real box: a bounce, a forged one, a complaint, mail to its postmaster."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import aiosmtplib
import httpx
from prometheus_client.parser import text_string_to_metric_families

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from tests.support.box import DOMAIN, HOSTNAME, running_box
from tests.support.inbound import arf, dsn
from tests.support.records import took_effect
from tests.support.way import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.box import RunningBox

LETTER = (
    b"From: who@example.org\r\nTo: postmaster@box.test\r\nSubject: spam\r\n"
    b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nStop.\r\n"
)
RECEIVER = "127.0.1.1"
ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": [RECEIVER]}}


@contextlib.asynccontextmanager
async def box_and_receiver(
    tmp_path: Path, **changes: Any
) -> AsyncIterator[tuple[RunningBox, Receiver]]:
    receiver = Receiver()
    await receiver.start(RECEIVER)
    try:
        async with LabDns(ZONE) as dns, running_box(tmp_path, dns, receiver.port, **changes) as box:
            yield box, receiver
    finally:
        await receiver.stop()


async def submit(box: RunningBox, to: str) -> str:
    """The id of a message that was accepted."""
    address, port = box.submission
    _, answer = await aiosmtplib.send(
        f"From: orders@shop.test\r\nTo: {to}\r\nSubject: order\r\n\r\nhi\r\n".encode(),
        hostname=address,
        port=port,
        username=box.login.username,
        password=box.login.password,
        sender="orders@shop.test",
        recipients=[to],
        start_tls=True,
        validate_certs=False,
        local_hostname="app.test",
    )
    return answer.rsplit(" ", 1)[-1]


async def come_back(box: RunningBox, to: str, content: bytes, sender: str = "<>") -> str:
    """Deliver to the inbound listener as another host would; the refusal or "250 ..."."""
    address, port = box.inbound
    client = aiosmtplib.SMTP(hostname=address, port=port, local_hostname="mx.good.test")
    await client.connect(start_tls=True, validate_certs=False)
    try:
        await client.ehlo()
        await client.execute_command(b"MAIL", f"FROM:{sender}".encode())
        answer = await client.execute_command(b"RCPT", f"TO:<{to}>".encode())
        if answer.code != 250:
            return f"{answer.code} {answer.message}"
        taken = await client.data(content)
        return f"{taken.code} {taken.message}"
    finally:
        client.close()


async def kinds(box: RunningBox, message_id: str) -> set[str]:
    shown = await box.cli("messages", "show", message_id)
    return {event["kind"] for event in shown["events"]}


async def suppressed(box: RunningBox) -> set[str]:
    return {entry["target"] for entry in await box.cli("suppression", "list")}


async def test_a_bounce_that_comes_back_later_suppresses_its_recipient_and_nobody_else(
    tmp_path: Path,
) -> None:
    async with box_and_receiver(tmp_path) as (box, receiver):
        message_id = await submit(box, "jane@good.test")
        await until(lambda: receiver.messages)
        return_path = receiver.messages[0].mail_from
        # The domain's own, once the worker has seen its record in DNS; the box's until then.
        assert return_path[34:] in (f"@bounces.{HOSTNAME}", f"@bounces.{DOMAIN}")
        forged = return_path[0:20] + "aaaaaaaaaaaaaa" + return_path[34:]
        assert (await come_back(box, forged, dsn("jane@good.test"))).startswith("550 5.1.1")
        assert (await come_back(box, "ann@good.test", b"")).startswith("550 5.7.1")
        assert await suppressed(box) == set()

        answer = await come_back(box, return_path, dsn("jane@good.test"))
        assert answer.startswith("250 2.0.0 notice kept as")

        async def told() -> bool:
            return "bounced_late" in await kinds(box, message_id)

        await until(told, seconds=15)

        async def is_suppressed() -> bool:
            return await suppressed(box) == {"jane@good.test"}

        await until(is_suppressed, seconds=15)
        await took_effect(box)
        again = await submit(box, "jane@good.test")

        async def settled() -> bool:
            return "suppressed" in await kinds(box, again)

        await until(settled, seconds=15)
        assert len(receiver.messages) == 1


async def test_a_complaint_finds_its_message_also_after_inbound_was_killed(tmp_path: Path) -> None:
    async with box_and_receiver(tmp_path) as (box, receiver):
        message_id = await submit(box, "jane@good.test")
        await until(lambda: receiver.messages)
        report = arf(mail_from=receiver.messages[0].mail_from)
        answer = await come_back(box, f"fbl@bounces.{HOSTNAME}", report)
        os.kill(box.pids()["inbound"], signal.SIGKILL)
        assert answer.startswith("250")

        async def told() -> bool:
            return "complained" in await kinds(box, message_id)

        await until(told, seconds=20)

        async def is_suppressed() -> bool:
            return await suppressed(box) == {"jane@good.test"}

        await until(is_suppressed, seconds=15)


async def test_mail_to_postmaster_reaches_the_admin_and_the_metrics_tell_of_all(
    tmp_path: Path,
) -> None:
    async with box_and_receiver(tmp_path, box={"postmaster": "admin@good.test"}) as (box, receiver):
        answer = await come_back(box, f"abuse@{HOSTNAME}", LETTER, "<who@example.org>")
        assert answer.startswith("250")
        await until(lambda: receiver.messages, seconds=15)
        (received,) = receiver.messages
        assert received.mail_from == ""
        assert received.recipients == ("admin@good.test",)
        assert received.data.endswith(LETTER)
        async with httpx.AsyncClient() as client:
            health = (await client.get(f"{box.web}/health")).json()
            text = (await client.get(f"{box.web}/metrics")).text
        assert set(health["processes"]) == {"mta-0", "inbound", "worker", "web"}
        samples = {
            (sample.name, sample.labels["process"], sample.labels.get("result"))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.value
        }
        assert ("pillarbox_bounces_in_total", "inbound", "postmaster") in samples
        assert ("pillarbox_delivered_total", "mta-0", None) in samples
