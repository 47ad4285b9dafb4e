"""Probe: an SMTP client over STARTTLS with AUTH that says what every answer was."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from control.people import Person

_PATIENCE: Final = 30.0
_HEAD: Final = (
    "Subject: probe\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nTo: <rcpt@dst.example>\r\n"
)


class Probe:
    """One session; use it in `async with`."""

    def __init__(self, port: int, person: Person) -> None:
        self._port, self._person = port, person
        self._number = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await self._reply()
        await self._need("EHLO probe.example", "250")
        await self._need("STARTTLS", "220")
        await self._writer.start_tls(context)
        await self._need("EHLO probe.example", "250")
        user, password, _ = self._person
        login = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        await self._need(f"AUTH PLAIN {login}", "235")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def may_send(self) -> str:
        """ "" when MAIL is accepted (and taken back), else the answer."""
        sender = self._person[2]
        answer = await self._say(f"MAIL FROM:<{sender}>")
        if not answer.startswith("250"):
            return answer
        await self._need("RSET", "250")
        return ""

    async def send(self) -> str:
        """Hand in a message; the last answer."""
        sender = self._person[2]
        self._number += 1
        self._writer.write(
            f"MAIL FROM:<{sender}>\r\nRCPT TO:<rcpt@dst.example>\r\nDATA\r\n".encode()
        )
        answers = [await self._reply() for _ in range(3)]
        if not answers[-1].startswith("354"):
            return answers[0]
        message_id = f"<{self._number}.{id(self)}@probe.example>"
        text = f"From: <{sender}>\r\n{_HEAD}Message-ID: {message_id}\r\n\r\nA probe.\r\n.\r\n"
        self._writer.write(text.encode())
        return await self._reply()

    async def _need(self, command: str, code: str) -> None:
        answer = await self._say(command)
        if not answer.startswith(code):
            raise OSError(f"{command.partition(' ')[0]} was answered {answer!r}")

    async def _say(self, command: str) -> str:
        self._writer.write(command.encode() + b"\r\n")
        return await self._reply()

    async def _reply(self) -> str:
        async with asyncio.timeout(_PATIENCE):
            while (line := await self._reader.readuntil(b"\n"))[3:4] == b"-":
                pass
        return line.decode("utf-8", "replace").strip()
