"""Values of blocklists. What stands in the file of lists is appliance.blocklists.catalogue.Blocklist."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Family(StrEnum):
    """A kind of address that a list may know."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


class Verdict(StrEnum):
    """What a list says of an address."""

    LISTED = "listed"
    CLEAR = "clear"
    UNKNOWN = "unknown"  # nobody could say: changes nothing


class ListState(StrEnum):
    """Whether a list may be believed."""

    USABLE = "usable"
    UNUSABLE = "not usable"  # refuses us, lists everything, or does not list what it must
    UNREACHABLE = "unreachable"  # DNS could not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address to look up, and the egress that sends from it."""

    egress: str  # "" = of no egress: somebody just asks
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How a list answered for the test entries of RFC 5782."""

    state: ListState
    why: str = ""  # why it is not usable


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one list said of one address."""

    zone: str
    target: Target
    verdict: Verdict
    codes: tuple[str, ...] = ()
    text: str = ""  # its TXT record, printable
    why: str = ""  # why nobody could say


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One look at some addresses in some lists."""

    probes: Mapping[str, Probe]  # by zone
    answers: tuple[Answer, ...]  # only of lists that know the address's family


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A listing as it was seen."""

    target: Target
    zone: str
    codes: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """An address on a list, from when it was first seen there until it was seen to be gone."""

    id: int
    egress: str
    address: str
    zone: str
    codes: tuple[str, ...]
    text: str
    listed_at: int
    last_seen_at: int
    delisted_at: int  # 0 = listed
    drained: bool  # the egress is held back for this

    @property
    def is_new(self) -> bool:
        """Whether it was seen once only."""
        return self.listed_at == self.last_seen_at

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is about."""
        return self.egress, self.address, self.zone


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCheck:
    """How a list did when it was asked last."""

    zone: str
    state: ListState
    why: str
    checked_at: int
    since: int  # when it came into this state
