"""Hints: what is allowed in settings, and yet hardly what anybody wants. Pure.

`hints()` returns words that say what follows and what to do; `pillarbox config check` shows them. What is
plainly wrong is in settings_rules.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.core.settings import Settings


def hints(settings: Settings, *, servers: Sequence[str], is_believed: bool) -> list[str]:
    """All hints. `servers`: the name servers in use; `is_believed`: one is about DNSSEC."""
    delivery = settings.delivery
    found = []
    if delivery.dane and not is_believed:
        found.append(no_dane(servers))
    if not delivery.starttls and (delivery.mta_sts or delivery.dane):
        found.append(
            "delivery.starttls is false: mail goes in the clear, but to receivers whose MTA-STS or "
            "DANE policy demands TLS; to keep to none set delivery.mta_sts and delivery.dane to false"
        )
    return found


def no_dane(servers: Sequence[str]) -> str:
    """Why DANE does nothing, and how it would."""
    return (
        f"delivery.dane does nothing: no name server in use ({', '.join(servers)}) is believed about "
        'DNSSEC. Run a validating resolver on this machine and set dns.nameservers = ["127.0.0.1"], '
        "or list a validating one that is reached over a safe line in dns.trusted; "
        "delivery.dane = false silences this"
    )
