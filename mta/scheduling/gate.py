"""Gate: may this be sent now? Kill switch, pauses and suspended tenants, as the directory has them; pure.

A pause is known to cover mail as soon as what it names is known:

    key_pause       tenant, domain                  all that waits under a key
    leg_pause       and site, provider, egress      the way from an egress to a site; others may be free
    parcel_pause    and credential, tag             one message, where the rest of its key goes on

A pause that has expired covers nothing, whether or not its row is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from appliance.core import clock
from mta.scheduling.blocked import CLOSED, PAUSED, Blocked
from mta.warmup.model import OTHER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mta.directory import Directory, Pause
    from mta.scheduling.blocked import Place
    from mta.scheduling.parcel import Parcel
    from mta.spool.store import QueueKey


class Leg(NamedTuple):
    """From where to where. A tuple, because it is made before every message while anything is paused."""

    site: str  # its name, as people call it
    provider: str  # "" = one without a name
    egress: str = ""  # "" = not chosen yet


def key_pause(directory: Directory, key: QueueKey, now: int) -> Pause | None:
    """A pause that covers everything under a key."""
    for pause in _of_key(directory, key, now):
        if not (_of_leg(pause) or _of_message(pause)):
            return pause
    return None


def leg_pause(directory: Directory, key: QueueKey, leg: Leg, now: int) -> Pause | None:
    """A pause that covers everything under a key on its way from an egress to a site."""
    for pause in _of_key(directory, key, now):
        if not _of_message(pause) and _on_leg(pause, leg):
            return pause
    return None


def parcel_pause(directory: Directory, parcel: Parcel, leg: Leg, now: int) -> Pause | None:
    """A pause that covers this message on its way, though not all that waits with it."""
    message = parcel.message
    for pause in _of_key(directory, parcel.key, now):
        if (
            _of_message(pause)
            and pause.credential_id in (0, message.credential_id)
            and (not pause.tag or pause.tag in message.tags)
            and _on_leg(pause, leg)
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


def key_stop(directory: Directory, key: QueueKey, now: int) -> Blocked | None:
    """What keeps everything under the key back; each stop has a place of its own."""
    stop = directory.stop_of(key.tenant_id)
    if stop is not None:
        why = f"sending is stopped for the whole box by {stop.by}: {stop.reason}"
        return Blocked((CLOSED, "all"), 0, why)
    tenant = directory.tenants.get(key.tenant_id)
    if tenant is not None and tenant.suspended:
        why = f"tenant {tenant.name} is suspended: {tenant.suspended_reason}"
        return Blocked((CLOSED, "tenant", str(tenant.id)), 0, why)
    pause = key_pause(directory, key, now)
    return None if pause is None else pause_stop(pause)


def shut_places(directory: Directory, now: int) -> set[Place]:
    """Where nobody may go on, whatever else has changed: the places of the stops that stand."""
    found: set[Place] = {
        (CLOSED, "tenant", str(one.id)) for one in directory.tenants.values() if one.suspended
    }
    if directory.kill_switch is not None:
        found.add((CLOSED, "all"))
    pauses = (p for p in _in_force(directory, now) if not (_of_leg(p) or _of_message(p)))
    return found | {pause_stop(pause).place for pause in pauses}


def pause_stop(pause: Pause) -> Blocked:
    """What a pause keeps back waits for its end."""
    return Blocked((PAUSED, str(pause.id)), pause.expires_at, paused_words(pause))


def key_closed(directory: Directory, key: QueueKey, now: int) -> str:
    """Why nothing under the key may go now, in words; "" when it may."""
    stop = key_stop(directory, key, now)
    return "" if stop is None else stop.why


def paused_words(pause: Pause) -> str:
    """What a person reads of a pause."""
    to = pause.site or pause.domain or pause.provider
    leg = f"{to} from {pause.egress}" if to and pause.egress else to or pause.egress
    tag = f"tag {pause.tag}" if pause.tag else ""
    whole = "this login" if pause.credential_id else "this mail"
    what = ", ".join(filter(None, (leg, tag))) or whole
    until = f" until {clock.aware(pause.expires_at):%Y-%m-%d %H:%MZ}" if pause.expires_at else ""
    return f"{what} is paused by {pause.by}{until}: {pause.reason or 'no reason given'}"


def _in_force(directory: Directory, now: int) -> Iterator[Pause]:
    return (p for p in directory.pauses if not 0 < p.expires_at <= now)


def _of_key(directory: Directory, key: QueueKey, now: int) -> Iterator[Pause]:
    found = directory.pauses_of(key.tenant_id, key.domain) if directory.pauses else ()
    return (p for p in found if not 0 < p.expires_at <= now)


def _on_leg(pause: Pause, leg: Leg) -> bool:
    """A pause calls receivers that have no name "other"."""
    return (
        pause.site in ("", leg.site)
        and pause.provider in ("", leg.provider or OTHER)
        and pause.egress in ("", leg.egress)
    )


def _of_leg(pause: Pause) -> bool:
    return bool(pause.site or pause.provider or pause.egress)


def _of_message(pause: Pause) -> bool:
    return bool(pause.credential_id or pause.tag)


def _of_address(pause: Pause) -> bool:
    others = pause.tenant_id or pause.domain or pause.site or pause.provider
    return bool(pause.egress) and not (others or _of_message(pause))
