"""Rules of egress, pure: what an address and a pool may be, and how pools may lean on each other.

No pool may fall back on itself through others, nor on a pool that another tenant has for itself; an
address is either shared or one tenant's own, else "dedicated" would mean nothing.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.core.scope import BOX
from appliance.domains.rules import checked_name as checked_domain
from mta.egress import EgressState, Member

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from appliance.egress.model import EgressRecord, EgressRequest, PoolChange, PoolRecord

MAX_WEIGHT: Final = 1000
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")


def checked_name(name: str, noun: str) -> str:
    """The name of an egress or a pool as it is stored."""
    wanted = name.strip().lower()
    if not _NAME.fullmatch(wanted):
        raise UsageError(
            f"{name!r} cannot name {noun}: use 1-63 letters, digits, inner dots and hyphens, as in out-1"
        )
    return wanted


def checked_egress(wanted: EgressRequest, hostname: str) -> EgressRequest:
    """The request in normal form, with a HELO name."""
    checked = replace(
        wanted,
        name=checked_name(wanted.name, "an egress"),
        address=_checked_address(wanted.address, 4),
        address6=_checked_address(wanted.address6, 6),
        helo=checked_domain(wanted.helo or hostname),
    )
    if not (checked.address or checked.address6):
        raise UsageError(
            "an egress needs an address: give an IPv4 address, an IPv6 address or both"
        )
    return checked


def _checked_address(text: str, version: int) -> str:
    if not text.strip():
        return ""
    example = "203.0.113.5" if version == 4 else "2001:db8::5"
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError as error:
        raise UsageError(f"{text!r} is no IPv{version} address: write it as {example}") from error
    is_source = not (found.is_unspecified or found.is_multicast or "%" in str(found))
    if found.version != version or not is_source or getattr(found, "ipv4_mapped", None):
        raise UsageError(f"mail cannot leave from {text!r} as IPv{version}: write it as {example}")
    return str(found)


def check_free(wanted: EgressRequest, others: Iterable[EgressRecord]) -> None:
    """Two egresses with one address would hide from each other what receivers think of it."""
    for other in others:
        if shared := {wanted.address, wanted.address6} & set(other.addresses):
            raise ConflictError(f"egress {other.name} has the address {shared.pop()} already")


def check_deletable(found: EgressRecord, pools: Iterable[PoolRecord]) -> None:
    """Its mail goes elsewhere: only where there is an elsewhere, and not by a slip."""
    if found.state is EgressState.ENABLED:
        raise ConflictError(
            f"egress {found.name} is enabled: drain or disable it first, or use --force"
        )
    empty = [pool.name for pool in pools if [m.egress for m in pool.members] == [found.name]]
    if empty:
        raise ConflictError(
            f"egress {found.name} is the only address of pool {', '.join(empty)}:"
            " give the pool another one first, or use --force"
        )


def checked_members(members: Iterable[Member]) -> tuple[Member, ...]:
    """By name, each once, with weights that can be."""
    wanted: dict[str, Member] = {}
    for member in members:
        name = checked_name(member.egress, "an egress")
        if name in wanted:
            raise UsageError(f"{name} stands twice among the members: give it once")
        if not 1 <= member.weight <= MAX_WEIGHT:
            raise UsageError(f"weight {member.weight} of {name} is not between 1 and {MAX_WEIGHT}")
        wanted[name] = Member(egress=name, weight=member.weight)
    return tuple(wanted[name] for name in sorted(wanted))


def changed_pool(old: PoolRecord, change: PoolChange) -> PoolRecord:
    """The pool with the change."""
    given = {
        field.name: value
        for field in fields(change)
        if (value := getattr(change, field.name)) is not None
    }
    if change.members is not None:
        given["members"] = checked_members(change.members)
    if change.fallback:
        given["fallback"] = checked_name(change.fallback, "a pool")
    return replace(old, **given)


def check_pool(made: PoolRecord, pools: Mapping[str, PoolRecord], known: Collection[str]) -> None:
    """Whether the pool can stand among `pools` (itself with them); `known` names every egress."""
    if not made.members:
        raise UsageError(
            f"pool {made.name} would have no address and could send nothing: name a member"
            " with --member EGRESS=WEIGHT, or delete the pool"
        )
    unknown = [member.egress for member in made.members if member.egress not in known]
    if unknown:
        raise NotFoundError(
            f"no egress is named {', '.join(unknown)}: `pillarbox egress list` shows them"
        )
    if made.is_default and made.tenant_id != BOX:
        raise ConflictError(f"pool {made.name} is one tenant's own: the default must be shared")
    _check_dedication(made, pools)
    for pool in pools.values():
        _check_fallbacks(pool, pools)


def _check_dedication(made: PoolRecord, pools: Mapping[str, PoolRecord]) -> None:
    mine = {member.egress for member in made.members}
    for pool in pools.values():
        if pool.tenant_id == made.tenant_id:
            continue
        if common := mine & {member.egress for member in pool.members}:
            raise ConflictError(
                f"{', '.join(sorted(common))} is in pool {pool.name} too: an address is shared, or"
                " one tenant's own, not both"
            )


def _check_fallbacks(pool: PoolRecord, pools: Mapping[str, PoolRecord]) -> None:
    path, current = [pool.name], pool
    while current.fallback:
        following = pools.get(current.fallback)
        if following is None:
            raise NotFoundError(
                f"no pool is named {current.fallback!r}: `pillarbox pool list` shows them"
            )
        path.append(following.name)
        if following.name in path[:-1]:
            raise ConflictError(f"the fallbacks go in a circle: {' -> '.join(path)}")
        if following.tenant_id not in (BOX, pool.tenant_id):
            raise ConflictError(
                f"pool {pool.name} cannot fall back on {following.name}: that is another tenant's own"
            )
        current = following
