"""Values of notifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appliance.notices import Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A sort of notice, as people choose it."""

    name: str  # notice.kind
    title: str  # what a person reads beside the switch
    in_feed: bool = True  # unless somebody chose otherwise
    by_mail: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What one person wants of one kind."""

    kind: str
    title: str
    in_feed: bool
    by_mail: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A notice in somebody's feed."""

    notice: Notice
    is_new: bool  # raised after they looked last


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What somebody should know, worst and newest first."""

    entries: tuple[Entry, ...]
    unseen: int
