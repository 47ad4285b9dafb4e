"""Rules of operations, pure: what may be paused, and what a pause is called."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import idna

from appliance.core.errors import UsageError

if TYPE_CHECKING:
    from appliance.operations.model import Target


def checked_target(target: Target) -> Target:
    """The target in normal form. An empty one would stop everything: that is the kill switch's work."""
    domain = target.domain.strip().rstrip(".").lower()
    if domain and not domain.isascii():
        domain = _a_label(domain)
    checked = replace(target, domain=domain, site=target.site.strip().lower())
    if not (checked.tenant_id or checked.domain or checked.credential_id or checked.site):
        raise UsageError(
            "name a tenant, domain, credential or site to pause; to stop everything use"
            " `pillarbox kill-switch on`"
        )
    return checked


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
    )
    return "pause of " + ", ".join(filter(None, parts))
