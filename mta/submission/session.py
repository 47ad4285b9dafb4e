"""Session: what an application may do on one connection, from its login to "250 queued".

Stands between the protocol, which knows SMTP, and intake, which knows messages. The directory is
asked anew for each message: a login that was revoked, a tenant that was suspended stops at the next
MAIL of an open connection.

Refuses as the table "Bad input" of the specification has it: 530 5.7.0 before TLS and AUTH, 550 5.7.1
suspended tenant or foreign envelope sender, 421 4.7.0 revoked meanwhile; and turns failures of the
store into 452 4.3.1 (full) and 451 4.3.0. Never answers 250 before intake has returned.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from appliance.core import clock, ids
from appliance.core.errors import SecretError, StoreError, StoreFullError
from mta.message import RecipientRequest, Source, Submission
from mta.policy.address import parse_mailbox
from mta.policy.refusal import Refused
from mta.policy.sender import check_tenant
from mta.reply import Reply
from mta.submission.login import check_usable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.directory import Credential, Directory, Tenant
    from mta.submission.commands import MailCommand
    from mta.submission.login import Login, Uses
    from mta.submission.service import Peer, Transaction


class Intake(Protocol):
    """Makes a submission durable (mta/intake.py)."""

    async def accept(self, submission: Submission) -> int:
        """The id under which it is safe on disk. Raises Refused or StoreError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the sessions of one process work with."""

    hostname: str
    directory: Callable[[], Directory]
    login: Login
    uses: Uses
    intake: Intake
    now: Callable[[], int] = clock.now_ms

    def session_of(self, peer: Peer) -> SubmissionSession:
        """A handler for one connection."""
        return SubmissionSession(self, peer)


_ip_of = lru_cache(maxsize=4096)(ipaddress.ip_address)  # clients come back; parsing costs 3 µs


class SubmissionSession:
    """The handler of one connection."""

    def __init__(self, desk: Desk, peer: Peer) -> None:
        self._desk, self._peer = desk, peer
        self._username = ""
        self._credential: Credential
        self._tenant: Tenant
        self._sender = ""
        self._smtputf8 = False

    def on_connect(self) -> None:
        """A trusted network needs no login: its line ends are known from here on."""
        trusted = self._trusted()
        if trusted is not None:
            self._take(trusted)

    async def on_auth(self, username: str, password: str) -> None:
        """Check the login."""
        try:
            credential = await self._desk.login.check(self._peer.address, username, password)
        except Refused as refusal:
            known = self._desk.directory().credentials.get(username.lower()[:255])
            if known is not None:
                self._note(known, "", refusal)
            raise
        self._username = credential.username.lower()
        peer = self._peer
        self._desk.uses.note_use(credential.id, peer.address, self._desk.now(), peer.tls)
        self._take(credential)

    def on_mail(self, mail: MailCommand) -> None:
        """Whether this client may send, and in this name."""
        credential = self._current()
        tenant = self._desk.directory().tenants.get(credential.tenant_id)
        if tenant is None:
            raise Refused(451, "4.3.0", "the account of this login is not known; try again later")
        check_tenant(tenant)
        self._take(credential)
        self._tenant, self._smtputf8 = tenant, mail.smtputf8
        try:
            self._sender = self._checked_sender(mail) if mail.sender else ""
        except Refused as refusal:
            self._note(credential, mail.sender, refusal)
            raise

    def on_rcpt(self, recipient: RecipientRequest) -> RecipientRequest:
        """Whether it is an address, and may be written to."""
        try:
            return self._checked_recipient(recipient)
        except Refused as refusal:
            self._note(self._credential, self._sender, refusal)
            raise

    def _checked_recipient(self, recipient: RecipientRequest) -> RecipientRequest:
        address = recipient.address
        if address.lower() == "postmaster":  # RFC 5321 4.1.1.3: stands without a domain
            address = f"{address}@{self._desk.hostname}"
        address = str(parse_mailbox(address, smtputf8=self._smtputf8))
        if self._credential.refuse_suppressed:
            suppressions = self._desk.directory().suppressions
            if suppressions.match(self._credential.tenant_id, address):
                raise Refused(550, "5.7.1", f"{address} is on the suppression list of this account")
        if address == recipient.address:
            return recipient
        return RecipientRequest(address=address, notify=recipient.notify, orcpt=recipient.orcpt)

    async def on_data(self, transaction: Transaction) -> Reply:
        """Hand the message to intake and wait until it is safe."""
        try:
            return await self._handed_over(transaction)
        except Refused as refusal:
            self._note(self._credential, self._sender, refusal)
            raise

    async def _handed_over(self, transaction: Transaction) -> Reply:
        try:
            message_id = await self._desk.intake.accept(self._submission(transaction))
        except StoreFullError as error:
            raise Refused(
                452,
                "4.3.1",
                "no space left; the message was not taken, try again later",
                log=str(error),
            ) from error
        except (StoreError, SecretError) as error:
            raise Refused(
                451, "4.3.0", "the message could not be stored; try again later", log=str(error)
            ) from error
        return Reply(250, "2.0.0", f"queued as {ids.to_text(message_id)}")

    def _note(self, credential: Credential, sender: str, refusal: Refused) -> None:
        """Keep what was refused, for who waits for the credential's first message."""
        reply = refusal.reply
        words = f"{reply.code} {reply.enhanced} {reply.text}"
        self._desk.uses.note_rebuff(credential.id, sender, words, self._desk.now())

    def _submission(self, transaction: Transaction) -> Submission:
        mail = transaction.mail
        return Submission(
            source=Source.SMTP,
            tenant=self._tenant,
            credential=self._credential,
            client=self._peer.client(),
            envelope_from=self._sender,
            recipients=transaction.recipients,
            data=transaction.data,
            received_at=self._desk.now(),
            smtputf8=mail.smtputf8,
            body_8bit=mail.body_8bit,
            ret=mail.ret,
            envid=mail.envid,
        )

    def _current(self) -> Credential:
        """The credential as it stands now; what was true at login may have changed."""
        if self._username:
            credential = self._desk.directory().credentials.get(self._username)
            try:
                if credential is None:
                    raise Refused(535, "5.7.8", "this login was deleted")
                check_usable(credential, self._peer.address, self._desk.now())
            except Refused as refusal:
                raise Refused(421, "4.7.0", refusal.reply.text) from refusal
            return credential
        trusted = self._trusted()
        if trusted is not None:
            return trusted
        if not self._peer.tls:
            raise Refused(530, "5.7.0", "say STARTTLS first, then AUTH (or use the TLS port)")
        raise Refused(530, "5.7.0", "authentication required: say AUTH first")

    def _trusted(self) -> Credential | None:
        trusted = self._desk.directory().trusted
        if not trusted or not self._peer.address:
            return None
        ip = _ip_of(self._peer.address)
        return next((credential for network, credential in trusted if ip in network), None)

    def _take(self, credential: Credential) -> None:
        self._credential = credential
        if credential.normalise_line_ends:
            self._peer.normalise_line_ends = True

    def _checked_sender(self, mail: MailCommand) -> str:
        address = parse_mailbox(mail.sender, smtputf8=mail.smtputf8)
        if self._credential.envelope_sender_verified:
            owner = self._desk.directory().owner_of(address.domain)
            if owner is None or owner.tenant_id != self._credential.tenant_id:
                raise Refused(
                    550,
                    "5.7.1",
                    f"the envelope sender is of {address.domain}, which is no verified domain of this "
                    "account: verify it, or send MAIL FROM an address of one that is",
                )
        return str(address)
