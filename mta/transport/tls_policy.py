"""Which TLS a host must offer, and what follows from how it went.

    ways()       rules: the receiver's policy, shaping and the settings -> what to try, in order; pure
    Approach     how an address is talked to: the targets to try one after the other, where TLS fails
    ByPolicy     the approach to receivers' MX hosts; it also remembers broken TLS and counts for reports

The stricter demand wins, and DANE goes before MTA-STS (RFC 8461 section 2): a host with TLSA records is
judged by them alone. What is demanded is never given up: such a host gets no mail, and the reply names
who demands it. What is not demanded gives way to the clear on a new connection, at once where the host's
TLS is known to be broken. A policy in testing is tried first and then forgotten, but for the report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

from appliance.core import clock
from appliance.core.tls import verifying_context
from mta.shaping.model import TlsNeed
from mta.transport import dane
from mta.transport.base import TlsDemand
from mta.transport.smtp_conversation import TlsMode
from mta.transport.tls_context import lenient_context, peer_chain
from mta.transport.tls_memory import TlsMemory
from mta.transport.tls_results import AppliedPolicy, Failure, PolicyType, TlsResults

if TYPE_CHECKING:
    import ssl

    from mta.transport.base import MxHost, Site
    from mta.transport.smtp_conversation import Conversation, OpenFailed, Target

Seen = Callable[[str, str], None]
_NO_OFFER: Final = "STARTTLS is not offered, or was refused"


class Trust(StrEnum):
    """Who must vouch for the certificate; the word stands behind the cipher in each attempt."""

    NOBODY = "unverified"
    AUTHORITIES = "verified"
    STS = "mta-sts verified"
    TLSA = "dane verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to use TLS with a host; `why`: who demands it, for the words of a failure."""

    mode: TlsMode
    trust: Trust = Trust.NOBODY
    why: str = ""


_CLEAR: Final = Way(mode=TlsMode.NONE)
_OFFERED: Final = Way(mode=TlsMode.OPPORTUNISTIC)
_STS: Final = Way(
    mode=TlsMode.REQUIRED, trust=Trust.STS, why="the MTA-STS policy of the domain demands it"
)
_TLSA: Final = Way(
    mode=TlsMode.REQUIRED, trust=Trust.TLSA, why="the DANE records of the host demand it"
)
_UNUSABLE: Final = Way(
    mode=TlsMode.REQUIRED, why="the host has DANE records, none of which can be used"
)
_ENCRYPTED: Final = Way(mode=TlsMode.REQUIRED, why="shaping demands it of this provider")
_VALID: Final = replace(_ENCRYPTED, trust=Trust.AUTHORITIES)


def ways(
    host: MxHost, demand: TlsDemand, need: TlsNeed, *, starttls: bool, is_avoided: bool
) -> tuple[Way, ...]:
    """What to try with a host: the next one on a new connection where TLS fails."""
    if host.dane:
        return (_TLSA,)
    if demand is TlsDemand.VERIFIED:
        return (_STS,)
    if need is TlsNeed.VERIFIED:
        return (_VALID,)
    at_last = _at_last(host, demand, need, may_offer=starttls and not is_avoided)
    is_tried = demand is TlsDemand.TESTING and starttls
    return (_STS, *at_last) if is_tried else at_last


def _at_last(host: MxHost, demand: TlsDemand, need: TlsNeed, *, may_offer: bool) -> tuple[Way, ...]:
    """When no valid certificate is demanded."""
    if host.dane is not None:
        return (_UNUSABLE,)
    match need:
        case TlsNeed.REQUIRED:
            return (_ENCRYPTED,)
        case TlsNeed.NONE if demand is not TlsDemand.TESTING:
            return (_CLEAR,)
        case TlsNeed.OPPORTUNISTIC | TlsNeed.NONE | TlsNeed.VERIFIED:
            return (_OFFERED, _CLEAR) if may_offer else (_CLEAR,)
        case _:
            assert_never(need)


