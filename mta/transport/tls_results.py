"""What TLS did on connections to receivers, counted for the reports they ask for (TLS-RPT, RFC 8460).

One count is one connection that came as far as TLS, under the policy that was applied to it; also a
policy that could not be had. Kept in memory until `drain`; the roof stores it every second or so.
Bounded: above MAX_KINDS different results between two drains, further kinds are not counted. It knows
under which policy each domain is, because connections are shared by domains with the same hosts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_KINDS: Final = 20_000
_MAX_REASON: Final = 200
_MAX_DOMAINS: Final = 100_000


class PolicyType(StrEnum):
    """Whose rule a connection was under (RFC 8460 section 4.4)."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


class Failure(StrEnum):
    """Result types (RFC 8460 section 4.3)."""

    NO_STARTTLS = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION = "validation-failure"
    DNSSEC_INVALID = "dnssec-invalid"
    STS_FETCH = "sts-policy-fetch-error"
    STS_INVALID = "sts-policy-invalid"
    STS_WEBPKI = "sts-webpki-invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPolicy:
    """The policy as a report tells it. `domain`: who published it; with DANE the MX host."""

    type: PolicyType
    domain: str
    lines: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsResult:
    """One kind of result; without a failure nothing but the policy is told."""

    policy: AppliedPolicy
    failure: Failure | None = None
    reason: str = ""
    source: str = ""  # our address
    host: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a result was seen on a day (ms of its midnight, UTC)."""

    day: int
    result: TlsResult
    count: int


class TlsResults:
    """The counts of one process."""

    def __init__(self, now: Callable[[], int] = clock.now_ms) -> None:
        self._now = now
        self._counts: Counter[tuple[int, TlsResult]] = Counter()
        self._policies: dict[str, AppliedPolicy] = {}

    def under(self, domain: str, policy: AppliedPolicy) -> None:
        """Mail to the domain is under this policy now."""
        if len(self._policies) >= _MAX_DOMAINS:
            self._policies.clear()
        self._policies[domain] = policy

    def policy_of(self, domain: str) -> AppliedPolicy | None:
        """The policy of a domain; None for one that no router has looked at."""
        return self._policies.get(domain)

    def succeeded(self, policy: AppliedPolicy) -> None:
        """A connection was secured as the policy asks."""
        self._add(TlsResult(policy=policy))

    def failed(
        self,
        policy: AppliedPolicy,
        failure: Failure,
        reason: str,
        *,
        source: str = "",
        place: tuple[str, str] = ("", ""),
    ) -> None:
        """It was not, or the policy could not be had; `place`: host and address."""
        host, address = place
        result = TlsResult(
            policy=policy,
            failure=failure,
            reason=reason[:_MAX_REASON],
            source=source,
            host=host,
            address=address,
        )
        self._add(result)

    def drain(self) -> list[Tally]:
        """What was counted since the last time."""
        counts, self._counts = self._counts, Counter()
        return [Tally(day, result, count) for (day, result), count in counts.items()]

    def put_back(self, tallies: Iterable[Tally]) -> None:
        """They could not be stored: for the next time."""
        for tally in tallies:
            self._count(tally.day, tally.result, tally.count)

    def _add(self, result: TlsResult) -> None:
        now = self._now()
        self._count(now - now % clock.DAY, result, 1)

    def _count(self, day: int, result: TlsResult, by: int) -> None:
        key = (day, result)
        if key in self._counts or len(self._counts) < MAX_KINDS:
            self._counts[key] += by
