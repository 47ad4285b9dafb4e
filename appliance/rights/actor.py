"""Actor: on whose behalf a request is done, with what they may and which rows they see.

The services are narrowed by `scope` (appliance/core/scope.py); what an actor may do at all is asked
here, once a request, before a service is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from appliance.core.errors import ForbiddenError

if TYPE_CHECKING:
    from appliance.core.scope import Scope
    from appliance.rights.table import Right


class ActorKind(StrEnum):
    """How they proved who they are."""

    PERSON = "person"  # by a session
    KEY = "key"  # by an API key


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Somebody who asks."""

    kind: ActorKind
    id: int  # of the user or of the key
    name: str  # as the audit log shows them: "ada@acme.example", "key 3 (billing)"
    scope: Scope  # which rows they see; its `by` is `name`
    rights: frozenset[Right]
    is_sandboxed: bool = False  # what they send is accepted and delivered to nobody

    def may(self, right: Right) -> bool:
        """Whether they may do this."""
        return right in self.rights

    def require(self, right: Right) -> None:
        """Raise ForbiddenError unless they may."""
        if right not in self.rights:
            raise ForbiddenError(
                f"this needs the right {right}: somebody with the right people.manage or keys.manage can give it"
            )
