"""Values of egress. What the mta sees of them is mta.egress.EgressPlan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mta.egress import EgressState

if TYPE_CHECKING:
    from mta.egress import Member


class CheckState(StrEnum):
    """What DNS says of an address and its HELO name."""

    OK = "ok"
    WRONG = "wrong"  # a record is missing or says something else
    UNKNOWN = "unknown"  # DNS could not say, or was not asked yet


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressCheck:
    """One address with its HELO name, as DNS and this machine had them at one time."""

    address: str
    at: int
    state: CheckState
    forward: tuple[str, ...] = ()  # addresses of the HELO name, in the family of this one
    reverse: tuple[str, ...] = ()  # names of the address (PTR)
    problems: tuple[str, ...] = ()  # in words, each with the record to publish, and where
    warnings: tuple[str, ...] = ()  # what most receivers put up with, or only this machine minds


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRequest:
    """An egress to be made. `helo` "" is the name of the box; at least one address is given."""

    name: str
    address: str = ""
    address6: str = ""
    helo: str = ""
    ipv6_forced: bool = False
    state: EgressState = EgressState.ENABLED


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRecord:
    """An egress as it stands in the store."""

    name: str
    address: str  # IPv4; "" = none
    address6: str  # IPv6; "" = none
    helo: str
    state: EgressState
    why: str  # why it is not enabled
    ipv6_forced: bool
    checks: tuple[AddressCheck, ...]  # the last of each address that said something
    checked_at: int  # when they were last tried; 0 = never
    created_at: int

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those it has, IPv4 first."""
        return tuple(filter(None, (self.address, self.address6)))

    def dns(self, address: str) -> CheckState:
        """What was last seen of an address."""
        found = (check.state for check in self.checks if check.address == address)
        return next(found, CheckState.UNKNOWN)

    @property
    def uses_ipv6(self) -> bool:
        """Whether mail leaves from its IPv6 address: receivers refuse one without reverse DNS."""
        is_right = self.ipv6_forced or self.dns(self.address6) is CheckState.OK
        return bool(self.address6) and is_right


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRecord:
    """A pool as it stands in the store."""

    name: str
    tenant_id: int = 0  # 0 = shared
    members: tuple[Member, ...] = ()  # by name
    fallback: str = ""
    is_default: bool = False
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolChange:
    """What to change of a pool; None leaves it as it is."""

    members: tuple[Member, ...] | None = None
    fallback: str | None = None
    tenant_id: int | None = None
    is_default: bool | None = None
