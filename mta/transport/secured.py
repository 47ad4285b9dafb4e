"""Puts the receiver's MTA-STS policy upon the site that the inner router found.

    enforce   hosts that no mx pattern names are left out, the others need a valid certificate; with no
              host left the mail waits (4.7.5), because it might be an attacker who answered DNS
    testing   nothing is left out; failures are only counted

A host with DANE goes by DANE and is not asked about MTA-STS (RFC 8461 section 2). Which policy each
domain is under is told to `TlsResults`, for its reports. A domain that was looked at costs the inner
router's dictionary look-up and one of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from appliance.core import clock
from mta.transport import mx
from mta.transport.base import TlsDemand
from mta.transport.sts_policy import Mode
from mta.transport.tls_results import AppliedPolicy, Failure, PolicyType

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.transport.base import Router, Site
    from mta.transport.mta_sts import StsPolicies
    from mta.transport.sts_policy import Policy
    from mta.transport.tls_results import TlsResults

_MAX_DOMAINS = 100_000


@dataclass(frozen=True, slots=True)
class _Secured:
    """What became of a domain's site."""

    found: Site
    site: Site
    until: int


class SecuredRouter:
    """A Router around the one that asks DNS."""

    def __init__(
        self,
        inner: Router,
        results: TlsResults,
        *,
        policies: StsPolicies | None = None,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        """Without `policies` MTA-STS is switched off."""
        self._inner, self._results = inner, results
        self._policies, self._now = policies, now
        self._secured: dict[str, _Secured] = {}

    async def site_of(self, domain: str) -> Site:
        """The site, with what the policy demands. Raises RouteError."""
        found = await self._inner.site_of(domain)
        if domain.startswith("["):
            return found
        known = self._secured.get(domain)
        if known is None or known.found is not found or known.until <= self._now():
            known = await self._secure(domain, found)
            if len(self._secured) >= _MAX_DOMAINS:
                self._secured.clear()
            self._secured[domain] = known
        return known.site

    async def _secure(self, domain: str, found: Site) -> _Secured:
        name, site = mx.a_label(domain), found
        applied = AppliedPolicy(type=PolicyType.NONE, domain=name)
        answer = None
        if self._policies is not None and any(host.dane is None for host in found.hosts):
            answer = await self._policies.find(name, found.sts_id)
        if answer is not None:
            site = replace(found, expires_at=min(found.expires_at, answer.until))
            policy = answer.policy
            if policy is not None and policy.mode is not Mode.NONE:
                applied = AppliedPolicy(
                    type=PolicyType.STS, domain=name, lines=policy.lines(), mx=policy.mx
                )
                site = self._apply(policy, applied, site)
        self._results.under(domain, applied)
        return _Secured(found, site, site.expires_at)

    def _apply(self, policy: Policy, applied: AppliedPolicy, site: Site) -> Site:
        strangers = [h for h in site.hosts if h.dane is None and not policy.allows(h.name)]
        for host in strangers:
            reason = "the policy names no such mx"
            place = (host.name, host.addresses[0])
            self._results.failed(applied, Failure.VALIDATION, reason, place=place)
        if policy.mode is Mode.TESTING:
            return replace(site, tls=TlsDemand.TESTING, key=f"{site.key}|sts-testing")
        hosts = tuple(host for host in site.hosts if host not in strangers)
        if not hosts:
            raise mx.refused(451, "4.7.5", _no_host(policy, applied, site))
        # The key names the hosts that are left: other domains may have other policies.
        key = mx.site_key([host.name for host in hosts], site.port)
        demand = "|dane|sts" if any(host.dane is not None for host in hosts) else "|sts"
        return replace(site, hosts=hosts, tls=TlsDemand.VERIFIED, key=key + demand)


def _no_host(policy: Policy, applied: AppliedPolicy, site: Site) -> str:
    found = ", ".join(host.name for host in site.hosts[:4])
    allowed = ", ".join(policy.mx[:4])
    return f"the MTA-STS policy of {applied.domain} allows {allowed}; DNS names only {found}"
