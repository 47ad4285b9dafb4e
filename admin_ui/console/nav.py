"""Nav: where the console's pages are, for whom, and in which order (DESIGN.md, section 3), as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.rights import Right

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.rights import Actor


@dataclass(frozen=True, slots=True)
class Place:
    """A page of the side bar."""

    path: str
    name: str
    icon: str
    right: Right
    count: str = ""  # key of the figure at its right, where somebody must act (shell.py)


Group = tuple[str, tuple[Place, ...]]

_HOME: Final = Place("/", "Home", "house", Right.TENANTS_READ)
_MESSAGES: Final = Place("/messages", "Messages", "mail", Right.MESSAGES_READ)
_QUEUE: Final = Place("/queue", "Queue", "server", Right.QUEUE_READ, "queue")
_BOUNCES: Final = Place("/bounces", "Bounces", "corner-down-left", Right.MESSAGES_READ)
_SUPPRESSIONS: Final = Place("/suppressions", "Suppressions", "ban", Right.SUPPRESSIONS_READ)
_USERS: Final = Place("/users", "Users", "users", Right.PEOPLE_READ)
_AUDIT: Final = Place("/audit", "Audit log", "scroll-text", Right.AUDIT_READ)
_KEYS: Final = Place("/keys", "API keys", "braces", Right.KEYS_READ)
_WEBHOOKS: Final = Place("/webhooks", "Webhooks", "webhook", Right.WEBHOOKS_READ, "webhooks")
_JOBS: Final = Place("/jobs", "Jobs", "list-todo", Right.JOBS_READ, "jobs")
_SETTINGS: Final = Place("/settings", "Settings", "settings", Right.TENANTS_READ)

TENANT: Final[tuple[Group, ...]] = (
    ("", (_HOME, _MESSAGES, _QUEUE, _BOUNCES, _SUPPRESSIONS)),
    (
        "Set up",
        (
            Place("/domains", "Domains", "globe", Right.DOMAINS_READ, "domains"),
            Place("/credentials", "Credentials", "key-round", Right.CREDENTIALS_READ),
            _KEYS,
            _WEBHOOKS,
        ),
    ),
    (
        "Organisation",
        (
            Place("/usage", "Plan and usage", "gauge", Right.STATISTICS_READ, "usage"),
            _USERS,
            _JOBS,
            _AUDIT,
            _SETTINGS,
        ),
    ),
)
BOX: Final[tuple[Group, ...]] = (
    ("", (_HOME, _MESSAGES, _QUEUE, _BOUNCES, _SUPPRESSIONS)),
    (
        "Sending",
        (
            Place("/egress", "Egress and pools", "layers", Right.EGRESS_READ, "egress"),
            Place("/warmup", "Warmup", "flame", Right.EGRESS_READ, "warmup"),
            Place("/shaping", "Shaping", "sliders-horizontal", Right.EGRESS_READ, "shaping"),
            Place("/blocklists", "Blocklists", "shield", Right.EGRESS_READ, "blocklists"),
        ),
    ),
    (
        "The box",
        (
            Place("/tenants", "Tenants", "building-2", Right.TENANTS_READ),
            Place("/domains", "Domains", "globe", Right.DOMAINS_READ, "domains"),
            Place("/credentials", "Credentials", "key-round", Right.CREDENTIALS_READ),
            _KEYS,
            _WEBHOOKS,
            _USERS,
            Place("/services", "Services", "activity", Right.BOX_READ, "services"),
            _JOBS,
            _AUDIT,
            _SETTINGS,
        ),
    ),
)
TABS: Final = {
    True: ("/", "/messages", "/queue", "/warmup"),
    False: ("/", "/messages", "/bounces", "/domains"),
}
"""The phone's tab bar beside "More": of the whole box, of a tenant."""


def groups_of(actor: Actor) -> Sequence[Group]:
    """What somebody sees in the side bar."""
    whole = BOX if actor.scope.is_system else TENANT
    seen = (
        (name, tuple(one for one in places if one.right in actor.rights)) for name, places in whole
    )
    return tuple(group for group in seen if group[1])


def tabs_of(groups: Sequence[Group], *, is_box: bool) -> tuple[Place, ...]:
    """The phone's tab bar."""
    every = {one.path: one for _, places in groups for one in places}
    return tuple(every[path] for path in TABS[is_box] if path in every)


def current_of(groups: Sequence[Group], path: str) -> str:
    """The place that a page belongs to."""
    fits = [
        one.path
        for _, places in groups
        for one in places
        if path == one.path or (one.path != "/" and path.startswith(f"{one.path}/"))
    ]
    return max(fits, key=len, default="")
