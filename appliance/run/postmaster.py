"""Postmaster: mail to postmaster@ and abuse@ of the box's names, sent on to its admin.

It goes out as it came, with the null sender, so that no answer to it can come back and go round. The
notice's id is its idempotency key: a notice that is read twice is sent on once. What strangers wrote
into X-Pillarbox-* headers is taken out: those are for the box's own applications.
Returns False, and sends nothing, when no admin is set or the admin's address is one of the box's own.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.run.handover import BOX_CREDENTIAL, BOX_TENANT
from mta.message import Client, RecipientRequest, Source, Submission

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mta.bounce.dropbox import Item
    from mta.directory import Directory

_log = logging.getLogger(__name__)
_CONTROL: Final = re.compile(
    rb"^x-pillarbox-[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", re.IGNORECASE | re.MULTILINE
)


class Postmaster:
    """Sends mail on to the admin."""

    def __init__(
        self,
        address: str,
        submit: Callable[[Submission], Awaitable[int]],
        directory: Callable[[], Directory],
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        """`address` "": nobody. `submit` raises Refused or StoreError."""
        self._address, self._submit = address, submit
        self._directory, self._now = directory, now

    async def __call__(self, item: Item) -> bool:
        """Send one notice on; True once it is safe in the queue."""
        if not self._address:
            return False
        domain, directory = self._address.rpartition("@")[2].lower(), self._directory()
        if domain in directory.own_names | directory.bounce_domains:
            _log.warning("box.postmaster is an address of the box itself: give one elsewhere")
            return False
        await self._submit(forwarded(item, self._address, self._now()))
        return True


def forwarded(item: Item, to: str, now: int) -> Submission:
    """The notice as a message of the box; pure."""
    arrived = item.arrived
    return Submission(
        source=Source.NOTICE,
        tenant=BOX_TENANT,
        credential=BOX_CREDENTIAL,
        client=Client(
            address=arrived.client,
            port=arrived.port,
            helo=arrived.helo,
            tls=arrived.tls,
            protocol=arrived.protocol,
        ),
        envelope_from="",
        recipients=(RecipientRequest(address=to),),
        data=_controls(item.id) + _without_controls(item.raw),
        received_at=now,
        body_8bit=not item.raw.isascii(),
    )


def _controls(notice_id: str) -> bytes:
    return (
        f"X-Pillarbox-Idempotency-Key: notice {notice_id}\r\nX-Pillarbox-Class: transactional\r\n"
    ).encode("ascii")


def _without_controls(raw: bytes) -> bytes:
    header, blank, body = raw.partition(b"\r\n\r\n")
    return _CONTROL.sub(b"", header + b"\r\n") + blank[2:] + body
