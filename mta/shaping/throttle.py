"""Throttle: what a receiver's answers have changed for one subject, as a value, and in words; pure.

A subject is an egress at a zone, or there one tenant, or there one recipient domain. A throttle says
how fast and over how many connections it may go, until when not at all, why, and what changed before.
How it moves is `mta.shaping.moves`; it is stored and shared as it stands (`appliance.shaping`), and of
two versions the one changed later holds.

The remote's words are cut and cleaned here: whatever a receiver says can be stored and shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from appliance.core import clock

if TYPE_CHECKING:
    from mta.shaping.model import Rate

MAX_WORDS: Final = 200
"""Characters kept of an answer."""

HISTORY: Final = 10
"""Changes kept of each throttle."""


class Subject(NamedTuple):
    """Who is slowed. A tuple, because the hot path looks it up."""

    egress: str  # its name
    zone: str  # key of the zone
    tenant_id: int = 0  # 0 = whoever sends
    domain: str = ""  # "" = whoever receives

    def __str__(self) -> str:
        parts = (
            f"egress {self.egress} at {self.zone}",
            f"tenant {self.tenant_id}" if self.tenant_id else "",
            f"domain {self.domain}" if self.domain else "",
        )
        return ", ".join(filter(None, parts))


class ChangeKind(StrEnum):
    """What became of a throttle."""

    SLOWED = "slowed"  # a step down
    SUSPENDED = "suspended"  # nothing goes until a time
    RESUMED = "resumed"  # a suspension ended: slowly again
    FASTER = "faster"  # a step up
    ENDED = "ended"  # back to the configured limits
    LIFTED = "lifted"  # a person ended it


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a throttle: for its history, the log and notices."""

    subject: Subject
    at: int
    kind: ChangeKind
    words: str  # "slowed to 10/min: google-unusual-rate: 421 4.7.28 ..."


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that heard its answer often enough."""

    rule: str  # its id
    reply: str  # the remote's words, as `clean` writes them
    host: str  # who said so
    at: int

    def __str__(self) -> str:
        return f"{self.rule}: {self.reply}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """The state of one subject. With nothing in force it is kept for its history alone."""

    subject: Subject
    rate: Rate | None = None  # None = the configured limit
    connections: int = 0  # at once to the whole zone; 0 = the configured limit
    suspended_until: int = 0  # 0 = not suspended
    fault: Fault  # what the last step down or the suspension answered to
    heard_at: int = 0  # when a fault was heard last; exact to 10 seconds
    quiet: int = 0  # ms without a fault before a step up
    steps: int = 0  # down, since it began
    slowed_at: int = 0  # last step down
    raised_at: int = 0  # last step up, the end of a suspension included
    changed_at: int = 0  # of two versions the later one holds
    history: tuple[Change, ...] = ()  # the last ones, oldest first

    @property
    def in_force(self) -> bool:
        """Whether anybody is slowed by it."""
        return bool(self.rate or self.connections or self.suspended_until)

    @property
    def speed(self) -> str:
        """How it may go when not suspended: "10/min, 1 connection"."""
        return speed_words(self.rate, self.connections)

    def state(self, now: int) -> str:
        """How it stands, in words."""
        if self.suspended_until > now:
            return f"suspended until {time_words(self.suspended_until, now)}"
        return f"slowed to {self.speed}" if self.in_force else "as configured"

    @property
    def why(self) -> str:
        """The remote's words and the rule that acts on them."""
        return f'"{self.fault.reply}" (rule {self.fault.rule})'


def speed_words(rate: Rate | None, connections: int) -> str:
    """A rate and a number of connections as people read them."""
    at_once = f"{connections} connection{'s'[: connections != 1]}" if connections else ""
    return ", ".join(filter(None, (str(rate) if rate else "", at_once))) or "full speed"


def time_words(at: int, now: int) -> str:
    """A time as people read it: 14:30Z, with its date when that is not the date of `now`."""
    when = clock.aware(at)
    return f"{when:%H:%MZ}" if when.date() == clock.aware(now).date() else f"{when:%Y-%m-%d %H:%MZ}"


def clean(words: str) -> str:
    """The remote's words, bounded, without what a database or a terminal would choke on."""
    cut = words if len(words) <= MAX_WORDS else f"{words[: MAX_WORDS - 1]}…"
    return "".join(letter if letter.isprintable() else " " for letter in cut)
