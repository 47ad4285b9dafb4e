"""Rules of operations, pure: what may be paused, how long, and what a pause is called."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import idna

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.operations.model import Target

MAX_PAUSE: Final = 366 * clock.DAY


def checked_target(target: Target) -> Target:
    """The target in normal form. An empty one would stop everything: that is the kill switch's work."""
    domain = target.domain.strip().rstrip(".").lower()
    if domain and not domain.isascii():
        domain = _a_label(domain)
    checked = replace(
        target,
        domain=domain,
        site=target.site.strip().lower(),
        provider=target.provider.strip().lower(),
        egress=target.egress.strip(),
        tag=target.tag.strip(),
    )
    if checked == Target():
        raise UsageError(
            "name a tenant, domain, credential, site, provider, egress or tag to pause; to stop"
            " everything use `pillarbox kill-switch on`"
        )
    return checked


def checked_end(expires_at: int, now: int) -> int:
    """When a pause ends by itself; 0 = never."""
    if expires_at and not now < expires_at <= now + MAX_PAUSE:
        raise UsageError("a pause ends in the future, within a year; or leave its end away")
    return expires_at


def later(one: int, other: int) -> int:
    """The later of two ends, where 0 is never."""
    return max(one, other) if one and other else 0


def _a_label(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as error:
        raise UsageError(f"{domain!r} is no domain name: {error}") from error


def describe(target: Target) -> str:
    """The target in words, for the audit log."""
    parts = (
        f"tenant {target.tenant_id}" if target.tenant_id else "",
        f"credential {target.credential_id}" if target.credential_id else "",
        f"domain {target.domain}" if target.domain else "",
        f"site {target.site}" if target.site else "",
        f"provider {target.provider}" if target.provider else "",
        f"egress {target.egress}" if target.egress else "",
        f"tag {target.tag}" if target.tag else "",
    )
    return "pause of " + ", ".join(filter(None, parts))
