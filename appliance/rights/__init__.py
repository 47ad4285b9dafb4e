"""Rights: who may do what, as one table, and the actor that a request comes from.

Pure and without a store: rooms that know people and keys make actors, the faces ask them.
"""

from __future__ import annotations

from appliance.rights.actor import Actor, ActorKind
from appliance.rights.table import BOX_ROLES, GRANTS, TENANT_ROLES, Right, Role, rights_of

__all__ = [
    "BOX_ROLES",
    "GRANTS",
    "TENANT_ROLES",
    "Actor",
    "ActorKind",
    "Right",
    "Role",
    "rights_of",
]
