"""Signer: signs a message when it is sent, in a thread of its own.

Not when it is accepted: nobody who hands mail in waits for a signature, mail that is held, cancelled or
suppressed costs none, and what waited for days leaves with the keys that receivers find now, whatever
was rotated meanwhile (MTA-7). Nothing of it is stored: an attempt that has come as far as a connection
costs more than its signature. Recipients of one message who are sent to about the same time share one.

A thread, because RSA releases the GIL: 0.2 ms in which the event loop receives and delivers.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from appliance.core import clock, tasks
from appliance.core.errors import SecretError
from mta.message import SigningPlan
from mta.signing.dkim import sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.directory import Directory, SendingDomain
    from mta.message import Message

SHARED: Final = 512
"""Signatures kept for other recipients of their message: about 1 KB each."""

TOLD_AT_ONCE: Final = 4
"""Signatures that the event loop hears of together: each time costs it a wake-up."""

Answer = tuple["asyncio.Future[bytes]", bytes | None]


@dataclass(frozen=True, slots=True)
class _Job:
    content: bytes
    plan: SigningPlan
    future: asyncio.Future[bytes]


class Signer:
    """The signatures of one shard; ask on the event loop it was made on."""

    def __init__(self, directory: Callable[[], Directory]) -> None:
        self._directory = directory
        self._loop = asyncio.get_running_loop()
        self._made: OrderedDict[int, tuple[SigningPlan, asyncio.Future[bytes]]] = OrderedDict()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="signer", daemon=True)
        self._thread.start()

    async def __call__(self, message: Message, content: bytes) -> bytes:
        """DKIM-Signature fields, each ending in CRLF; b"" where no domain of its tenant has a key."""
        domain = signing_domain_of(message, self._directory())
        if domain is None or not domain.keys:
            return b""
        plan = SigningPlan(domain=domain.name, keys=domain.keys)
        known = self._made.get(message.id)
        if known is not None and known[0] == plan and not known[1].cancelled():
            return await asyncio.shield(known[1])
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._made[message.id] = (plan, future)
        if len(self._made) > SHARED:
            self._made.popitem(last=False)
        self._jobs.put(_Job(content, plan, future))
        return await future

    def stop(self) -> None:
        """End the thread; nobody waits for a signature any more."""
        self._jobs.put(None)
        self._thread.join()

    # -- the thread ----------------------------------------------------------

    def _run(self) -> None:
        answers: list[Answer] = []
        while (job := self._jobs.get()) is not None:
            answers.append(_signed(job))
            if len(answers) == TOLD_AT_ONCE or self._jobs.empty():
                self._loop.call_soon_threadsafe(_tell, answers)
                answers = []


def signing_domain_of(message: Message, directory: Directory) -> SendingDomain | None:
    """Whose keys sign a message now; None leaves it unsigned.

    Where its domain was removed meanwhile, or is somebody else's by now, its tenant's default answers
    for it, as it does for forwarders.
    """
    if message.source.is_ours:
        return directory.box_keys
    domain = directory.domains.get(message.signing_domain)
    if domain is not None and domain.tenant_id == message.tenant_id:
        return domain
    return directory.default_domains.get(message.tenant_id)


def _signed(job: _Job) -> Answer:
    """A job that fails must not end the thread: whoever asked hears of it, and the others go on."""
    make = partial(sign, job.content, job.plan, now_s=clock.now_ms() // 1000)
    return job.future, tasks.guard_call(make, name=f"a signature of {job.plan.domain}")


def _tell(answers: list[Answer]) -> None:
    for future, signature in answers:
        if future.done():
            continue
        if signature is not None:
            future.set_result(signature)
        else:
            future.set_exception(SecretError("the message could not be signed: the log says why"))
