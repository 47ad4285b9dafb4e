"""Rules of notifications, pure: the kinds there are, and what a letter about a notice says.

A notice of a kind that stands not here is shown and mailed all the same, under its own word: who finds
something new need not ask this room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.notices import Severity
from appliance.notifications.model import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from appliance.notices import Notice

_EVERY: Final = (
    Kind(name="domain-record", title="A DNS record of a sending domain broke"),
    Kind(name="domain-verified", title="A sending domain was verified"),
    Kind(name="quota", title="The daily quota is used up by 80 or 100 %"),
    Kind(name="bounces", title="Too much mail bounces"),
    Kind(name="complaints", title="Too many recipients complain"),
    Kind(name="webhook-disabled", title="A webhook was disabled"),
    Kind(name="blocklist", title="An address of the box is on a blocklist"),
    Kind(name="blocklist-unusable", title="A blocklist does not answer", by_mail=False),
    Kind(name="blocklist-file", title="The file of blocklists cannot be read"),
    Kind(name="egress-dns", title="Forward and reverse DNS of an address disagree"),
    Kind(name="backup", title="A backup failed"),
    Kind(name="sending-stopped", title="Sending was stopped for the whole box"),
)
KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in _EVERY}


def kind_of(name: str) -> Kind:
    """The kind of that name; one that nobody described has its word for a title."""
    return KINDS.get(name) or Kind(name=name, title=name.replace("-", " "))


def letter_of(notices: Iterable[Notice], *, box: str, url: str) -> tuple[str, str]:
    """Subject and text of one letter about several notices, the worst first."""
    order = list(reversed(Severity))
    ranked = sorted(notices, key=lambda one: (order.index(one.severity), one.id))
    first, more = ranked[0], len(ranked) - 1
    subject = f"[{box}] {kind_of(first.kind).title}" + (f" and {more} more" if more else "")
    parts = [f"{one.severity.upper()}: {one.text}\n\nWhat to do: {one.next_step}" for one in ranked]
    end = f"-- \nYou get this because you look after this box or one of its tenants.\nChoose what you get: {url}/notifications\n"
    return " ".join(subject.split())[:200], "\n\n\n".join([*parts, end])
