"""Topics: which topic of the console it is that moved, by the words of the rooms; pure.

A counter does not say of whom: the topic is then everybody's. The audit log tells of people, who have no
counter; and of whom it is the box's row, it may concern the people of any tenant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from admin_ui.desks import Topic
from appliance.core.control import Part
from appliance.core.marks import EVERYBODY
from appliance.core.scope import BOX
from mta.status import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from appliance.core.marks import Moved
    from appliance.history import Fresh

Told = dict[int, set[Topic]]
"""What changed, by the tenant whom it concerns: BOX for the box alone, EVERYBODY for all."""

OF_PART: Final[Mapping[Part, tuple[Topic, ...]]] = {
    Part.TENANTS: (Topic.TENANTS,),
    Part.CREDENTIALS: (Topic.CREDENTIALS,),
    Part.DOMAINS: (Topic.DOMAINS,),
    Part.SUPPRESSIONS: (),  # the list itself says whose (SuppressionList.touched)
    Part.OPERATIONS: (Topic.SENDING, Topic.QUEUE),  # the stop, and pauses
    Part.EGRESS: (Topic.EGRESS, Topic.TENANTS),  # a tenant's choice of pools, too
    Part.WARMUP: (Topic.WARMUP,),
    Part.SHAPING: (Topic.SHAPING,),
    Part.KEYS: (Topic.KEYS,),
    Part.WEBHOOKS: (Topic.WEBHOOKS,),
}
_OF_SOURCE: Final[Mapping[str, Topic]] = {
    "jobs": Topic.JOBS,
    "new jobs": Topic.JOBS,
    "notices": Topic.NOTIFICATIONS,
    "seen": Topic.NOTIFICATIONS,
    "deliveries": Topic.WEBHOOKS,
    "listings": Topic.BLOCKLISTS,
    "lists": Topic.BLOCKLISTS,
    "audit": Topic.AUDIT,
    "tries": Topic.CREDENTIALS,
    "domain looks": Topic.DOMAINS,
}
_OF_PEOPLE: Final = ("user.", "invitation.")

_MAIL: Final = frozenset({Topic.MESSAGES, Topic.QUEUE})
_BOUNCES: Final = frozenset({Topic.MESSAGES, Topic.BOUNCES})
_LATE: Final = frozenset({Topic.MESSAGES})
OF_KIND: Final[Mapping[EventKind, frozenset[Topic]]] = {
    **dict.fromkeys(EventKind, _MAIL),
    EventKind.BOUNCED: _MAIL | _BOUNCES,
    EventKind.EXPIRED: _MAIL | _BOUNCES,
    EventKind.BOUNCED_LATE: _BOUNCES,
    EventKind.COMPLAINED: _BOUNCES,
    EventKind.DELAYED_LATE: _LATE,
    EventKind.UNSUBSCRIBED: _LATE,
}


def of_marks(moved: Iterable[Moved]) -> Told:
    """What the rows of control.db say."""
    told: Told = {}
    for one in moved:
        if one.source == "generation":
            told.setdefault(EVERYBODY, set()).update(OF_PART[Part(one.word)])
            continue
        told.setdefault(one.tenant_id, set()).add(_OF_SOURCE[one.source])
        if one.source == "audit" and (not one.word or one.word.startswith(_OF_PEOPLE)):
            whose = EVERYBODY if one.tenant_id == BOX else one.tenant_id
            told.setdefault(whose, set()).add(Topic.PEOPLE)
    return told


def of_suppressions(touched: frozenset[int] | None) -> Told:
    """Whose suppressions changed; None = of too many to say."""
    whose = {EVERYBODY} if touched is None else touched
    return {tenant_id: {Topic.SUPPRESSIONS} for tenant_id in whose}


def of_log(fresh: Fresh) -> Told:
    """What the event log says."""
    if fresh.is_too_much:
        return {EVERYBODY: set(_MAIL | _BOUNCES)}
    return {
        tenant_id: {topic for kind in kinds for topic in OF_KIND[EventKind(kind)]}
        for tenant_id, kinds in fresh.kinds.items()
    }


def joined(*every: Told) -> Told:
    """All of it."""
    told: Told = {}
    for one in every:
        for tenant_id, topics in one.items():
            told.setdefault(tenant_id, set()).update(topics)
    return {tenant_id: topics for tenant_id, topics in told.items() if topics}
