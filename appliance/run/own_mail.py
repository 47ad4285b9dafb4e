"""Own mail: letters that the box itself writes to people, through its own queue.

They go out from postmaster@ the box's name, signed with the box's key, with the null sender, so that no answer
to them comes back and goes round. Each is plain text in UTF-8; a line break in an address or a subject is an
error of the caller and never reaches a header. Raises Refused or StoreError when the queue does not take one.
"""

from __future__ import annotations

import base64
import re
import textwrap
import uuid
from email.header import Header
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.run.handover import BOX_CREDENTIAL, BOX_TENANT, Handover
from mta.message import Client, RecipientRequest, Source, Submission

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_LINE: Final = 76
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class BoxMail:
    """Sends letters of the box (appliance.people.Letters)."""

    def __init__(
        self,
        hostname: str,
        submit: Callable[[Submission], Awaitable[int]],
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        """`submit` hands a message to the queue; raises Refused or StoreError."""
        self._hostname, self._submit, self._now = hostname.lower(), submit, now

    async def send(self, to: str, subject: str, text: str, *, key: str = "") -> None:
        """Put one letter into the queue; with `key` once, however often it is asked for within a day."""
        now = self._now()
        head = b"X-Pillarbox-Class: transactional\r\n"
        if key:
            head += f"X-Pillarbox-Idempotency-Key: {key}\r\n".encode("ascii")
        letter = written(to, subject, text, hostname=self._hostname, now=now, id_=uuid.uuid4().hex)
        await self._submit(
            Submission(
                source=Source.NOTICE,
                tenant=BOX_TENANT,
                credential=BOX_CREDENTIAL,
                client=Client(address="", port=0, helo="", tls="", protocol="LOCAL"),
                envelope_from="",
                recipients=(RecipientRequest(address=to),),
                data=head + letter,
                received_at=now,
            )
        )


def at_once(socket: Path) -> Callable[[Submission], Awaitable[int]]:
    """Hands a letter to the process at this socket, over a connection of its own (command line)."""

    async def submit(submission: Submission) -> int:
        handover = Handover(socket)
        try:
            return await handover(submission)
        finally:
            await handover.close()

    return submit


def written(to: str, subject: str, text: str, *, hostname: str, now: int, id_: str) -> bytes:
    """The whole letter; pure. Raises ValueError for a line break where none may be."""
    if _CONTROL.search(to) or _CONTROL.search(subject) or not to.isascii():
        raise ValueError("an address or a subject of the box's own letter would break its header")
    body = base64.b64encode(text.replace("\r\n", "\n").replace("\n", "\r\n").encode()).decode()
    return (
        f"From: Pillarbox <postmaster@{hostname}>\r\n"
        f"To: <{to}>\r\n"
        f"Subject: {_encoded(subject)}\r\n"
        f"Date: {format_datetime(clock.aware(now))}\r\n"
        f"Message-ID: <{id_}@{hostname}>\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        "\r\n" + "".join(f"{line}\r\n" for line in textwrap.wrap(body, _LINE))
    ).encode("ascii")


def _encoded(subject: str) -> str:
    charset = "us-ascii" if subject.isascii() else "utf-8"
    return Header(subject, charset, header_name="Subject").encode(linesep="\r\n")
