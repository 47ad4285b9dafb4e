"""The table of right x role: the whole of who may do what, as data that a test walks.

A right is "<thing>.read" or "<thing>.<verb>". Roles of the box hold theirs for everything; roles of a
tenant hold theirs within that tenant, and never one that is the box's alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Role(StrEnum):
    """What somebody is to the box, or to a tenant."""

    ADMIN = "admin"  # of the box: everything
    SUPPORT = "support"  # of the box: looks at everything, changes nothing
    OWNER = "owner"  # of a tenant: everything of it
    MANAGER = "manager"  # of a tenant: everything but its people and what ends it
    SENDER = "sender"  # of a tenant: sends, and sees what became of it
    VIEWER = "viewer"  # of a tenant: looks


BOX_ROLES: Final = (Role.ADMIN, Role.SUPPORT)
TENANT_ROLES: Final = (Role.OWNER, Role.MANAGER, Role.SENDER, Role.VIEWER)


class Right(StrEnum):
    """One thing that one may be allowed to do."""

    MESSAGES_READ = "messages.read"  # messages, events, search
    MESSAGES_SOURCE = "messages.source"  # headers and bytes of a message
    MESSAGES_SEND = "messages.send"
    QUEUE_READ = "queue.read"
    QUEUE_OPERATE = "queue.operate"  # retry, hold, release, reroute, cancel, pause
    DOMAINS_READ = "domains.read"
    DOMAINS_MANAGE = "domains.manage"
    CREDENTIALS_READ = "credentials.read"
    CREDENTIALS_MANAGE = "credentials.manage"
    KEYS_READ = "keys.read"
    KEYS_MANAGE = "keys.manage"
    SUPPRESSIONS_READ = "suppressions.read"
    SUPPRESSIONS_MANAGE = "suppressions.manage"
    WEBHOOKS_READ = "webhooks.read"
    WEBHOOKS_MANAGE = "webhooks.manage"
    STATISTICS_READ = "statistics.read"
    NOTIFICATIONS_READ = "notifications.read"  # one's own feed and preferences too
    NOTIFICATIONS_MANAGE = "notifications.manage"
    JOBS_READ = "jobs.read"
    JOBS_CANCEL = "jobs.cancel"
    AUDIT_READ = "audit.read"
    PEOPLE_READ = "people.read"
    PEOPLE_MANAGE = "people.manage"  # invite, change roles, remove
    TENANTS_READ = "tenants.read"
    TENANTS_MANAGE = "tenants.manage"
    EGRESS_READ = "egress.read"  # egress addresses, pools, warmup, shaping, blocklists
    EGRESS_MANAGE = "egress.manage"
    SENDING_STOP = "sending.stop"  # the kill switch
    BOX_READ = "box.read"  # health, settings, processes


_COLUMNS: Final = (
    Role.ADMIN,
    Role.SUPPORT,
    Role.OWNER,
    Role.MANAGER,
    Role.SENDER,
    Role.VIEWER,
)
_TABLE: Final = """
    messages.read         x  x  x  x  x  x
    messages.source       x  .  x  x  x  .
    messages.send         x  .  x  x  x  .
    queue.read            x  x  x  x  x  x
    queue.operate         x  .  x  x  .  .
    domains.read          x  x  x  x  x  x
    domains.manage        x  .  x  x  .  .
    credentials.read      x  x  x  x  .  .
    credentials.manage    x  .  x  x  .  .
    keys.read             x  x  x  x  .  .
    keys.manage           x  .  x  x  .  .
    suppressions.read     x  x  x  x  x  x
    suppressions.manage   x  .  x  x  x  .
    webhooks.read         x  x  x  x  .  .
    webhooks.manage       x  .  x  x  .  .
    statistics.read       x  x  x  x  x  x
    notifications.read    x  x  x  x  x  x
    notifications.manage  x  .  x  x  .  .
    jobs.read             x  x  x  x  x  x
    jobs.cancel           x  .  x  x  x  .
    audit.read            x  x  x  .  .  .
    people.read           x  x  x  x  .  .
    people.manage         x  .  x  .  .  .
    tenants.read          x  x  x  x  x  x
    tenants.manage        x  .  .  .  .  .
    egress.read           x  x  .  .  .  .
    egress.manage         x  .  .  .  .  .
    sending.stop          x  .  .  .  .  .
    box.read              x  x  .  .  .  .
"""


def _read(table: str) -> Mapping[Role, frozenset[Right]]:
    granted: dict[Role, set[Right]] = {role: set() for role in Role}
    for line in table.strip().splitlines():
        right, *marks = line.split()
        for role, mark in zip(_COLUMNS, marks, strict=True):
            if mark == "x":
                granted[role].add(Right(right))
    return {role: frozenset(rights) for role, rights in granted.items()}


GRANTS: Final = _read(_TABLE)
"""What each role may."""


def rights_of(roles: Iterable[Role]) -> frozenset[Right]:
    """What somebody with these roles may."""
    return frozenset[Right]().union(*(GRANTS[role] for role in roles))
