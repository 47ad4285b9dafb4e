"""OneBox: a home is served by one box at a time, whether or not its processes answer.

The supervisor takes a lock before it starts anything, and all its processes inherit it: it is held until the
last of them has ended, also after a kill -9 of the supervisor. A box that is asked and does not answer
may be only slow; a second one beside it would take over its control sockets and write the same log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core.errors import ConflictError
from mta.spool.shard import take_lock

if TYPE_CHECKING:
    from appliance.core.home import Home


def claim(home: Home) -> None:
    """Hold the home until this process and all that it forks have ended. Raises ConflictError."""
    try:
        take_lock(home.run_dir / "box.lock")
    except ConflictError:
        raise ConflictError(f"the box in {home.path} runs already") from None
