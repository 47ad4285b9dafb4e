"""Jobs of the committing thread: accept a message, settle outcomes, look or change (`Call`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from appliance.core.errors import PillarboxError
    from mta.message import Admitted
    from mta.spool.batch import Batch, Settlement
    from mta.spool.store import SpoolStore

T = TypeVar("T")
_OVERHEAD = 1024


class AcceptJob:
    """Store a message; the future is done once it is durable."""

    is_mail = True
    patience = 0

    def __init__(self, admitted: Admitted, future: asyncio.Future[None]) -> None:
        self._admitted, self._future = admitted, future
        self.size = len(admitted.content) + _OVERHEAD

    def fill(self, batch: Batch) -> None:
        """Rows of the message."""
        batch.add_message(self._admitted)

    def run(self, store: SpoolStore, batch: Batch) -> None:
        """Nothing."""

    def done(self) -> None:
        """Durable: the client may be told."""
        if not self._future.done():
            self._future.set_result(None)

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
        on_done: Callable[[PillarboxError | None], None],
    ) -> None:
        self._settlements, self._notices, self._on_done = settlements, notices, on_done
        self.size = sum(len(n.content) for n in notices) + _OVERHEAD

    def fill(self, batch: Batch) -> None:
        """The moves and the notices."""
        batch.settlements.extend(self._settlements)
        for notice in self._notices:
            batch.add_message(notice)

    def run(self, store: SpoolStore, batch: Batch) -> None:
        """Nothing."""

    def done(self) -> None:
        """The outcome is durable: no crash can send it again."""
        self._on_done(None)

    def failed(self, error: PillarboxError) -> None:
        """The recipients stay queued in the store; memory lets go of them all the same."""
        self._on_done(error)


class CallJob(Generic[T]):
    """Anything else: read, move, acknowledge, purge."""

    is_mail = False
    patience = 0
    size = _OVERHEAD

    def __init__(self, call: Callable[[SpoolStore, Batch], T], future: asyncio.Future[T]) -> None:
        self._call, self._future = call, future
        self._result: T | None = None

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
