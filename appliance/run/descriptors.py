"""Descriptors: as many open files as the system allows, and no more sessions than fit into that.

A shell's usual limit of 1,024 is raised to the hard limit when the box starts; what stays too low takes
places from clients who would connect, never files from the store or connections from delivery.
"""

from __future__ import annotations

import logging
import resource
from typing import Final

log = logging.getLogger(__name__)

MOST: Final = 131_072  # some systems allow a billion, and nobody needs them
KEPT: Final = 200  # for the store, logs, control sockets, DNS
FEWEST: Final = 16


def raise_limit() -> None:
    """As high as allowed, for this process and all it forks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def sessions_that_fit(wanted: int, connections_out: int) -> int:
    """How many clients may be connected beside `connections_out` connections to receivers."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return wanted
    fitting = max(FEWEST, soft - connections_out - KEPT)
    if fitting < wanted:
        log.warning(
            "the limit of %d open files allows %d sessions instead of %d: raise it (LimitNOFILE=)",
            soft,
            fitting,
            wanted,
        )
    return min(wanted, fitting)
