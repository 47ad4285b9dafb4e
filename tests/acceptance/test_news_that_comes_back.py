"""Bounces and complaints through the real inbound listener: they change the recipient and suppress."""

from __future__ import annotations

import asyncio
import re
import smtplib

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.world import late_bounce
from tests.support.bounce_corpus import samples
from tests.support.box import running_box
from tests.support.records import took_effect
from tests.support.way import until

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}


def _send(box, to: str) -> None:
    with smtplib.SMTP(*box.submission, timeout=10) as client:
        client.starttls()
        client.login(box.login.username, box.login.password)
        text = f"From: orders@shop.test\r\nTo: {to}\r\nSubject: hello\r\n\r\nhi\r\n"
        client.sendmail("orders@shop.test", [to], text)


def _report(box, return_path: str, data: bytes) -> tuple[int, bytes]:
    with smtplib.SMTP(*box.inbound, timeout=10) as client:
        client.ehlo("mx.good.test")
        client.docmd("MAIL", "FROM:<>")
        code, text = client.docmd("RCPT", f"TO:<{return_path}>")
        if code != 250:
            return code, text
        return client.data(data)


async def test_a_late_bounce_marks_the_recipient_suppresses_it_and_later_mail_is_not_sent(tmp_path):
    async with LabDns(ZONE) as dns, Receiver() as mx:
        async with running_box(tmp_path, dns, mx.port) as box:
            await asyncio.to_thread(_send, box, "gone@good.test")
            await until(lambda: mx.count == 1)
            received = mx.messages[0]
            answer = await asyncio.to_thread(
                _report, box, received.mail_from, late_bounce(received)
            )
            assert answer[0] == 250
            await until(lambda: _suppressed(box, "gone@good.test"), seconds=20)
            await until(lambda: _told(box, "gone@good.test", "bounced_late"), seconds=20)
            await took_effect(box)
            await asyncio.to_thread(_send, box, "gone@good.test")
            await asyncio.sleep(1)
            assert mx.count == 1


async def test_a_forged_return_path_is_refused_and_suppresses_nobody(tmp_path):
    async with LabDns(ZONE) as dns, Receiver() as mx:
        async with running_box(tmp_path, dns, mx.port) as box:
            await asyncio.to_thread(_send, box, "jane@good.test")
            await until(lambda: mx.count == 1)
            received = mx.messages[0]
            local, _, domain = received.mail_from.partition("@")
            swapped = "a" if local[5] != "a" else "b"
            forged = f"{local[:5]}{swapped}{local[6:]}@{domain}"
            code, _ = await asyncio.to_thread(_report, box, forged, late_bounce(received))
            assert code == 550
            elsewhere = await asyncio.to_thread(_report, box, "x@foreign.test", b"hi")
            assert elsewhere[0] == 550
            await asyncio.sleep(1)
            assert not await box.cli("suppression", "list")


async def test_every_standard_report_of_the_corpus_is_taken_and_read(tmp_path):
    """To one message each; reports about somebody else change nobody."""
    rows = [*samples(kind="feedback"), *samples(kind="bounce", form="rfc3464")]
    assert len(rows) > 50
    async with LabDns(ZONE) as dns, Receiver() as mx:
        async with running_box(tmp_path, dns, mx.port) as box:
            await asyncio.to_thread(_send, box, "jane@good.test")
            await until(lambda: mx.count == 1)
            token = mx.messages[0].mail_from
            taken = 0
            for row in rows:
                data = re.sub(rb"\r?\n|\r", b"\r\n", row.read()).replace(b"\0", b"")
                code, text = await asyncio.to_thread(_report, box, token, data)
                assert code in (250, 554), (row.file, code, text)
                taken += code == 250
            assert taken > 0.9 * len(rows)
            done = box.home.inbound("done")
            unreadable = box.home.inbound("unreadable")
            await until(
                lambda: len(list(done.glob("*"))) + len(list(unreadable.glob("*"))) == taken,
                seconds=60,
            )
            print(f"{taken} of {len(rows)} taken, {len(list(unreadable.glob('*')))} unreadable")


async def _suppressed(box, address: str) -> bool:
    found = await box.cli("suppression", "list")
    return address in str(found)


async def _told(box, address: str, status: str) -> bool:
    """The log tells a moment later than the suppression list, which is asked by the mail itself."""
    found = await box.cli("messages", "list", "--address", address)
    return status in str(found)
