"""Right words: each right of the table as a sentence for people, in the groups that pages show.

Words alone: who has which right says appliance/rights, and what a key may have the room of keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.rights import Right, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GROUPS: Final[Mapping[str, Mapping[Right, str]]] = {
    "Mail": {
        Right.MESSAGES_SEND: "Send mail",
        Right.MESSAGES_READ: "See messages and what became of them",
        Right.MESSAGES_SOURCE: "Read headers and content",
        Right.QUEUE_READ: "See the queue",
        Right.QUEUE_OPERATE: "Retry, hold, reroute and cancel in the queue",
        Right.SUPPRESSIONS_READ: "See suppressions",
        Right.SUPPRESSIONS_MANAGE: "Add and remove suppressions",
        Right.STATISTICS_READ: "See statistics",
    },
    "Set up": {
        Right.DOMAINS_READ: "See domains",
        Right.DOMAINS_MANAGE: "Add and change domains",
        Right.CREDENTIALS_READ: "See credentials",
        Right.CREDENTIALS_MANAGE: "Make and revoke credentials",
        Right.KEYS_READ: "See API keys",
        Right.KEYS_MANAGE: "Make and revoke API keys",
        Right.WEBHOOKS_READ: "See webhooks",
        Right.WEBHOOKS_MANAGE: "Add and change webhooks",
    },
    "Organisation": {
        Right.PEOPLE_READ: "See users",
        Right.PEOPLE_MANAGE: "Invite, change and remove users",
        Right.AUDIT_READ: "See the audit log",
        Right.NOTIFICATIONS_READ: "See notifications",
        Right.NOTIFICATIONS_MANAGE: "Change who is notified",
        Right.JOBS_READ: "See jobs",
        Right.JOBS_CANCEL: "Cancel jobs",
        Right.TENANTS_READ: "See the tenant and its limits",
    },
    "The box": {
        Right.TENANTS_MANAGE: "Add, limit and suspend tenants",
        Right.EGRESS_READ: "See egress addresses, warmup and shaping",
        Right.EGRESS_MANAGE: "Change egress addresses, warmup and shaping",
        Right.SENDING_STOP: "Stop all sending",
        Right.BOX_READ: "See services and settings",
    },
}
"""Every right, once."""

WORDS: Final[Mapping[Right, str]] = {
    right: words for group in GROUPS.values() for right, words in group.items()
}

ROLES: Final[Mapping[Role, tuple[str, str]]] = {
    Role.ADMIN: ("Admin", "Everything, of all tenants and the box."),
    Role.SUPPORT: ("Support", "Looks at everything, changes nothing."),
    Role.OWNER: ("Owner", "Everything of the tenant."),
    Role.MANAGER: ("Manager", "Everything of the tenant but its people."),
    Role.SENDER: ("Sender", "Sends, and sees what became of it."),
    Role.VIEWER: ("Viewer", "Looks."),
}
"""Each role: its name, and what it may in a sentence."""


def grouped(of: Iterable[Right]) -> Sequence[tuple[str, Sequence[tuple[Right, str]]]]:
    """These rights with their words, in their groups; a group without any is left out."""
    wanted = frozenset(of)
    groups = (
        (name, [(right, words) for right, words in group.items() if right in wanted])
        for name, group in GROUPS.items()
    )
    return [(name, rights) for name, rights in groups if rights]


def role_choices(roles: Iterable[Role]) -> list[tuple[str, str]]:
    """For a field in which one of these is chosen."""
    return [(role.value, f"{ROLES[role][0]}: {ROLES[role][1]}") for role in roles]
