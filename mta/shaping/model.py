"""Values of shaping.

A *provider* is a section of config/shaping.toml: receivers whose MX hosts all end in its suffixes. A
*zone* is what limits and throttles apply to: a named provider with all its sites, else a single site.
Limits hold per (egress, zone), but `connections`, which holds per (egress, site).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

    from mta.status import Phase


class TlsNeed(StrEnum):
    """What TLS a provider's hosts must offer."""

    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"  # encrypted or not at all; the certificate is not judged
    VERIFIED = "verified"  # encrypted, with a certificate that is valid for the host
    NONE = "none"


@dataclass(frozen=True, slots=True, order=True)
class Rate:
    """So many in so many seconds; compares by speed through `per_second`."""

    count: int
    seconds: float

    @property
    def per_second(self) -> float:
        """The speed."""
        return self.count / self.seconds

    def __str__(self) -> str:
        """As people write it: 10/min, 100/s, 5/h, 3/90 s."""
        names = {1: "s", 60: "min", 3600: "h", 86_400: "d"}
        return f"{self.count}/{names.get(int(self.seconds), f'{self.seconds:g} s')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How a provider is written to when nothing is wrong. Times in seconds, None = delivery.* of the box."""

    connections: int  # at once, per (egress, site)
    zone_connections: int  # at once, per (egress, zone); 0 = no limit of its own
    messages_per_connection: int
    connection_rate: Rate | None  # new connections, per (egress, zone)
    message_rate: Rate | None  # transactions, per (egress, zone)
    recipients_per_message: int  # in one transaction
    tls: TlsNeed
    connect_timeout: float | None = None
    greeting_timeout: float | None = None
    command_timeout: float | None = None
    data_timeout: float | None = None
    dot_timeout: float | None = None
    idle_timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A section of the file; name "" is the default section."""

    name: str
    title: str  # "Google"
    suffixes: tuple[str, ...]  # of MX hosts, each beginning with a dot
    limits: Limits
    feedback_loop: bool = False  # reports complaints: only then do complaint rates mean something
    retry: tuple[float, ...] = ()  # seconds between attempts; () = queue.retry


@dataclass(frozen=True, slots=True)
class Zone:
    """What limits and throttles apply to. `key` is the provider's name, else the key of the site."""

    key: str
    provider: Provider

    @property
    def title(self) -> str:
        """As people call it."""
        return (
            self.provider.title if self.provider.name else self.key.rpartition(":")[0] or self.key
        )


class ActionKind(StrEnum):
    """What a rule does once its answer was heard often enough."""

    SLOW = "slow"  # at most `rate` and `connections`, then back step by step
    SUSPEND = "suspend"  # nothing from this egress to this zone
    SUSPEND_TENANT = "suspend_tenant"  # nothing of this tenant from this egress to this zone
    SUSPEND_DOMAIN = "suspend_domain"  # nothing from this egress to the recipient's domain
    DEFER = "defer"  # treat the answer as temporary, wait at least `seconds`
    BOUNCE = "bounce"  # treat the answer as final
    NEXT_ADDRESS = "next_address"  # try again soon, from another egress
    PLAINTEXT = "plaintext"  # no STARTTLS with this host for a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What to do, and for how long."""

    kind: ActionKind
    seconds: float = 0.0
    rate: Rate | None = None  # SLOW
    connections: int = 0  # SLOW; 0 = unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: which answers it hears, how often in which time, and what follows."""

    id: str
    provider: str  # "" = any
    actions: tuple[Action, ...]
    samples: tuple[str, ...]
    times: int = 1
    within: float = 3600.0  # seconds in which `times` answers must come
    codes: re.Pattern[str] | None = None  # on "421 4.7.28"
    phases: frozenset[Phase] = frozenset()  # empty = any
    phrases: tuple[str, ...] = ()  # as mta.answer_text.searchable writes them; any of them
    pattern: re.Pattern[str] | None = None
    note: str = ""  # why, for people
    line: int = field(default=0, compare=False)  # where it stands in the file
