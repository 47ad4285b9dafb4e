"""OneBox: a home is served by one box at a time, whether or not its processes answer.

The supervisor takes a lock before it starts anything, and all its processes inherit it: it is held until the
last of them has ended, also after a kill -9 of the supervisor. A box that is asked and does not answer
may be only slow; a second one beside it would take over its control sockets and write the same log.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from appliance.core.errors import ConflictError
from mta.spool.shard import take_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.core.home import Home


def claim(home: Home) -> None:
    """Hold the home until this process and all that it forks have ended. Raises ConflictError."""
    _take(home)


@contextmanager
def stopped(home: Home) -> Iterator[None]:
    """No box serves the home meanwhile. Raises ConflictError."""
    held = _take(home)
    try:
        yield
    finally:
        os.close(held)


def _take(home: Home) -> int:
    try:
        return take_lock(home.run_dir / "box.lock")
    except ConflictError:
        raise ConflictError(f"the box in {home.path} runs already: stop it first") from None
