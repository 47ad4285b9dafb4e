"""Pool: by which egress pool a message leaves: as its header says, else as its credential does. Pure.

A header that names a pool the tenant may not use is a mistake of whoever wrote the message: refused,
naming those it may. A credential's pool that is gone is an admin's doing: the mail goes as the tenant's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.policy.controls import POOL
from mta.policy.quoting import header_name, shown
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from mta.directory import Credential
    from mta.egress import EgressPlan, Pool

_SHOWN = 10  # a reply line is short


def pool_of(asked: str, credential: Credential, plan: EgressPlan) -> str:
    """The pool to store with each recipient; "" = the tenant's. Raises Refused."""
    wanted = asked or credential.pool
    found = plan.pools.get(wanted)
    if found is not None and _is_open(found, credential):
        return wanted
    if asked:
        raise _refused(asked, credential, plan)
    return ""


def _is_open(pool: Pool, credential: Credential) -> bool:
    return pool.tenant_id in (0, credential.tenant_id)


def _refused(asked: str, credential: Credential, plan: EgressPlan) -> Refused:
    usable = sorted(name for name, pool in plan.pools.items() if _is_open(pool, credential))
    may = ", ".join(usable[:_SHOWN])
    rest = f"it may use {may}" if may else "it has none to choose from; remove the header"
    text = f"{header_name(POOL)}: no pool {shown(asked)} is open to this account; {rest}"
    return Refused(550, "5.6.0", text)
