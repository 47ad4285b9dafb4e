"""Blame: who is slowed for an answer; one table, pure.

The scope of an answer (mta.outcome.classify: the step it answered, unless a rule of bounces.toml knows
better) says who it is about. One tenant's fault slows that tenant only, and what is said of a recipient
slows nobody: that recipient waits for its next attempt, as after any temporary answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mta.shaping.model import ActionKind
from mta.shaping.throttle import Subject
from mta.status import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mta.reply import Reply
    from mta.shaping.model import Rule, Zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a receiver said to an egress, and the shaping rules that know it."""

    egress: str  # its name
    zone: Zone
    tenant_id: int  # whose message it was
    domain: str  # of the recipient
    host: str  # who said it
    reply: Reply
    scope: Scope  # who it is about: the verdict's (mta.outcome.classify)
    rules: tuple[Rule, ...]


class Blamed(StrEnum):
    """Who is slowed or suspended."""

    EGRESS = "egress"  # at this zone, whoever sends
    TENANT = "tenant"  # from this egress to this zone
    DOMAIN = "domain"  # from this egress, of this zone
    NOBODY = "nobody"


_S, _H, _M, _R = Scope.SESSION, Scope.HOST, Scope.MESSAGE, Scope.RECIPIENT

# fmt: off
BLAMED: Final[Mapping[ActionKind, Mapping[Scope, Blamed]]] = {
    ActionKind.SLOW:           {_S: Blamed.EGRESS, _H: Blamed.EGRESS, _M: Blamed.TENANT, _R: Blamed.NOBODY},
    ActionKind.SUSPEND:        {_S: Blamed.EGRESS, _H: Blamed.EGRESS, _M: Blamed.TENANT, _R: Blamed.NOBODY},
    ActionKind.SUSPEND_TENANT: {_S: Blamed.TENANT, _H: Blamed.TENANT, _M: Blamed.TENANT, _R: Blamed.NOBODY},
    ActionKind.SUSPEND_DOMAIN: {_S: Blamed.DOMAIN, _H: Blamed.DOMAIN, _M: Blamed.DOMAIN, _R: Blamed.NOBODY},
}
# fmt: on
"""The other actions are about this message or this connection; they slow nobody."""


def subject_of(kind: ActionKind, answer: Answer) -> Subject | None:
    """Who is slowed by an action of a rule that matched the answer; None = nobody."""
    pair = Subject(answer.egress, answer.zone.key)
    match BLAMED[kind][answer.scope]:
        case Blamed.EGRESS:
            return pair
        case Blamed.TENANT:
            # Tenant 0 is the box: its own few notices are never worth slowing.
            return pair._replace(tenant_id=answer.tenant_id) if answer.tenant_id else None
        case Blamed.DOMAIN:
            return pair._replace(domain=answer.domain)
        case Blamed.NOBODY:
            return None
