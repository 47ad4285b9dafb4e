"""Gate: may this be sent now? Kill switch, pauses and suppression, as the directory has them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mta.directory import Directory, Pause
    from mta.scheduling.parcel import Parcel
    from mta.spool.store import QueueKey


def key_pause(directory: Directory, key: QueueKey) -> Pause | None:
    """A pause that covers everything under a key."""
    for pause in directory.pauses:
        if pause.credential_id or pause.site:
            continue
        if pause.tenant_id in (0, key.tenant_id) and pause.domain in ("", key.domain):
            return pause
    return None


def parcel_pause(directory: Directory, parcel: Parcel, site_key: str) -> Pause | None:
    """A pause that covers a parcel on its way to a site."""
    for pause in directory.pauses:
        if (
            pause.tenant_id in (0, parcel.message.tenant_id)
            and pause.domain in ("", parcel.key.domain)
            and pause.credential_id in (0, parcel.message.credential_id)
            and pause.site in ("", site_key)
        ):
            return pause
    return None


def key_closed(directory: Directory, key: QueueKey) -> str:
    """Why nothing under the key may go now, in words; "" when it may."""
    if directory.kill_switch is not None:
        stop = directory.kill_switch
        return f"sending is stopped for the whole box by {stop.by}: {stop.reason}"
    tenant = directory.tenants.get(key.tenant_id)
    if tenant is not None and tenant.suspended:
        return f"tenant {tenant.name} is suspended: {tenant.suspended_reason}"
    pause = key_pause(directory, key)
    return "" if pause is None else paused_words(pause)


def paused_words(pause: Pause) -> str:
    """What a person reads of a pause."""
    what = pause.site or pause.domain or "this mail"
    return f"{what} is paused by {pause.by}: {pause.reason or 'no reason given'}"
