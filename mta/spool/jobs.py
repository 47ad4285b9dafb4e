"""Jobs of the committing thread: accept a message, settle outcomes, look or change (`Call`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from appliance.core.errors import PillarboxError
    from mta.message import Admitted
    from mta.spool.batch import Batch, Settlement
    from mta.spool.store import SpoolStore

T = TypeVar("T")
_OVERHEAD = 1024


class Sign(Protocol):
    """Makes the signature header fields of a message; called in the committing thread."""

    def __call__(self, admitted: Admitted) -> bytes:
        """DKIM-Signature fields, each ending in CRLF; b"" when the plan has no key."""


class AcceptJob:
    """Sign a message and store it; the future gets the signature once it is durable."""

    is_mail = True
    patience = 0

    def __init__(self, admitted: Admitted, sign: Sign, future: asyncio.Future[bytes]) -> None:
        self._admitted, self._sign, self._future = admitted, sign, future
        self._signature = b""
        self.size = len(admitted.content) + _OVERHEAD

    def prepare(self) -> None:
        """Sign with all keys of the plan."""
        if not self._signature:
            self._signature = self._sign(self._admitted)

    def fill(self, batch: Batch) -> None:
        """Rows of the message."""
        batch.add_message(self._admitted, self._signature)

    def run(self, store: SpoolStore, batch: Batch) -> None:
        """Nothing."""

    def done(self) -> None:
        """Durable: the client may be told."""
        if not self._future.done():
            self._future.set_result(self._signature)

    def failed(self, error: PillarboxError) -> None:
        """Nothing was stored."""
        if not self._future.done():
            self._future.set_exception(error)


class SettleJob:
    """Write outcomes, with the failure notices that follow from them, in one transaction."""

    is_mail = False
    patience = 60  # a locked file comes free; what can never be written must not be tried for ever

    def __init__(
        self,
        settlements: Sequence[Settlement],
        notices: Sequence[Admitted],
        sign: Sign,
        on_done: Callable[[list[bytes]], None],
    ) -> None:
        self._settlements, self._notices, self._sign = settlements, notices, sign
        self._signatures: list[bytes] = []
        self._on_done = on_done
        self.size = sum(len(n.content) for n in notices) + _OVERHEAD

    def prepare(self) -> None:
        """Sign the notices."""
        if not self._signatures:
            self._signatures = [self._sign(notice) for notice in self._notices]

    def fill(self, batch: Batch) -> None:
        """The moves and the notices."""
        batch.settlements.extend(self._settlements)
        for notice, signature in zip(self._notices, self._signatures, strict=True):
            batch.add_message(notice, signature)

    def run(self, store: SpoolStore, batch: Batch) -> None:
        """Nothing."""

    def done(self) -> None:
        """The outcome is durable: no crash can send it again."""
        self._on_done(self._signatures)

    def failed(self, error: PillarboxError) -> None:
        """The recipients stay queued in the store; memory lets go of them all the same."""
        self._on_done([])


class CallJob(Generic[T]):
    """Anything else: read, move, acknowledge, purge."""

    is_mail = False
    patience = 0
    size = _OVERHEAD

    def __init__(self, call: Callable[[SpoolStore, Batch], T], future: asyncio.Future[T]) -> None:
        self._call, self._future = call, future
        self._result: T | None = None

    def prepare(self) -> None:
        """Nothing."""

    def fill(self, batch: Batch) -> None:
        """Nothing."""

    def run(self, store: SpoolStore, batch: Batch) -> None:
        """Run inside the transaction of the batch."""
        self._result = self._call(store, batch)

    def done(self) -> None:
        """Hand the result over."""
        if not self._future.done():
            self._future.set_result(self._result)  # type: ignore[arg-type]  # set by fill()

    def failed(self, error: PillarboxError) -> None:
        """Hand the error over."""
        if not self._future.done():
            self._future.set_exception(error)
