"""Box: the box at a home, as the command line reaches it.

Records (tenants, domains, suppressions, pauses) are read and written in control.db, through the rooms;
the running processes see a change at their next poll. What waits in a queue is asked of its owners
over their sockets, and of nobody else: a spool is never opened here (`spool` and `backup` read it beside
its owner).

Fails with ConfigError when there is no box, NotRunningError when an owner does not answer.
"""

from __future__ import annotations

import getpass
import os
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from appliance.core.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.home import Home
    from appliance.core.settings import Settings
    from appliance.history import LogReader
    from appliance.run.cli.owners import Owners
    from appliance.run.cli.rooms import Rooms

T = TypeVar("T")


class Box:
    """One box."""

    def __init__(self, home: Home, config: Path | None, environ: Mapping[str, str]) -> None:
        self.home, self._environ = home, environ
        self.config_file = config or home.config_file

    def require(self) -> None:
        """Raise ConfigError, saying what to do, unless the box was made."""
        for path in (self.config_file, self.home.keys_file):
            if not exists(path):
                raise ConfigError(
                    f"there is no box in {self.home.path} ({path.name} is missing): make one with"
                    " `pillarbox init`, or name its directory with --home or PILLARBOX_HOME"
                )

    @cached_property
    def settings(self) -> Settings:
        """The configuration in force. Raises ConfigError naming every mistake."""
        from appliance.core.settings_file import load

        return load(self.config_file, self._environ)

    @property
    def by(self) -> str:
        """Who acts, as the audit log names them."""
        return acting()

    @cached_property
    def owners(self) -> Owners:
        """The processes that own the queues."""
        from appliance.run.cli.owners import Owners
        from appliance.run.spools import mta_processes

        return Owners(self.home, mta_processes(self.settings))

    @contextmanager
    def log(self) -> Iterator[LogReader]:
        """The event log, open for reading."""
        from appliance.history import LogReader

        reader = LogReader(self.settings.database.url or self.home.log_dir)
        try:
            yield reader
        finally:
            reader.close()

    def ask(self, work: Callable[[Rooms], Coroutine[Any, Any, T]]) -> T:
        """Do one piece of work with the rooms, in an event loop of its own."""
        import asyncio

        return asyncio.run(self._with_rooms(work))

    async def _with_rooms(self, work: Callable[[Rooms], Awaitable[T]]) -> T:
        from appliance.core.database import open_engine
        from appliance.run.cli.rooms import Rooms

        engine = open_engine(self.home.control_location(self.settings))
        try:
            await _require_current(engine)
            return await work(Rooms(self, engine))
        finally:
            await engine.dispose()


def acting() -> str:
    """The person at the terminal."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a line in passwd
        name = str(os.getuid())
    return f"cli:{name}"


def exists(path: Path) -> bool:
    """Whether the file is there; raises ConfigError when this user may not look."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: run this as the box's own user") from error
    return True


async def _require_current(engine: AsyncEngine) -> None:
    """Changing the schema under running processes is `migrate`'s and `serve`'s to do, not ours."""
    from appliance.core.database import reading
    from appliance.core.migrate import head, version

    async with reading(engine) as connection:
        found = await connection.run_sync(lambda sync: version("control", sync))
    newest = head("control")
    if found < newest:
        raise StoreError(
            f"the control store has revision {found or 'none'}, this program needs {newest}:"
            " stop the box, then run `pillarbox migrate`"
        )
    if found > newest:
        raise StoreError(
            f"the control store has revision {found}, this program knows {newest}: run the newer program"
        )
