"""Intake: the one door of the message way. SMTP, the API and the box's own notices come through here.

    scan and prepare headers -> policy (first refusal wins) -> spool -> scheduler -> "250"

Promises: `accept` returns only when the message is safe on disk, whole, exactly as it will be sent.
An idempotency key seen again answers with the first id; keys live in shard 0, whose owner is handed
such submissions by the others. Fails with Refused, StoreFullError ("452") or StoreError ("451").
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from appliance.core.errors import PillarboxError, StoreError, StoreFullError
from mta.message import Admitted, Message, Recipient
from mta.policy import compliance, limits
from mta.policy.address import parse_mailbox
from mta.policy.headers import scan
from mta.policy.pool import pool_of
from mta.policy.prepare import Prepared, prepare
from mta.policy.sender import check_tenant, return_path_of, signing_domain
from mta.status import Status, TrafficClass

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.directory import Credential, Directory, SendingDomain
    from mta.message import RecipientRequest, Submission
    from mta.outcome.decide import RetrySchedule
    from mta.policy.limits import Quota
    from mta.spool.shard import Shard

KEYED_SHARD = 0
SANDBOXED = "sandbox: accepted, and delivered to nobody"


class Scheduler(Protocol):
    """Takes over a message that has become durable (mta.scheduling.dispatcher)."""

    def fresh(self, message: Message, recipients: list[Recipient], content: bytes) -> None:
        """From memory to delivery."""


class Handover(Protocol):
    """Gives a submission with an idempotency key to the owner of shard 0."""

    async def __call__(self, submission: Submission) -> int:
        """The id under which it was accepted there."""


class Observer(Protocol):
    """Told of what was accepted (metrics); refusals are counted at the door they came in by."""

    def accepted(self, admitted: Admitted) -> None:
        """A message is durable."""

    def held(self, credential: Credential, recipients: int) -> None:
        """So many of its recipients are held, because the credential sends far above its usual."""


class Intake:
    """Admission and durable accept for one shard."""

    def __init__(  # noqa: PLR0913 - collaborators, by keyword, set once by the wiring
        self,
        *,
        shard: Shard,
        scheduler: Scheduler,
        directory: Callable[[], Directory],
        quota: Quota,
        schedule: RetrySchedule,
        observer: Observer,
        handover: Handover,
        has_space: Callable[[], bool],
        hostname: str,
        bounce_domain: str,
    ) -> None:
        self._shard, self._scheduler, self._directory = shard, scheduler, directory
        self._quota, self._schedule, self._observer = quota, schedule, observer
        self._handover, self._has_space = handover, has_space
        self._hostname, self._bounce_domain = hostname, bounce_domain
        self._keys: dict[tuple[int, str], asyncio.Future[int]] = {}

    async def accept(self, submission: Submission) -> int:
        """Admit and store; the message id. Raises Refused or StoreError."""
        if not self._has_space():
            raise StoreFullError("too little disk space or memory is left: try again later")
        prepared, message_id = self._prepare(submission)
        if not prepared.idempotency_key:
            return await self._store(submission, prepared, message_id)
        if self._shard.number != KEYED_SHARD:
            return await self._handover(submission)
        return await self._once(submission, prepared, message_id)

    def _prepare(self, submission: Submission) -> tuple[Prepared, int]:
        check_tenant(submission.tenant)
        message_id = self._shard.new_id(submission.received_at)
        allow_8bit = submission.smtputf8 or submission.credential.accept_8bit_headers
        block = scan(submission.data, allow_8bit=allow_8bit)
        prepared = prepare(
            submission,
            block,
            message_id=message_id,
            hostname=self._hostname,
            now_ms=submission.received_at,
        )
        return prepared, message_id

    async def _once(self, submission: Submission, prepared: Prepared, message_id: int) -> int:
        """The first submission with a key is stored; the others get its id."""
        key = (submission.tenant.id, prepared.idempotency_key)
        running = self._keys.get(key)
        if running is not None:
            return await asyncio.shield(running)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._keys[key] = future
        try:
            found = await self._shard.call(
                lambda store, batch: store.message_for_key(*key, batch.now)
            )
            answer = found or await self._store(submission, prepared, message_id)
        except PillarboxError as error:
            future.set_exception(error)
            future.exception()  # somebody may be waiting, or nobody
            raise
        else:
            future.set_result(answer)
            return answer
        finally:
            if not future.done():  # it was broken off: nobody waits for ever
                future.set_exception(StoreError("the first message with this key was not stored"))
                future.exception()
            del self._keys[key]

    async def _store(self, submission: Submission, prepared: Prepared, message_id: int) -> int:
        admitted = await self._admit(submission, prepared, message_id)
        try:
            await self._shard.accept(admitted)
        except StoreError:
            count, now = len(admitted.recipients), submission.received_at
            limits.give_back(self._quota, submission.credential, submission.tenant, count, now)
            raise
        self._observer.accepted(admitted)
        held = sum(recipient.status is Status.HELD for recipient in admitted.recipients)
        if held:
            self._observer.held(submission.credential, held)
        self._scheduler.fresh(admitted.message, list(admitted.recipients), admitted.content)
        return message_id

    async def _admit(self, submission: Submission, prepared: Prepared, message_id: int) -> Admitted:
        credential, directory = submission.credential, self._directory()
        domain = self._signer(submission, prepared, directory)
        compliance.check(credential, prepared, domain, message_id)
        pool = pool_of(prepared.pool, credential, directory.egress)
        count, now = len(submission.recipients), submission.received_at
        await limits.check(self._quota, credential, submission.tenant, count, now)
        held = await limits.surges(self._quota, credential, count, now)
        message = self._message(submission, prepared, domain, message_id)
        due = max(now, prepared.send_at)
        is_sandboxed = credential.sandbox or submission.tenant.sandbox
        beginning = _beginning(is_sandboxed=is_sandboxed, is_held=held)
        return Admitted(
            message=message,
            recipients=tuple(
                self._recipient(message, n, request, due=due, pool=pool, beginning=beginning)
                for n, request in enumerate(submission.recipients)
            ),
            content=prepared.content,
            selectors=domain.selectors if domain else (),
            idempotency_key=prepared.idempotency_key,
        )

    def _signer(
        self, submission: Submission, prepared: Prepared, directory: Directory
    ) -> SendingDomain | None:
        if submission.source.is_ours:
            return directory.box_keys
        return signing_domain(submission.credential, prepared.header_from_domain, directory)

    def _message(
        self,
        submission: Submission,
        prepared: Prepared,
        domain: SendingDomain | None,
        message_id: int,
    ) -> Message:
        credential = submission.credential
        bounce_domain, mode = return_path_of(credential, domain, self._bounce_domain)
        return Message(
            id=message_id,
            tenant_id=submission.tenant.id,
            credential_id=credential.id,
            source=submission.source,
            traffic_class=prepared.traffic_class,
            envelope_from=submission.envelope_from,
            header_from=prepared.header_from_address,
            message_id=prepared.message_id_header,
            subject=prepared.subject,
            size=len(prepared.content),
            accepted_at=submission.received_at,
            client=submission.client.address,
            tags=prepared.tags,
            metadata=prepared.metadata,
            smtputf8=submission.smtputf8,
            body_8bit=submission.body_8bit,
            ret=submission.ret,
            envid=submission.envid,
            dsn=credential.dsn and prepared.traffic_class is not TrafficClass.BULK,
            return_path_mode=mode,
            bounce_domain=bounce_domain,
            signing_domain=domain.name if domain and domain.keys else "",
        )

    def _recipient(
        self,
        message: Message,
        n: int,
        request: RecipientRequest,
        *,
        due: int,
        pool: str,
        beginning: tuple[Status, str],
    ) -> Recipient:
        address = parse_mailbox(request.address, smtputf8=message.smtputf8)
        text = str(address)
        status, reason = beginning
        is_live = status is not Status.CANCELLED
        if is_live and self._directory().suppressions.match(message.tenant_id, text):
            status, reason = Status.SUPPRESSED, "the address is on the suppression list"
        return Recipient(
            message_id=message.id,
            n=n,
            tenant_id=message.tenant_id,
            traffic_class=message.traffic_class,
            address=text,
            domain=address.domain,
            status=status,
            due_at=due,
            expires_at=self._schedule.expiry(due, message.traffic_class),
            notify=request.notify,
            orcpt=request.orcpt,
            reason=reason,
            pool=pool,
        )


def _beginning(*, is_sandboxed: bool, is_held: bool) -> tuple[Status, str]:
    """Where the recipients of a message begin, and why."""
    if is_sandboxed:
        return Status.CANCELLED, SANDBOXED
    if is_held:
        return Status.HELD, (
            f"this login sends more than {limits.SURGE} times its usual rate: release the mail "
            "if it is yours, revoke the login if it is not"
        )
    return Status.QUEUED, ""
