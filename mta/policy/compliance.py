"""Compliance gate: bulk mail that the big receivers refuse is better refused here. Pure.

Gmail and Yahoo demand one-click unsubscribe (RFC 8058), DMARC and an aligned From of bulk senders.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from appliance.core import ids
from mta.directory import Gate
from mta.policy.refusal import Refused
from mta.status import TrafficClass

if TYPE_CHECKING:
    from mta.directory import Credential, SendingDomain
    from mta.policy.prepare import Prepared

log = logging.getLogger(__name__)


def shortcomings(prepared: Prepared, domain: SendingDomain | None) -> list[str]:
    """What bulk mail lacks, in words."""
    found = []
    if not prepared.has_list_unsubscribe:
        found.append("List-Unsubscribe is missing")
    if not prepared.has_list_unsubscribe_post:
        found.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click is missing (RFC 8058)")
    if domain is None or not _aligned(prepared.header_from_domain, domain.name):
        found.append(f"no signing domain is aligned with From {prepared.header_from_domain}")
    elif not domain.keys:
        found.append(f"{domain.name} has no key to sign with")
    elif not domain.has_dmarc:
        found.append(f"{domain.name} publishes no DMARC record")
    return found


def check(
    credential: Credential, prepared: Prepared, domain: SendingDomain | None, message_id: int
) -> None:
    """Refuse, warn or let pass, as the credential says."""
    if credential.compliance is Gate.OFF or prepared.traffic_class is not TrafficClass.BULK:
        return
    found = shortcomings(prepared, domain)
    if not found:
        return
    words = "; ".join(found)
    if credential.compliance is Gate.REFUSE:
        raise Refused(550, "5.7.1", f"bulk mail that receivers will refuse: {words}")
    log.warning("bulk message %s: %s", ids.to_text(message_id), words)


def _aligned(from_domain: str, signing: str) -> bool:
    """Relaxed alignment (RFC 7489 3.1.1) with a domain that covers the From domain."""
    return from_domain == signing or from_domain.endswith("." + signing)
