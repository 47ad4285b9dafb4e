"""World: receivers that trust an address more the longer it behaves; knows nothing of who sends.

Of each address a receiver remembers what volume it is used to, and how far it trusts it. Both say what it
tolerates in a day, an hour, a minute. Beyond that it defers, in its own words. Attempts that it has to
refuse press: whoever goes on is shut out for hours, then blocked for days, and believed less afterwards.

    offer       so many come in one after the other; how many it takes before it says no
    refuse      so many were told no; returns its words
    complaints  what people have reported since it was asked last

It counts every RCPT that reaches it, for the audit. Everything is decided by the figures and the seed: the
same sequence of calls gives the same answers.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.status import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warmup.figures import Figures, Receiver, Saying

BEFORE_RCPT: Final = frozenset({Phase.CONNECT, Phase.GREETING, Phase.EHLO})
"""Steps that RCPT has not followed yet; MAIL it has, for commands are pipelined (RFC 2920)."""

_NEVER: Final = -1


@dataclass(slots=True)
class Standing:
    """What a receiver knows of an address."""

    receiver: Receiver
    name: str  # of the address
    used_to: float  # volume of a day
    trust: float
    day: int = _NEVER
    hour: int = _NEVER
    minute: int = _NEVER
    tolerance: float = 0.0  # of today
    taken: int = 0  # today
    taken_in_hour: float = 0.0
    taken_in_minute: float = 0.0
    refused: int = 0  # today
    complaints: int = 0
    traps: int = 0
    was_blocked: bool = False
    pressure: float = 0.0
    pressed_at: int = 0
    shut_until: int = 0
    blocked_until: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an offer, as far as it was heard: the rest was not sent, or is refused next."""

    delivered: int
    of_recipients: tuple[tuple[Saying, int], ...]  # said of some of them

    @property
    def heard(self) -> int:
        """How many got an answer."""
        return self.delivered + sum(count for _, count in self.of_recipients)


