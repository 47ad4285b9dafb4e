"""Use cases of egresses: create, update, enable, drain, disable, delete, check.

Only the box's admin has a say here. A check talks to DNS without a transaction open, then writes what
it saw, unless the addresses were changed meanwhile. Each change reaches every process at its next
poll of the directory: a transaction that runs is finished, none begins on an address that is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from appliance.core import clock
from appliance.core.control import Change, Part, change
from appliance.core.database import reading
from appliance.core.errors import ConflictError, UsageError
from appliance.core.scope import BOX
from appliance.egress import rules, store
from appliance.egress.check import can_bind, check_egress
from appliance.egress.judge import settled
from appliance.egress.model import EgressRecord, EgressRequest
from appliance.tenancy import Act, record
from appliance.tenancy.rules import checked_reason
from mta.egress import EgressState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.scope import Scope
    from appliance.egress.check import Lookup
    from appliance.egress.model import AddressCheck

Condition = Callable[["EgressRecord"], bool]


def _always(_: EgressRecord) -> bool:
    return True


class Egresses:
    """The addresses that mail leaves from. Without any, the machine chooses."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        hostname: str,
        now: Callable[[], int] = clock.now_ms,
        is_here: Callable[[str], bool] = can_bind,
    ) -> None:
        """`hostname` is the HELO name of an egress that was given none."""
        self._engine, self._hostname = engine, hostname
        self._now, self._is_here = now, is_here

    async def create(self, scope: Scope, wanted: EgressRequest) -> EgressRecord:
        """Add an egress. Its IPv6 address is used once a check has found its DNS right."""
        _only_system(scope)
        checked = rules.checked_egress(wanted, self._hostname)
        made = EgressRecord(
            **_given(checked),
            why="" if checked.state is EgressState.ENABLED else "new",
            checks=(),
            checked_at=0,
            created_at=self._now(),
        )
        async with change(self._engine, Part.EGRESS) as changed:
            others = await store.egresses(changed.connection)
            if made.name in others:
                raise ConflictError(f"an egress named {made.name} exists already")
            rules.check_free(checked, others.values())
            await store.add_egress(changed.connection, made)
            await self._audit(changed, scope, made, "egress.create", _in_words(made))
        return made

    async def update(
        self,
        scope: Scope,
        name: str,
        *,
        address: str | None = None,
        address6: str | None = None,
        helo: str | None = None,
        ipv6_forced: bool | None = None,
    ) -> EgressRecord:
        """Change its addresses ("" takes one away) or its HELO name; check it anew afterwards."""
        given: dict[str, Any] = {
            "address": address,
            "address6": address6,
            "helo": helo,
            "ipv6_forced": ipv6_forced,
        }
        values = {key: value for key, value in given.items() if value is not None}
        if not values:
            raise UsageError("nothing to change: give an address or a HELO name")
        async with self._changing(scope, name) as (changed, found):
            others = await store.egresses(changed.connection)
            wanted = rules.checked_egress(replace(_request(found), **values), self._hostname)
            rules.check_free(wanted, (one for one in others.values() if one.name != found.name))
            made = _with_addresses(found, wanted)
            values = _given(wanted) | {"checks": store.encoded(made.checks), "checked_at": 0}
            await store.set_egress(changed.connection, found.name, values)
            await self._audit(changed, scope, made, "egress.update", _in_words(made))
        return made

    async def enable(
        self, scope: Scope, name: str, *, only_if: Condition = _always
    ) -> EgressRecord:
        """Let mail leave from it. Raises ConflictError when it does not stand as `only_if` wants."""
        return await self._move(scope, name, EgressState.ENABLED, "", only_if)

    async def drain(
        self, scope: Scope, name: str, *, why: str, only_if: Condition = _always
    ) -> EgressRecord:
        """Give it nothing new; what is in its lanes still leaves. Raises ConflictError as `enable`."""
        return await self._move(scope, name, EgressState.DRAINING, checked_reason(why), only_if)

    async def disable(self, scope: Scope, name: str, *, why: str) -> EgressRecord:
        """Begin no transaction on it any more."""
        return await self._move(scope, name, EgressState.DISABLED, checked_reason(why))

    async def delete(self, scope: Scope, name: str, *, force: bool = False) -> EgressRecord:
        """Forget it; what waited for it goes from others. `force`: even enabled, or a pool's last."""
        async with self._changing(scope, name) as (changed, found):
            if not force:
                pools = await store.pools(changed.connection)
                rules.check_deletable(found, pools.values())
            await store.delete_egress(changed.connection, found.name)
            await self._audit(changed, scope, found, "egress.delete", _in_words(found))
        return found

    async def list(self, scope: Scope) -> tuple[EgressRecord, ...]:
        """Every egress, by name."""
        _only_system(scope)
        async with reading(self._engine) as connection:
            return tuple((await store.egresses(connection)).values())

    async def get(self, scope: Scope, name: str) -> EgressRecord:
        """One egress. Raises NotFoundError."""
        _only_system(scope)
        async with reading(self._engine) as connection:
            return await store.get_egress(connection, name)

    async def check(
        self, scope: Scope, name: str, lookup: Lookup
    ) -> tuple[EgressRecord, tuple[AddressCheck, ...]]:
        """Look at the DNS of its addresses: the egress as it stands now, and what was seen.

        What DNS could not say leaves what was known before: IPv6 is not given up for a name server
        that is slow.
        """
        found = await self.get(scope, name)
        fresh = await check_egress(found, lookup, self._now(), self._is_here)
        async with change(self._engine, Part.EGRESS) as changed:
            current = await store.get_egress(changed.connection, found.name)
            if (current.addresses, current.helo) == (found.addresses, found.helo):
                kept, at = settled(current.checks, fresh), self._now()
                values = {"checks": store.encoded(kept), "checked_at": at}
                await store.set_egress(changed.connection, found.name, values)
                current = replace(current, checks=kept, checked_at=at)
        return current, fresh

    async def _move(
        self, scope: Scope, name: str, state: EgressState, why: str, only_if: Condition = _always
    ) -> EgressRecord:
        async with self._changing(scope, name) as (changed, found):
            if not only_if(found):
                raise ConflictError(f"egress {found.name} is {found.state}, as somebody wants it")
            made = replace(found, state=state, why=why)
            if made != found:
                values = {"state": state, "why": why}
                await store.set_egress(changed.connection, found.name, values)
                await self._audit(changed, scope, made, f"egress.{_VERBS[state]}", why)
        return made

    @asynccontextmanager
    async def _changing(
        self, scope: Scope, name: str
    ) -> AsyncIterator[tuple[Change, EgressRecord]]:
        _only_system(scope)
        async with change(self._engine, Part.EGRESS) as changed:
            yield changed, await store.get_egress(changed.connection, name)

    async def _audit(
        self, changed: Change, scope: Scope, made: EgressRecord, action: str, detail: str
    ) -> None:
        act = Act(
            tenant_id=BOX,
            at=self._now(),
            action=action,
            subject=f"egress {made.name}",
            detail=detail,
        )
        await record(changed.connection, scope, act)


_VERBS = {
    EgressState.ENABLED: "enable",
    EgressState.DRAINING: "drain",
    EgressState.DISABLED: "disable",
}


def _request(found: EgressRecord) -> EgressRequest:
    return EgressRequest(**{f.name: getattr(found, f.name) for f in fields(EgressRequest)})


def _given(wanted: EgressRequest) -> dict[str, Any]:
    return {field.name: getattr(wanted, field.name) for field in fields(wanted)}


def _with_addresses(found: EgressRecord, wanted: EgressRequest) -> EgressRecord:
    """What was checked with another HELO name, or of an address that is gone, counts no more."""
    made = replace(found, **_given(wanted))
    is_same = made.helo == found.helo
    kept = (check for check in found.checks if is_same and check.address in made.addresses)
    return replace(made, checks=tuple(kept), checked_at=0)


def _in_words(made: EgressRecord) -> str:
    forced = ", IPv6 by force" if made.ipv6_forced else ""
    return f"{' '.join(made.addresses)} as {made.helo}{forced}"


def _only_system(scope: Scope) -> None:
    if not scope.is_system:
        raise UsageError("only the box's admin may see and change egress addresses")
