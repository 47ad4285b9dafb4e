"""Changes: somebody works in the console while messages go through, and changes something every second.

A tenant for whom nobody sends is suspended and resumed: after each of them every process reads the directory anew.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from relay.base import BenchError

from appliance.core.database import open_engine
from appliance.tenancy import Tenants
from control.people import SCOPE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BYSTANDER: Final = "bystander"
_PAUSE: Final = 1.0


class Changes:
    """Of one box; `count` is how many there were."""

    def __init__(self, control_db: Path) -> None:
        self._path, self.count = control_db, 0
        self._ended = threading.Event()
        self._error: BaseException | None = None

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """One a second while the block runs, by a thread of this process. Raises BenchError when one failed."""
        self._ended.clear()
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
        if self._error is not None:
            raise BenchError(f"a change failed: {self._error}") from self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._change())
        except Exception as error:  # noqa: BLE001 - told in the other thread
            self._error = error

    async def _change(self) -> None:
        engine = open_engine(self._path)
        try:
            tenants = Tenants(engine)
            if not any(one.name == _BYSTANDER for one in await tenants.list(SCOPE)):
                await tenants.create(SCOPE, name=_BYSTANDER)
            while not await asyncio.to_thread(self._ended.wait, _PAUSE):
                if self.count % 2:
                    await tenants.resume(SCOPE, _BYSTANDER)
                else:
                    await tenants.suspend(SCOPE, _BYSTANDER, reason="measured")
                self.count += 1
        finally:
            await engine.dispose()
