"""Written: the tables of config/shaping.toml as they stand there, with the bounds of each value.

The keys are explained at the head of the file itself. Unknown keys are errors. What one table alone
cannot tell (a provider that does not exist, a rule twice) is judged in book.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct, field

from mta.shaping.model import ActionKind, Rate, TlsNeed
from mta.shaping.quantity import rate_of, seconds_of
from mta.status import Phase


class Time(float):
    """Seconds, written "90 min"."""


class Speed:
    """A rate, written "10/min"; None is written "none"."""

    __slots__ = ("rate",)

    def __init__(self, rate: Rate | None) -> None:
        self.rate = rate


def decode(kind: type, written: object) -> object:
    """What msgspec does not know by itself: Time and Speed."""
    return Time(seconds_of(written)) if kind is Time else Speed(rate_of(written))


# fmt: off
Count = Annotated[int, Meta(ge=1, le=100_000)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,60}$")]
Suffix = Annotated[str, Meta(pattern=r"^(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+$")]
Code = Annotated[str, Meta(pattern=r"^[45x][0-9x][0-9x]$")]
Enhanced = Annotated[str, Meta(pattern=r"^$|^[45*]\.([0-9]{1,3}|\*)\.([0-9]{1,3}(-[0-9]{1,3})?|\*)$")]
Phrase = Annotated[str, Meta(min_length=2, pattern=r"^[^A-Z]*$")]
Sample = Annotated[str, Meta(pattern=r"^[45][0-9][0-9] .", max_length=1000)]
FORMS: Final = {
    "id": "write it in a-z, 0-9, . and -",
    "mx": 'write it as ".example.com": lower case, a dot in front, none at the end',
    "code": 'write it as "421", "45x" or "4xx"',
    "enhanced": 'write it as "4.7.28", "*.7.1", "4.7.*", "5.7.606-649" or ""',
    "text": "write it in lower case, as the answer is searched",
    "samples": 'write the whole answer, such as "421 4.7.0 Try again later"',
    "do": f"there are {', '.join(ActionKind)}",
    "tls": f"there are {', '.join(TlsNeed)}",
    "phase": f"there are {', '.join(Phase)}",
}
"""How to write what has a form of its own, by key."""
# fmt: on


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Section(_Table, frozen=True, kw_only=True):
    """[default], and what a provider inherits from it."""

    connections: Count
    messages_per_connection: Count
    zone_connections: Annotated[int, Meta(ge=0, le=100_000)] = 0
    connection_rate: Speed | None = None
    message_rate: Speed | None = None
    recipients_per_message: Annotated[int, Meta(ge=1, le=100)] = 100
    tls: TlsNeed = TlsNeed.OPPORTUNISTIC
    connect_timeout: Time | None = None
    greeting_timeout: Time | None = None
    command_timeout: Time | None = None
    data_timeout: Time | None = None
    dot_timeout: Time | None = None
    idle_timeout: Time | None = None
    retry: tuple[Time, ...] = ()


class Named(Section, frozen=True, kw_only=True):
    """[provider.NAME]."""

    mx: Annotated[tuple[Suffix, ...], Meta(min_length=1)]
    title: Annotated[str, Meta(max_length=60)] = ""
    feedback_loop: bool = False


class Then(_Table, frozen=True, kw_only=True):
    """One action of a rule."""

    do: ActionKind
    seconds: Time | None = field(default=None, name="for")
    rate: Speed | None = None
    connections: Count | None = None


class Entry(_Table, frozen=True, kw_only=True):
    """[[rule]]."""

    id: Name
    then: Annotated[tuple[Then, ...], Meta(min_length=1)]
    samples: Annotated[tuple[Sample, ...], Meta(min_length=1)]
    provider: str = ""
    code: tuple[Code, ...] = ()
    enhanced: tuple[Enhanced, ...] = ()
    phase: tuple[Phase, ...] = ()
    text: tuple[Phrase, ...] = ()
    regex: str = ""
    times: Annotated[int, Meta(ge=1, le=1000)] = 1
    within: Time = Time(3600)
    note: str = ""


class File(_Table, frozen=True, kw_only=True):
    """The whole; its tables are still raw, for each is judged by itself: one fault hides no other."""

    default: dict[str, Any]
    provider: dict[str, Any] = {}
    rule: tuple[dict[str, Any], ...] = ()
