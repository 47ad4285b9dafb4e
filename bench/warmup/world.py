"""World: receivers that trust an address more the longer it behaves; knows nothing of who sends.

Of each address a receiver remembers what volume it is used to, and how far it trusts it. Both say what it
tolerates in a day and in an hour. Beyond that it defers, in its own words. Attempts that it has to refuse
press: whoever goes on is shut out for hours, then blocked for days, and believed less afterwards.

    room      how many more it takes this moment
    take      it takes so many; returns the complaints they lead to
    refuse    so many more were tried; returns what it says to them

Everything is decided by the figures and the seed: the same sequence of calls gives the same answers.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from warmup.figures import Figures, Receiver, Saying

_NEVER: Final = -1


@dataclass(slots=True)
class Standing:
    """What a receiver knows of an address."""

    used_to: float  # volume of a day
    trust: float
    day: int = _NEVER
    hour: int = _NEVER
    tolerance: float = 0.0  # of today
    taken: int = 0  # today
    taken_in_hour: int = 0
    refused: int = 0  # today
    complaints: int = 0
    was_blocked: bool = False
    pressure: float = 0.0
    pressed_at: int = 0
    shut_until: int = 0
    blocked_until: int = 0


class World:
    """All receivers of one seed. A second World of the same seed answers a second sender."""

    def __init__(self, figures: Figures, seed: int) -> None:
        self._figures, self._seed = figures, seed
        self._standings: dict[tuple[str, str], Standing] = {}
        self._dice = random.Random(f"{seed}/world")

    def room(self, address: str, receiver: Receiver, now: int) -> int:
        """How many more it takes from the address before it says no."""
        here = self._at(address, receiver, now)
        if now < max(here.shut_until, here.blocked_until):
            return 0
        in_hour = max(here.tolerance, 100) * receiver.hour - here.taken_in_hour
        return max(0, int(min(here.tolerance - here.taken, in_hour)))

    def take(self, address: str, receiver: Receiver, count: int, now: int) -> int:
        """So many are taken."""
        here = self._at(address, receiver, now)
        here.taken += count
        here.taken_in_hour += count
        jump = max(1.0, here.taken / max(here.used_to * receiver.growth[1], receiver.newcomer))
        complaints = self.portion(count, receiver.complaints * jump)
        here.complaints += complaints
        return complaints

    def refuse(self, address: str, receiver: Receiver, count: int, now: int) -> Saying:
        """So many more were tried."""
        here = self._at(address, receiver, now)
        here.refused += count
        says = self._says(here, receiver, now)
        self._press(here, receiver, count, now)
        return says

    def portion(self, count: int, share: float) -> int:
        """A share of so many, as a whole number: the rest is left to chance."""
        exact = count * share
        return int(exact) + (self._dice.random() < exact % 1)

    def _says(self, here: Standing, receiver: Receiver, now: int) -> Saying:
        if now < here.blocked_until:
            return receiver.block
        return receiver.shut if now < here.shut_until else receiver.slow

    def _press(self, here: Standing, receiver: Receiver, count: int, now: int) -> None:
        rules = self._figures.pressure
        passed = (now - here.pressed_at) / (rules.half_life_minutes * clock.MINUTE)
        here.pressure = here.pressure * math.exp2(-passed) + count
        here.pressed_at = now
        if here.pressure >= max(rules.block_least, rules.block_share * here.tolerance):
            if now >= here.blocked_until:
                here.blocked_until = now + int(receiver.block_hours * clock.HOUR)
            here.was_blocked, here.pressure = True, 0.0
        elif here.pressure >= max(rules.shut_least, rules.shut_share * here.tolerance):
            here.shut_until = max(here.shut_until, now + int(receiver.shut_hours * clock.HOUR))

    # -- days ----------------------------------------------------------------

    def _at(self, address: str, receiver: Receiver, now: int) -> Standing:
        """The standing, with its day and hour begun."""
        key = (address, receiver.name)
        here = self._standings.get(key)
        if here is None:
            born = random.Random(f"{self._seed}/{address}/{receiver.name}")
            trust = born.uniform(*self._figures.spread.born)
            here = self._standings[key] = Standing(used_to=0.0, trust=trust)
        if (hour := now // clock.HOUR) != here.hour:
            here.hour, here.taken_in_hour = hour, 0
            while here.day != now // clock.DAY:
                if here.day != _NEVER:
                    self._end_day(here)
                here.day = now // clock.DAY if here.day == _NEVER else here.day + 1
                self._begin_day(here, address, receiver, now)
        return here

    def _begin_day(self, here: Standing, address: str, receiver: Receiver, now: int) -> None:
        chance = random.Random(f"{self._seed}/{address}/{receiver.name}/{here.day}")
        little, much = receiver.growth
        growth = much + (little - much) / (1 + here.used_to / receiver.much)
        usual = max(receiver.newcomer, growth * here.used_to)
        here.tolerance = usual * here.trust * math.exp(chance.gauss(0, self._figures.spread.day))
        here.taken = here.refused = here.complaints = 0
        here.was_blocked = False

    def _end_day(self, here: Standing) -> None:
        rules, tried = self._figures.trust, here.taken + here.refused
        factor = rules.clean
        if here.taken and here.complaints >= 3:
            share = here.complaints / here.taken
            for limit, cost in zip(rules.complaints, rules.complained, strict=True):
                factor = cost if share > limit else factor
        if tried and here.refused / tried > rules.refused_share:
            factor = min(factor, rules.refused)
        if here.was_blocked:
            factor = min(factor, rules.blocked)
        here.trust = min(1.0, max(rules.least, here.trust * factor))
        here.used_to = max(here.taken, here.used_to * rules.forgets)