class World:
    """All receivers of one seed. A second World of the same seed answers a second sender."""

    def __init__(self, figures: Figures, seed: int) -> None:
        self._figures, self._seed = figures, seed
        self._standings: dict[tuple[str, str], Standing] = {}
        self._dice = random.Random(f"{seed}/world")
        self._reports: list[tuple[int, str, str]] = []  # when, address, receiver
        self.rcpts: defaultdict[int, Counter[tuple[str, str]]] = defaultdict(Counter)
        # ^ by day of UTC, then address and receiver
        self.blocks: Counter[tuple[str, int]] = Counter()  # addresses blocked, by receiver and day

    def offer(
        self, address: str, receiver: Receiver, count: int, now: int, minutes: float
    ) -> Taken:
        """So many come in, spread over so many minutes: it takes what it has room for."""
        here = self._at(address, receiver, now)
        heard = min(count, self._room(here, now, minutes))
        if not heard:
            return Taken(0, ())
        here.taken += heard
        here.taken_in_hour += heard * min(1.0, 60 / minutes)
        here.taken_in_minute += heard / minutes
        self.rcpts[now // clock.DAY][address, receiver.name] += heard
        said = [(one, self._part(heard, one.share)) for one in self._figures.of_recipients]
        delivered = max(0, heard - sum(part for _, part in said))
        self._people(here, delivered, now)
        return Taken(delivered, tuple((one, part) for one, part in said if part))

    def refuse(self, address: str, receiver: Receiver, count: int, now: int) -> Saying:
        """So many were told no."""
        here = self._at(address, receiver, now)
        here.refused += count
        says = receiver.slow
        if now < here.blocked_until:
            says = receiver.block
        elif now < here.shut_until:
            says = receiver.shut
        if says.phase not in BEFORE_RCPT:
            self.rcpts[now // clock.DAY][address, receiver.name] += count
        self._press(here, count, now)
        return says

    def complaints(self, now: int) -> Iterator[tuple[str, str]]:
        """Address and receiver of each report that has come by now."""
        while self._reports and self._reports[0][0] <= now:
            _, address, receiver = heapq.heappop(self._reports)
            self._standings[address, receiver].complaints += 1
            yield address, receiver

    def _room(self, here: Standing, now: int, minutes: float) -> int:
        if now < here.shut_until or now < here.blocked_until:
            return 0
        receiver, burst, day = here.receiver, self._figures.burst, here.tolerance
        room = min(
            day - here.taken,
            max(burst.hour_least, day * receiver.hour) * max(1.0, minutes / 60)
            - here.taken_in_hour,
            max(burst.minute_least, day * receiver.minute) * minutes - here.taken_in_minute,
        )
        return max(0, int(room))

    def _people(self, here: Standing, delivered: int, now: int) -> None:
        """Some complain later, more of them when volume jumps; some addresses are traps."""
        receiver, trust = here.receiver, self._figures.trust
        usual = max(here.used_to * receiver.growth[1], receiver.newcomer)
        share = receiver.complaints * max(1.0, here.taken / usual)
        for _ in range(self._part(delivered, share)):
            late = self._dice.expovariate(1 / (trust.complaint_hours * clock.HOUR))
            heapq.heappush(self._reports, (now + int(late), here.name, receiver.name))
        here.traps += self._part(delivered, trust.traps)

    def _part(self, count: int, share: float) -> int:
        """A share of so many, as a whole number: the rest is left to chance."""
        exact = count * share
        return int(exact) + (self._dice.random() < exact % 1)

    def _press(self, here: Standing, count: int, now: int) -> None:
        rules, receiver = self._figures.pressure, here.receiver
        passed = (now - here.pressed_at) / (rules.half_life_minutes * clock.MINUTE)
        here.pressure = here.pressure * math.exp2(-passed) + count
        here.pressed_at = now
        if here.pressure >= max(rules.block_least, rules.block_share * here.tolerance):
            if now >= here.blocked_until:
                here.blocked_until = now + int(receiver.block_hours * clock.HOUR)
                self.blocks[receiver.name, now // clock.DAY] += 1
            here.was_blocked, here.pressure = True, 0.0
        elif here.pressure >= max(rules.shut_least, rules.shut_share * here.tolerance):
            here.shut_until = max(here.shut_until, now + int(receiver.shut_hours * clock.HOUR))

    # -- days ----------------------------------------------------------------

    def _at(self, address: str, receiver: Receiver, now: int) -> Standing:
        """The standing, with its day, hour and minute begun."""
        here = self._standings.get((address, receiver.name))
        if here is None:
            born = random.Random(f"{self._seed}/{address}/{receiver.name}")
            trust = born.uniform(*self._figures.spread.born)
            here = Standing(receiver=receiver, name=address, used_to=0.0, trust=trust)
            self._standings[address, receiver.name] = here
        if (minute := now // clock.MINUTE) != here.minute:
            here.minute, here.taken_in_minute = minute, 0.0
            if (hour := now // clock.HOUR) != here.hour:
                here.hour, here.taken_in_hour = hour, 0.0
                self._to_day(here, (hour - self._figures.trust.day_begins) // 24)
        return here

    def _to_day(self, here: Standing, day: int) -> None:
        while here.day != day:
            if here.day != _NEVER:
                self._end_day(here)
            here.day = day if here.day == _NEVER else here.day + 1
            self._begin_day(here)

    def _begin_day(self, here: Standing) -> None:
        receiver = here.receiver
        chance = random.Random(f"{self._seed}/{here.name}/{receiver.name}/{here.day}")
        little, much = receiver.growth
        growth = much + (little - much) / (1 + here.used_to / receiver.much)
        usual = max(receiver.newcomer, growth * here.used_to)
        here.tolerance = usual * here.trust * math.exp(chance.gauss(0, self._figures.spread.day))
        here.taken = here.refused = here.complaints = here.traps = 0
        here.was_blocked = False

    def _end_day(self, here: Standing) -> None:
        rules, tried = self._figures.trust, here.taken + here.refused
        factors = [rules.clean]
        share = here.complaints / max(
            1.0, here.taken, here.used_to
        )  # reports of yesterday's mail too
        if here.complaints >= 3:
            pairs = zip(rules.complaints, rules.complained, strict=True)
            factors += [cost for limit, cost in pairs if share > limit]
        if here.traps >= 2 and here.traps > rules.trap_share * here.taken:
            factors.append(rules.trapped)
        if tried and here.refused / tried > rules.refused_share:
            factors.append(rules.refused)
        if here.was_blocked:
            factors.append(rules.blocked)
        here.trust = min(1.0, max(rules.least, here.trust * min(factors)))
        here.used_to = max(here.taken, here.used_to * rules.forgets)
