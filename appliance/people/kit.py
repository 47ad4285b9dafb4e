"""Kit: what the use cases of the room share, made once for a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.people.ceremonies import Ceremonies
from appliance.people.door import Door
from appliance.people.guessing import Guessing
from appliance.people.letters import Deferred
from appliance.people.passwords import Passwords
from appliance.people.second_factor import SecondFactor
from appliance.people.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.secrets import MasterKeys
    from appliance.people.letters import Letters
    from appliance.people.model import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Store, keys, clock, and the parts that others are made of."""

    engine: AsyncEngine
    keys: MasterKeys
    options: Options
    now: Callable[[], int]
    letters: Letters  # at once, and whoever asks is told what went wrong
    later: Deferred  # nobody waits
    passwords: Passwords
    guessing: Guessing
    ceremonies: Ceremonies
    second_factor: SecondFactor
    sessions: Sessions
    door: Door


def kit_of(
    engine: AsyncEngine,
    keys: MasterKeys,
    options: Options,
    letters: Letters,
    *,
    now: Callable[[], int] = clock.now_ms,
    passwords: Passwords | None = None,
) -> Kit:
    """The kit of one process."""
    sessions, ceremonies = Sessions(engine, keys, options, now), Ceremonies(engine, now)
    return Kit(
        engine=engine,
        keys=keys,
        options=options,
        now=now,
        letters=letters,
        later=Deferred(letters),
        passwords=passwords or Passwords(),
        guessing=Guessing(engine, now),
        ceremonies=ceremonies,
        second_factor=SecondFactor(keys, now),
        sessions=sessions,
        door=Door(sessions, ceremonies, now),
    )
