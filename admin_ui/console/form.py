"""Form: what a browser's form brought, checked field by field.

Every question names its field, so that what is wrong stands beside it: UsageError(words, field=name).
Bounded: the body's size and its number of fields by the guard, each text here.
"""

from __future__ import annotations

from datetime import date, datetime, time, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from appliance.core import clock
from appliance.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

E = TypeVar("E", bound=StrEnum)
_MOST: Final = 4096  # characters of a field that names no other bound
_DIGITS: Final = 15


class Form:
    """Fields by name; one may come several times."""

    def __init__(self, fields: Mapping[str, Sequence[str]] | None = None) -> None:
        self._fields = {name: tuple(values) for name, values in (fields or {}).items()}

    def __contains__(self, name: str) -> bool:
        """Whether the form has such a field."""
        return name in self._fields

    def said(self, name: str, default: str = "") -> str:
        """What stands in a field, unchecked: to show it again."""
        values = self._fields.get(name, ())
        return values[0] if values else default

    def every(self, name: str) -> tuple[str, ...]:
        """All that was chosen of a field, unchecked: to show it again."""
        return self._fields.get(name, ())

    def text(self, name: str, *, most: int = _MOST) -> str:
        """One line, without blanks around it; "" when there is none."""
        found = self.said(name).strip()
        if len(found) > most:
            raise UsageError(f"too long: {len(found)} characters, at most {most}", field=name)
        if any(ord(one) < 32 or ord(one) == 127 for one in found):
            raise UsageError("it holds a line break or a control character", field=name)
        return found

    def lines(self, name: str, *, most: int) -> str:
        """Many lines, as they came."""
        found = self.said(name).replace("\r\n", "\n")
        if len(found) > most:
            raise UsageError(f"too long: {len(found)} characters, at most {most}", field=name)
        return found

    def secret(self, name: str, *, most: int = 1024) -> str:
        """A password: not a character of it is changed."""
        found = self.said(name)
        if len(found) > most:
            raise UsageError(f"too long: at most {most} characters", field=name)
        return found

    def needed(self, name: str, *, most: int = _MOST) -> str:
        """A line that must not be empty."""
        found = self.text(name, most=most)
        if not found:
            raise UsageError("this is empty: fill it in", field=name)
        return found

    def whole(self, name: str, *, least: int = 0, most: int = 1_000_000_000) -> int:
        """A whole number; an empty field is `least`."""
        found = self.text(name).replace(",", "")
        if not found:
            return least
        if not (found.isascii() and found.isdecimal() and len(found) <= _DIGITS):
            raise UsageError(f"{found[:40]!r} is no whole number", field=name)
        if not least <= int(found) <= most:
            raise UsageError(f"{found} is not between {least:,} and {most:,}", field=name)
        return int(found)

    def ticked(self, name: str) -> bool:
        """Whether a box to tick is ticked."""
        return bool(self.said(name))

    def many(self, name: str, *, most: int = 1000) -> tuple[str, ...]:
        """All values of a field that may come often (rows that were picked)."""
        found = self._fields.get(name, ())
        if len(found) > most:
            raise UsageError(f"{len(found)} were chosen, at most {most} at once", field=name)
        return tuple(one.strip() for one in found if one.strip())

    def choice(self, name: str, of: type[E]) -> E:
        """One of a closed set."""
        found = self.text(name)
        try:
            return of(found)
        except ValueError:
            raise UsageError(f"choose one of: {', '.join(of)}", field=name) from None

    def one_of(self, name: str, of: Iterable[str]) -> str:
        """One of these words."""
        found, known = self.text(name), tuple(of)
        if found not in known:
            raise UsageError(f"choose one of: {', '.join(known)}", field=name)
        return found

    def words(self, name: str, *, most: int = _MOST) -> tuple[str, ...]:
        """Words between commas, blanks or line breaks."""
        found = self.lines(name, most=most)
        return tuple(word for word in found.replace(",", " ").split() if word)

    def moment(self, name: str, zone: tzinfo) -> int:
        """A day or a local date and time of the page's zone, as ms; 0 for an empty field."""
        found = self.text(name, most=40)
        if not found:
            return 0
        try:
            if len(found) == len("2026-11-20"):
                at = datetime.combine(date.fromisoformat(found), time.min)
            else:
                at = datetime.fromisoformat(found)
        except ValueError:
            raise UsageError("no such time: write it as 2026-11-20 14:30", field=name) from None
        return clock.from_datetime(at if at.tzinfo else at.replace(tzinfo=zone))

    def confirmed(self, name: str, words: str) -> None:
        """Raise UsageError unless somebody has typed these words."""
        if self.said(name).strip().casefold() != words.casefold():
            raise UsageError(f'type "{words}" to confirm', field=name)
