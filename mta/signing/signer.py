"""Signer: signs a message when it is sent, in a thread of its own.

Not when it is accepted: nobody who hands mail in waits for a signature, mail that is held, cancelled or
suppressed costs none, and what waited for days leaves with the keys that receivers find now, whatever
was rotated meanwhile (MTA-7). Nothing of it is stored: an attempt that has come as far as a connection
costs more than its signature. Recipients of one message who are sent to about the same time share one.
Not earlier either: begun while the message was being written, a signature made the single message wait twice
as long for its commit.

A thread, because RSA releases the GIL: 0.2 ms in which the event loop receives and delivers.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
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

_NOBODYS: Final = SigningPlan(domain="", keys=())


@dataclass(slots=True, eq=False)
class _Made:
    """The signature of one message, and who waits for it."""

    content: bytes
    plan: SigningPlan
    signature: bytes | None = None
    waiters: list[asyncio.Future[bytes]] = field(default_factory=list)


Answer = tuple[_Made, bytes | None]


class Signer:
    """The signatures of one shard; ask on the event loop it was made on."""

    def __init__(self, directory: Callable[[], Directory]) -> None:
        self._directory = directory
        self._loop = asyncio.get_running_loop()
        self._made: OrderedDict[int, _Made] = OrderedDict()  # by message
        self._jobs: SimpleQueue[_Made | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="signer", daemon=True)
        self._thread.start()

    async def __call__(self, message: Message, content: bytes) -> bytes:
        """DKIM-Signature fields, each ending in CRLF; b"" where no domain of its tenant has a key."""
        made = self._asked(message, content)
        if made is None:
            return b""
        if made.signature is not None:
            return made.signature
        waiter: asyncio.Future[bytes] = self._loop.create_future()
        made.waiters.append(waiter)
        return await waiter

    def _asked(self, message: Message, content: bytes) -> _Made | None:
        """The signature, made or being made; None where there is no key."""
        domain = signing_domain_of(message, self._directory())
        if domain is None or not domain.keys:
            return None
        plan = SigningPlan(domain=domain.name, keys=domain.keys)
        known = self._made.get(message.id)
        if known is not None and known.plan == plan:
            return known
        made = self._made[message.id] = _Made(content, plan)
        if len(self._made) > SHARED:
            self._made.popitem(last=False)
        self._jobs.put(made)
        return made

    def stop(self) -> None:
        """End the thread; nobody waits for a signature any more."""
        self._jobs.put(None)
        self._thread.join()

    # -- the thread ----------------------------------------------------------

    def _run(self) -> None:
        answers: list[Answer] = []
        while (made := self._jobs.get()) is not None:
            answers.append((made, _sign(made)))
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


def _sign(made: _Made) -> bytes | None:
    """A job that fails must not end the thread: whoever asked hears of it, and the others go on."""
    make = partial(sign, made.content, made.plan, now_s=clock.now_ms() // 1000)
    return tasks.guard_call(make, name=f"a signature of {made.plan.domain}")


def _tell(answers: list[Answer]) -> None:
    for made, signature in answers:
        made.signature, made.content = signature, b""
        if signature is None:
            made.plan = _NOBODYS  # whoever asks next has it tried again
        for waiter in made.waiters:
            if not waiter.done():
                _answer(waiter, signature)
        made.waiters.clear()


def _answer(waiter: asyncio.Future[bytes], signature: bytes | None) -> None:
    if signature is not None:
        waiter.set_result(signature)
    else:
        waiter.set_exception(SecretError("the message could not be signed: the log says why"))
