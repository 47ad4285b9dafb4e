"""What `pillarbox warmup` asks of several places: budgets in use, addresses, providers that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.core.errors import NotFoundError
from appliance.egress import default_egress
from mta.egress import EgressState
from mta.warmup.day import Calendar
from mta.warmup.eta import Source
from mta.warmup.model import OTHER, WarmupState, budget_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from appliance.core.settings import Settings
    from appliance.run.cli.rooms import Rooms
    from appliance.run.cli.session import Session
    from appliance.warmup import WarmupRecord


async def used_now(rooms: Rooms, one: WarmupRecord, zone: tzinfo) -> int:
    """What is used of the window that runs."""
    is_hourly = one.course.is_hourly
    window = Calendar(zone).window(clock.now_ms(), is_hourly=is_hourly)
    key = budget_key(one.egress, one.provider, is_hourly=is_hourly)
    return await rooms.budgets.used(key, window.start)


async def sources(rooms: Rooms, names: Sequence[str], provider: str, zone: tzinfo) -> list[Source]:
    """How these addresses stand with a provider."""
    standing = {(one.egress, one.provider): one for one in await rooms.warmups.list(rooms.scope)}
    found = []
    for name in names:
        one = standing.get((name, provider)) or standing.get((name, OTHER))
        found.append(_source(one, 0 if one is None else await used_now(rooms, one, zone)))
    return found


def _source(one: WarmupRecord | None, used: int) -> Source:
    """An address without a warmup is warm."""
    if one is None or one.state is WarmupState.WARM:
        return Source(volumes=())
    is_paused = one.state is WarmupState.PAUSED
    return Source(
        volumes=one.course.volumes,
        stage=one.stage,
        is_hourly=one.course.is_hourly,
        used=used,
        paused_until=one.paused_until,
        is_stopped=is_paused and not one.paused_until,
    )


async def enabled(rooms: Rooms, settings: Settings) -> list[str]:
    """The addresses in use; without any, the one that the machine chooses."""
    every = await rooms.egresses.list(rooms.scope)
    usable = [one.name for one in every if one.state is EgressState.ENABLED]
    return usable if every else [default_egress(settings).name]


async def require_egress(rooms: Rooms, settings: Settings, name: str) -> None:
    """Raise NotFoundError unless there is such an address."""
    known = {one.name for one in await rooms.egresses.list(rooms.scope)}
    if name not in (known or {default_egress(settings).name}):
        raise NotFoundError(f"no egress is named {name!r}: `pillarbox egress list` shows them")


def known_providers(session: Session) -> set[str]:
    """Names that mail can count under; for others no mail ever would."""
    from appliance.core.settings import Settings
    from appliance.shaping.file import ShapingFile, places

    home = session.home
    settings = session.box.settings if home.config_file.exists() else Settings()
    return {
        name or OTHER for name in ShapingFile(places(settings, home)).load_or_shipped().providers
    }


def require_providers(session: Session, names: Iterable[str]) -> None:
    """Raise NotFoundError unless the shaping rules know all of them."""
    known = known_providers(session)
    for name in names:
        if name not in known:
            there = ", ".join(sorted(known - {OTHER}))
            raise NotFoundError(
                f"no section of shaping.toml is named {name!r}; there are {there}, and {OTHER!r} for"
                " everybody else"
            )