class Approach:
    """To the one host that somebody configured: as the target says, opportunism gives way.

    `seen` is told of each connection: "opened" or "failed"; the version of TLS, "none", "failed" or "".
    """

    def __init__(self, seen: Seen = lambda _connection, _tls: None) -> None:
        self._seen = seen

    def targets(self, target: Target) -> tuple[Target, ...]:
        """What to try with this address."""
        if target.tls is TlsMode.OPPORTUNISTIC:
            return target, replace(target, tls=TlsMode.NONE)
        return (target,)

    def opened(self, tried: tuple[Target, ...], conversation: Conversation) -> Conversation:
        """The last of what was tried worked; the conversation, and how long it may be kept."""
        self._seen("opened", conversation.tls.partition(" ")[0] or "none")
        return conversation

    def failed(self, tried: tuple[Target, ...], failed: OpenFailed) -> None:
        """The last of what was tried did not."""
        self._seen("failed", "failed" if failed.failure is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsTools:
    """What all connections of a process share. `authorities` differs in laboratories only."""

    starttls: bool = True
    memory: TlsMemory = field(default_factory=TlsMemory)
    results: TlsResults = field(default_factory=TlsResults)
    lenient: ssl.SSLContext = field(default_factory=lenient_context)
    authorities: ssl.SSLContext = field(default_factory=verifying_context)
    now: Callable[[], int] = clock.now_ms
    seen: Seen = lambda _connection, _tls: None


class ByPolicy(Approach):
    """To the MX hosts of a site, for mail to `domain`."""

    def __init__(self, tools: TlsTools, site: Site, need: TlsNeed, domain: str) -> None:
        super().__init__(tools.seen)
        self._tools, self._demand, self._need = tools, site.tls, need
        self._hosts = {host.name: host for host in site.hosts}
        self._domain = domain

    def targets(self, target: Target) -> tuple[Target, ...]:
        """One for each way."""
        host, tools = self._hosts[target.host], self._tools
        is_avoided = tools.memory.is_avoided(target.host, target.address)
        found = ways(host, self._demand, self._need, starttls=tools.starttls, is_avoided=is_avoided)
        return tuple(self._target(target, host, way) for way in found)

    def _target(self, target: Target, host: MxHost, way: Way) -> Target:
        tools = self._tools
        is_strict = way.trust in (Trust.AUTHORITIES, Trust.STS)

        def judge(tls: ssl.SSLObject) -> str:
            if way.trust is not Trust.TLSA:
                return way.trust
            now = clock.aware(tools.now())
            return dane.verify(peer_chain(tls), host.dane or (), host.name, now) + " verified"

        context = tools.authorities if is_strict else tools.lenient
        return replace(target, tls=way.mode, context=context, judge=judge, why=way.why)

    def opened(self, tried: tuple[Target, ...], conversation: Conversation) -> Conversation:
        """Forget or remember that the host's TLS is broken; count the session."""
        super().opened(tried, conversation)
        target, memory = tried[-1], self._tools.memory
        if conversation.tls:
            memory.worked(target.host, target.address)
        elif len(tried) > 1 and tried[-2].tls is TlsMode.OPPORTUNISTIC:
            memory.failed(target.address)
        self._count_opened(tried, conversation)
        if not conversation.tls or target.tls is not TlsMode.OPPORTUNISTIC:
            return conversation
        return replace(
            conversation, holds=lambda: not memory.is_avoided(target.host, target.address)
        )

    def _count_opened(self, tried: tuple[Target, ...], conversation: Conversation) -> None:
        target = tried[-1]
        if len(tried) > 1 or target.tls is TlsMode.NONE:
            return  # its failure was counted, or TLS was not tried at all
        policy = self._policy(target)
        if policy is not None and conversation.tls:
            self._tools.results.succeeded(policy)
        elif policy is not None:
            self._count(policy, target, conversation.source, Failure.NO_STARTTLS, _NO_OFFER)

    def failed(self, tried: tuple[Target, ...], failed: OpenFailed) -> None:
        """Count the session where TLS was the reason."""
        super().failed(tried, failed)
        policy = self._policy(tried[-1])
        if len(tried) == 1 and failed.failure is not None and policy is not None:
            self._count(policy, tried[-1], failed.source, failed.failure, failed.reply.text)

    def _policy(self, target: Target) -> AppliedPolicy | None:
        if self._demand is TlsDemand.WAIVED:  # no report counts how reports arrived
            return None
        records = self._hosts[target.host].dane
        if records is None or not self._domain:
            return self._tools.results.policy_of(self._domain)
        # The policy domain of DANE is the TLSA base domain (RFC 8460 section 1.1).
        lines = tuple(map(str, records))
        return AppliedPolicy(type=PolicyType.TLSA, domain=target.host, lines=lines)

    def _count(
        self, policy: AppliedPolicy, target: Target, source: str, failure: Failure, reason: str
    ) -> None:
        place = (target.host, target.address)
        self._tools.results.failed(policy, failure, reason, source=source, place=place)
