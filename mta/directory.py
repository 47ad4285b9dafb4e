"""Directory: what admission and delivery must know of tenants, as one immutable snapshot.

The roof fills it from `control.db` and replaces it when the generation counter moves (polled at
most every 250 ms), so that no message costs a query. The mta never imports the rooms that own
these facts.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from mta.egress import EgressPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mta.message import ReturnPathMode
    from mta.status import TrafficClass
    from mta.warmup.model import WarmupPlan

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class FromPolicy(StrEnum):
    """Which From domains a credential may use."""

    VERIFIED = "verified"  # only verified sending domains of the tenant
    ANY = "any"  # forwarders: foreign From allowed, signed with the tenant's default domain


class Gate(StrEnum):
    """What the compliance gate does with bulk mail that receivers will refuse."""

    OFF = "off"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A customer or team of the box."""

    id: int
    name: str
    suspended: bool = False
    suspended_reason: str = ""
    weight: int = 1  # share of the egress when several tenants wait
    recipients_per_day: int = 0  # 0 = no limit
    sandbox: bool = False  # accept what it sends and deliver it to nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An SMTP login with what it may do. `id` 0 is the box itself, for its own notices."""

    id: int
    tenant_id: int
    name: str
    username: str
    secret_hash: bytes  # keyed hash of the password (appliance.core.secrets)
    revoked: bool = False
    expires_at: int = 0  # 0 = never; set on the old password when it is rotated
    from_policy: FromPolicy = FromPolicy.VERIFIED
    envelope_sender_verified: bool = False
    allowed_from: frozenset[str] = frozenset()  # empty = every verified domain of the tenant
    networks: tuple[Network, ...] = ()  # empty = from anywhere
    traffic_class: TrafficClass | None = None
    tags: tuple[str, ...] = ()
    return_path_mode: ReturnPathMode | None = None
    dsn: bool = True
    compliance: Gate = Gate.OFF
    refuse_suppressed: bool = False
    accept_8bit_headers: bool = False
    normalise_line_ends: bool = False
    hide_client: bool = False
    recipients_per_hour: int = 0  # 0 = no limit
    recipients_per_day: int = 0
    surge_hold: bool = True  # hold at 5 x the usual rate
    usual_per_hour: int = 0  # recipients in a usual hour, from the event log; 0 = not known yet
    pool: str = ""  # egress pool of its mail, unless a header names another; "" = the tenant's
    sandbox: bool = False  # accept what it sends and deliver it to nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class DkimKey:
    """A signing key, decrypted and loaded by the roof (loading an RSA key costs 25 ms)."""

    selector: str
    algorithm: str  # "rsa-sha256" | "ed25519-sha256"
    private_key: object  # cryptography's RSAPrivateKey or Ed25519PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingDomain:
    """A domain of a tenant; `verified` when its ownership was proved."""

    id: int
    tenant_id: int
    name: str
    verified: bool
    is_default: bool = False
    has_dmarc: bool = False
    bounce_domain: str = ""  # "" until its return path is verified: then the box's own is used
    return_path_mode: ReturnPathMode | None = None
    keys: tuple[DkimKey, ...] = ()  # those that sign

    @property
    def selectors(self) -> tuple[str, ...]:
        """Of the keys that sign."""
        return tuple([key.selector for key in self.keys])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Mail that matches waits until somebody resumes it, or the pause expires.

    Empty fields match everything. An egress that is paused sends nothing: its mail goes from others.
    """

    id: int
    tenant_id: int = 0
    domain: str = ""
    credential_id: int = 0
    site: str = ""
    reason: str = ""
    by: str = ""
    at: int = 0
    provider: str = ""
    egress: str = ""
    tag: str = ""
    expires_at: int = 0  # 0 = never


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitch:
    """The global stop: who, when, why. The box's own mail goes on, unless `stops_own`."""

    by: str
    at: int
    reason: str
    stops_own: bool = False


class Suppressions(Protocol):
    """Addresses that must not be written to, held in memory by keyed hash."""

    def match(self, tenant_id: int, address: str) -> bool:
        """Whether the tenant (or the whole box) suppresses the address or its domain."""


class _NoSuppressions:
    def match(self, tenant_id: int, address: str) -> bool:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """One generation of everything. Look-ups are dictionary reads."""

    generation: int
    tenants: Mapping[int, Tenant] = field(default_factory=dict)
    credentials: Mapping[str, Credential] = field(default_factory=dict)  # by username, lower case
    senders: Mapping[int, Credential] = field(default_factory=dict)
    # ^ by id, those of API keys and trusted networks too
    domains: Mapping[str, SendingDomain] = field(default_factory=dict)  # by name
    default_domains: Mapping[int, SendingDomain] = field(default_factory=dict)  # by tenant id
    trusted: tuple[tuple[Network, Credential], ...] = ()  # relay without AUTH
    bounce_domains: frozenset[str] = frozenset()  # the box's own and every tenant's
    own_names: frozenset[str] = frozenset()  # host and HELO names of the box
    suppressions: Suppressions = field(default_factory=_NoSuppressions)
    pauses: tuple[Pause, ...] = ()
    kill_switch: KillSwitch | None = None
    egress: EgressPlan = field(default_factory=EgressPlan)
    warmup: Mapping[tuple[str, str], WarmupPlan] = field(default_factory=dict)
    # ^ by (name of the egress, provider); what is not there is warm
    box_keys: SendingDomain | None = None  # signs the box's own notices
    _pauses_by: dict[tuple[int, str], list[Pause]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for pause in self.pauses:
            self._pauses_by.setdefault((pause.tenant_id, pause.domain), []).append(pause)

    def stop_of(self, tenant_id: int) -> KillSwitch | None:
        """The kill switch, if it stops this tenant's mail; tenant 0 is the box itself."""
        stop = self.kill_switch
        return None if stop is None or (tenant_id == 0 and not stop.stops_own) else stop

    def pauses_of(self, tenant_id: int, domain: str) -> list[Pause]:
        """The pauses that may concern mail of a tenant to a domain, however many others there are."""
        if not self._pauses_by:
            return []
        names = ((0, ""), (tenant_id, ""), (0, domain), (tenant_id, domain))
        return [pause for name in names for pause in self._pauses_by.get(name, ())]

    def owner_of(self, domain: str) -> SendingDomain | None:
        """The verified sending domain that covers `domain`: itself, else the nearest parent.

        A verified domain covers its subdomains unless another tenant has verified one (MTA-2):
        the nearest verified name wins, whoever owns it.
        """
        name = domain
        while name:
            found = self.domains.get(name)
            if found is not None and found.verified:
                return found
            _, _, name = name.partition(".")
        return None
