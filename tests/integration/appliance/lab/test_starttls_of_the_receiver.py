"""The laboratory's receiver hears what comes together with the end of the client's handshake."""

from __future__ import annotations

import asyncio
import ssl

from appliance.lab.receiver import Receiver
from appliance.lab.script import Script, Starttls


async def test_ehlo_in_one_packet_with_the_end_of_the_handshake_is_answered():
    async with Receiver(Script(starttls=Starttls.GOOD)) as receiver, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        assert (await reader.readline()).startswith(b"220 ")
        writer.write(b"STARTTLS\r\n")
        assert (await reader.readline()).startswith(b"220 ")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
        tls.write(b"EHLO client.example\r\n")
        writer.write(outgoing.read())  # the end of the handshake, and EHLO behind it
        answer = b""
        while b"\n250 " not in answer:
            incoming.write(await reader.read(65536))
            try:
                answer += tls.read(65536)
            except ssl.SSLWantReadError:
                continue  # a session ticket
        writer.close()
    assert b"STARTTLS" not in answer
