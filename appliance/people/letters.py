"""Letters: what the box writes to its people, and the one thing it needs to send it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from appliance.core import clock, tasks
from appliance.core.errors import StoreError
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from appliance.people.model import Invitation, Options

MOST_WAITING: Final = 100
SETTLE_SECONDS: Final = 3.0
PAUSES: Final = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0)  # between the tries; links live for an hour
_log = logging.getLogger(__name__)


class Letters(Protocol):
    """The box's own mail (appliance/run/own_mail.py)."""

    async def send(self, to: str, subject: str, text: str, *, key: str = "") -> None:
        """Put one letter into the queue, once for a key. Raises Refused or StoreError."""


class Kept(Protocol):
    """Where letters that wait outlive the process (appliance/run/waiting_letters.py). Blocks."""

    def keep(self, key: str, letter: Sequence[str]) -> None:
        """Address, subject, text; on disk when it returns."""

    def drop(self, key: str) -> None:
        """It waits no longer."""

    def waiting(self) -> list[tuple[str, Sequence[str]]]:
        """Keys and letters that were kept and not dropped."""


def invitation(options: Options, asked: Invitation, tenant: str, url: str) -> tuple[str, str]:
    """Subject and text of an invitation."""
    place = f"{tenant} on {options.box_name}" if tenant else options.box_name
    return f"You are invited to {place}", (
        f"{asked.by} invites you to {place}, as {asked.role}.\n\n"
        f"To accept, open this link and choose a password:\n\n{url}\n\n"
        f"It works once, until {_day(asked.expires_at)}. If you expect no invitation, do nothing.\n"
    )


def forgotten_password(options: Options, url: str, expires_at: int) -> tuple[str, str]:
    """Subject and text for somebody who forgot a password."""
    return f"A new password for {options.box_name}", (
        f"Somebody, most likely you, asked for a new password for {options.box_name}.\n\n"
        f"To choose one, open this link:\n\n{url}\n\n"
        f"It works once, until {_day(expires_at)}. If it was not you, do nothing:"
        " your password stays as it is.\n"
    )


def changed_password(options: Options) -> tuple[str, str]:
    """Subject and text after a password was changed."""
    return f"Your password for {options.box_name} was changed", (
        f"Your password for {options.box_name} was changed just now, and all your sessions but the one"
        " that did it were ended.\n\n"
        "If it was not you, ask for a new password at once:\n\n"
        f"{options.public_url}/password\n"
    )


def _day(ms: int) -> str:
    return clock.aware(ms).strftime("%Y-%m-%d %H:%M UTC")


class Deferred:
    """Sends letters that nobody waits for: how long a request takes does not tell whether one was sent.

    What the queue does not take at once is tried again for some minutes (PAUSES), under one key, so that it is
    sent once. At most MOST_WAITING wait; what comes beyond is dropped and logged, and so is what fails.
    After `resume` what waits is on disk too, and is tried again by the next process if this one ends before.
    """

    _kept: Kept | None = None

    def __init__(self, letters: Letters, pauses: Sequence[float] = PAUSES) -> None:
        self._letters, self._pauses = letters, pauses
        self._waiting: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    def later(self, to: str, subject: str, text: str) -> None:
        """Send one soon."""
        self.do(lambda: self.send(to, subject, text))

    async def send(self, to: str, subject: str, text: str) -> None:
        """At once, or as soon as the queue takes it. Raises Refused when it never will."""
        key = secrets.token_hex(16)
        try:
            await self._letters.send(to, subject, text, key=key)
        except (StoreError, Refused) as error:
            _must_pass(error)
            await self._keep(key, (to, subject, text))
            self.do(lambda: self._again(to, subject, text, key))

    async def resume(self, kept: Kept) -> None:
        """Try what an earlier process left there, and keep there what waits from now on."""
        self._kept = kept
        try:
            left = await asyncio.to_thread(kept.waiting)
        except StoreError as error:
            _log.warning("letters that waited are not sent: %s", error)
            return
        for key, (to, subject, text) in left:
            self.do(partial(self._again, to, subject, text, key))

    def do(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do soon what ends in a letter, or does not."""
        if len(self._waiting) >= MOST_WAITING:
            _log.warning("a letter is not sent: %d wait already", MOST_WAITING)
            return
        task = tasks.spawn(work(), name="letter to one of our people")
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def settle(self) -> None:
        """Wait until all are sent, at the end of the process; not for ever, and with one more try each."""
        self._ending.set()
        end = clock.monotonic() + SETTLE_SECONDS
        while self._waiting and clock.monotonic() < end:
            await asyncio.wait(self._waiting, timeout=end - clock.monotonic())

    async def _again(self, to: str, subject: str, text: str, key: str) -> None:
        """Until it is taken, refused or given up; what the end of the process breaks off stays kept."""
        try:
            is_over = await self._tried(to, subject, text, key)
        except Refused:
            await self._drop(key)
            raise
        if is_over:
            await self._drop(key)

    async def _tried(self, to: str, subject: str, text: str, key: str) -> bool:
        is_ending = False
        for pause in self._pauses:
            is_ending = await self._rest(pause)
            try:
                await self._letters.send(to, subject, text, key=key)
            except (StoreError, Refused) as error:
                _must_pass(error)
                _log.info("a letter to one of our people waits: %s", error)
            else:
                return True
            if is_ending:
                break
        _log.warning("a letter to one of our people was not sent: the queue takes nothing")
        return not is_ending

    async def _keep(self, key: str, letter: Sequence[str]) -> None:
        if self._kept is None:
            return
        try:
            await asyncio.to_thread(self._kept.keep, key, letter)
        except StoreError as error:
            _log.warning("a letter that waits would not outlive this process: %s", error)

    async def _drop(self, key: str) -> None:
        if self._kept is None:
            return
        try:
            await asyncio.to_thread(self._kept.drop, key)
        except StoreError as error:  # the queue knows the key for a day
            _log.warning("a letter that waits no longer is still on disk: %s", error)

    async def _rest(self, seconds: float) -> bool:
        """True when the process ends meanwhile."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        return self._ending.is_set()


def _must_pass(error: StoreError | Refused) -> None:
    """Raise it again when trying again is of no use."""
    if isinstance(error, Refused) and error.reply.code >= 500:
        raise error
