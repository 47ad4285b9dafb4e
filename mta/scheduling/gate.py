"""Gate: may this be sent now? Kill switch, pauses and suspended tenants, as the directory has them; pure.

A pause is known to cover mail when the least is known of it: of a tenant or domain, all under a key;
of a credential, site, provider or tag, a parcel on its way; of an egress alone, the address, whose
mail leaves from others. A pause that has expired covers nothing, whether or not its row is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core import clock
from mta.warmup.model import OTHER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mta.directory import Directory, Pause
    from mta.scheduling.parcel import Parcel
    from mta.spool.store import QueueKey


def key_pause(directory: Directory, key: QueueKey, now: int) -> Pause | None:
    """A pause that covers everything under a key."""
    for pause in _in_force(directory, now):
        of_key = not (_of_parcel(pause) or pause.egress)
        if of_key and pause.tenant_id in (0, key.tenant_id) and pause.domain in ("", key.domain):
            return pause
    return None


def parcel_pause(
    directory: Directory, parcel: Parcel, site_key: str, provider: str, now: int, egress: str = ""
) -> Pause | None:
    """A pause that covers a parcel on its way to a site, from an egress.

    `provider` is "" for receivers that have no name; a pause calls them "other".
    """
    message = parcel.message
    for pause in _in_force(directory, now):
        if (
            pause.tenant_id in (0, message.tenant_id)
            and pause.domain in ("", parcel.key.domain)
            and pause.credential_id in (0, message.credential_id)
            and pause.site in ("", site_key)
            and pause.provider in ("", provider or OTHER)
            and (not pause.tag or pause.tag in message.tags)
            and pause.egress in ("", egress)
            and not _of_address(pause)
        ):
            return pause
    return None


def egress_paused(directory: Directory, egress: str, now: int) -> Pause | None:
    """A pause of an address, whatever leaves from it."""
    for pause in _in_force(directory, now):
        if pause.egress == egress and _of_address(pause):
            return pause
    return None


def next_expiry(directory: Directory, now: int) -> int:
    """When the next pause ends by itself; 0 when none does."""
    return min((p.expires_at for p in _in_force(directory, now) if p.expires_at), default=0)


def key_closed(directory: Directory, key: QueueKey, now: int) -> str:
    """Why nothing under the key may go now, in words; "" when it may."""
    if directory.kill_switch is not None:
        stop = directory.kill_switch
        return f"sending is stopped for the whole box by {stop.by}: {stop.reason}"
    tenant = directory.tenants.get(key.tenant_id)
    if tenant is not None and tenant.suspended:
        return f"tenant {tenant.name} is suspended: {tenant.suspended_reason}"
    pause = key_pause(directory, key, now)
    return "" if pause is None else paused_words(pause)


def paused_words(pause: Pause) -> str:
    """What a person reads of a pause."""
    what = pause.site or pause.domain or pause.provider or pause.egress
    what = what or (f"tag {pause.tag}" if pause.tag else "this mail")
    until = f" until {clock.iso(pause.expires_at)[:16]}Z" if pause.expires_at else ""
    return f"{what} is paused by {pause.by}{until}: {pause.reason or 'no reason given'}"


def _in_force(directory: Directory, now: int) -> Iterator[Pause]:
    return (p for p in directory.pauses if not 0 < p.expires_at <= now)


def _of_parcel(pause: Pause) -> bool:
    """Whether more than its key must be known of a message."""
    return bool(pause.credential_id or pause.site or pause.provider or pause.tag)


def _of_address(pause: Pause) -> bool:
    return bool(pause.egress) and not (pause.tenant_id or pause.domain or _of_parcel(pause))
