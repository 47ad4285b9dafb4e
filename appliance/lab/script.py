"""How a laboratory receiver behaves, and what it kept of what it received."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

EXTENSIONS: Final = (
    "PIPELINING",
    "SIZE 52428800",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
)


class Action(StrEnum):
    """What a receiver may do instead of answering."""

    DROP = "drop"  # hangs up
    HANG = "hang"  # says nothing more and keeps the connection
    ENDLESS_LINE = "endless line"  # sends octets without ever ending the line
    ENDLESS_REPLY = "endless reply"  # sends continuation lines for ever


class Starttls(StrEnum):
    """What becomes of STARTTLS."""

    NONE = "none"  # not offered
    GOOD = "good"
    REFUSED = "refused"  # offered, then 454
    BROKEN = "broken"  # 220, then octets that are no TLS
    DROPPED = "dropped"  # 220, then hangs up
    INJECTED = "injected"  # 220 with replies of a man in the middle behind it


class Point(StrEnum):
    """Where a receiver speaks."""

    GREETING = "greeting"
    EHLO = "EHLO"
    HELO = "HELO"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "content"  # the first octets after 354
    DOT = "."
    RSET = "RSET"
    QUIT = "QUIT"


Say = str | Action


@dataclass(kw_only=True)
class Script:
    r"""All at their default: a receiver that takes everything.

    A reply is its text without the final line end; several lines are joined by \r\n. `once` is used
    up first, then comes what `reaction` says, then `always`, then the receiver's own manners.
    """

    name: str = "mx.lab"
    extensions: tuple[str, ...] = EXTENSIONS
    once: dict[Point, list[Say]] = field(default_factory=dict)
    always: dict[Point, Say] = field(default_factory=dict)
    reaction: Callable[[Point, str, bytes], Say | None] | None = (
        None  # by client's address, content
    )
    recipients: dict[str, Say] = field(default_factory=dict)  # answers to RCPT by address
    greylist: bool = False  # 451 to the first RCPT of each sender and recipient
    delays: dict[Point, float] = field(default_factory=dict)  # seconds before the answer
    chunk: int = 0  # answers leave in pieces of so many octets, each in a packet of its own
    starttls: Starttls = Starttls.NONE
    implicit_tls: bool = False
    login: tuple[str, str] | None = None  # AUTH PLAIN LOGIN are offered and demanded
    close_after: int = 0  # hangs up after so many messages
    unasked: str = ""  # said right behind the answer to each message
    slow_reader: bool = False  # stops reading in the content for a second
    keep: bool = True  # remember messages and commands; else only count them


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message as it came in."""

    mail_from: str
    mail_parameters: str
    recipients: tuple[str, ...]
    recipient_parameters: tuple[str, ...]
    data: bytes  # dots unstuffed
    wire: bytes  # as it came, the final dot left out
    helo: str
    is_tls: bool
    session: int
