"""Listener: what a client of port 25 may do, from its first recipient to "250 notice kept".

Everything is decided at RCPT: only the box's own addresses are taken (addresses.py), whoever sends,
and nothing is ever bounced later: never an open relay, never backscatter. "250" is said when the raw
notice is on disk (dropbox.py); what it means is found out afterwards (apply.py).

Refuses with 550 (not ours), 452 4.7.1 (too many in this minute; refused recipients count too, so that
guessing is slow), 452 4.3.1 (disk full), 451 4.3.0 (store broken). No AUTH.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from appliance.core import clock
from appliance.core.errors import StoreError, StoreFullError
from mta.bounce.addresses import NotOurs, own_address
from mta.bounce.dropbox import Arrived
from mta.policy.refusal import Refused
from mta.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.bounce.addresses import Why
    from mta.bounce.dropbox import Dropbox
    from mta.bounce.rate import Rate
    from mta.bounce.return_path import ReturnPathKeys
    from mta.directory import Directory
    from mta.message import RecipientRequest
    from mta.submission.commands import MailCommand
    from mta.submission.service import Peer, Transaction


class Observer(Protocol):
    """Told what is refused here (metrics)."""

    def not_ours(self, why: Why) -> None:
        """A recipient was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the sessions of the inbound listener work with."""

    directory: Callable[[], Directory]
    keys: ReturnPathKeys
    dropbox: Dropbox
    rate: Rate
    observer: Observer
    now: Callable[[], int] = clock.now_ms

    def session_of(self, peer: Peer) -> InboundSession:
        """A handler for one connection."""
        return InboundSession(self, peer)


class InboundSession:
    """The handler of one connection."""

    def __init__(self, desk: Desk, peer: Peer) -> None:
        self._desk, self._peer = desk, peer

    def on_connect(self) -> None:
        """Everybody may connect."""

    async def on_auth(self, username: str, password: str) -> None:
        """There is nothing to log in to; the service does not offer it."""
        raise Refused(502, "5.5.1", "AUTH is not offered here")

    def on_mail(self, mail: MailCommand) -> None:
        """Any sender, the null one too; not too many at once."""
        self._take_turn()

    def on_rcpt(self, recipient: RecipientRequest) -> RecipientRequest:
        """Only addresses of our own."""
        desk = self._desk
        try:
            own_address(recipient.address, desk.directory(), desk.keys, desk.now())
        except NotOurs as refusal:
            desk.observer.not_ours(refusal.why)
            self._take_turn()
            raise
        return recipient

    async def on_data(self, transaction: Transaction) -> Reply:
        """Put the notice on disk."""
        try:
            notice_id = await asyncio.to_thread(
                self._desk.dropbox.put, self._envelope(transaction), transaction.data
            )
        except StoreFullError as error:
            raise Refused(
                452,
                "4.3.1",
                "no space left; the notice was not taken, try again later",
                log=str(error),
            ) from error
        except StoreError as error:
            raise Refused(
                451, "4.3.0", "the notice could not be stored; try again later", log=str(error)
            ) from error
        return Reply(250, "2.0.0", f"notice kept as {notice_id}")

    def _take_turn(self) -> None:
        if not self._desk.rate.take(self._peer.address, self._desk.now()):
            raise Refused(452, "4.7.1", "too many notices from your address; wait a minute")

    def _envelope(self, transaction: Transaction) -> Arrived:
        client = self._peer.client()
        return Arrived(
            at=self._desk.now(),
            sender=transaction.mail.sender,
            recipients=tuple(recipient.address for recipient in transaction.recipients),
            client=client.address,
            port=client.port,
            helo=client.helo,
            tls=client.tls,
            protocol=client.protocol,
        )
