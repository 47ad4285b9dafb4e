"""The names of aiosmtplib that are used below its documented surface: one test for each."""

from __future__ import annotations

import asyncio

import aiosmtplib
import aiosmtplib.protocol

from appliance.lab.receiver import Receiver
from appliance.lab.script import Point, Script
from mta.transport.smtp_conversation import PRIVATE, SUPPORTED
from tests.support.delivery import until


async def client_of(mx: Receiver) -> aiosmtplib.SMTP:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=mx.port, start_tls=False, timeout=1)
    await client.connect()
    return client


def test_every_private_name_has_a_test_here() -> None:
    assert PRIVATE == ("SMTP.protocol", "SMTP.transport", "SMTPProtocol._buffer")


def test_the_version_is_the_one_that_was_read() -> None:
    assert aiosmtplib.__version__.startswith(SUPPORTED)


async def test_smtp_protocol_is_the_protocol_while_connected() -> None:
    async with Receiver() as mx:
        client = await client_of(mx)
        assert isinstance(client.protocol, aiosmtplib.protocol.SMTPProtocol)
        client.close()


async def test_smtp_transport_lets_another_protocol_take_over() -> None:
    class Heard(asyncio.Protocol):
        data = b""

        def data_received(self, data: bytes) -> None:
            self.data += data

    async with Receiver() as mx:
        client = await client_of(mx)
        transport, heard = client.transport, Heard()
        assert isinstance(transport, asyncio.Transport)
        transport.set_protocol(heard)
        transport.write(b"HELO x\r\n")
        await until(lambda: bool(heard.data))
        assert heard.data == b"250 mx.lab\r\n"
        transport.abort()


async def test_smtp_protocol_buffer_holds_what_nobody_asked_for() -> None:
    async with Receiver(Script(always={Point.EHLO: "250 mx\r\n250 more"})) as mx:
        client = await client_of(mx)
        await client.ehlo()
        assert client.protocol is not None
        assert bytes(client.protocol._buffer) == b"250 more\r\n"
        client.close()
