"""Words: times, numbers and shares as the console writes them (the zone is named once, in the side bar).

Pure: the time it is comes from who asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))
_SIZES: Final = ("bytes", "KB", "MB", "GB", "TB")
_MANY_DAYS: Final = 60 * 86_400_000
_YEAR: Final = 300 * 86_400_000


def number(value: float) -> str:
    """12,480."""
    return f"{value:,.0f}"


def percent(part: float, whole: float, digits: int = 1) -> str:
    """1.2 %; none is 0 %, all is 100 %; what would round to none is less than the last digit: < 0.1 %."""
    share = 100 * part / whole if whole else 0.0
    least = 10.0**-digits
    if 0 < share < least / 2:
        return f"< {least:.{digits}f} %"
    return f"{share:.0f} %" if share in (0, 100) else f"{share:.{digits}f} %"


def sentence(text: str) -> str:
    """An error's words as a sentence; what may be a name or an address keeps its case."""
    first = text.partition(" ")[0]
    begun = f"{text[:1].upper()}{text[1:]}" if first.isalpha() and first.islower() else text
    return begun if not begun or begun[-1] in ".!?:" else f"{begun}."


def size(octets: int) -> str:
    """48 KB."""
    value, unit = float(octets), 0
    while value >= 1000 and unit < len(_SIZES) - 1:
        value, unit = value / 1000, unit + 1
    return (
        f"{value:.0f} {_SIZES[unit]}" if unit == 0 or value >= 10 else f"{value:.1f} {_SIZES[unit]}"
    )


def duration(ms: float) -> str:
    """1 d 2 h; the two largest units, of many days these alone."""
    rest = max(0, int(ms))
    if rest >= _MANY_DAYS:
        return f"{rest // 86_400_000:,} d"
    if rest < 1000:
        return f"{rest} ms"
    found: list[str] = []
    for name, span in _UNITS:
        count, rest = divmod(rest, span)
        if count or found:
            found.append(f"{count} {name}")
        if len(found) == 2:
            break
    return " ".join(one for one in found if not one.startswith("0 ")) or "0 s"


def relative(ms: int, now: int) -> str:
    """In 13 m, 2 h ago."""
    apart = ms - now
    if abs(apart) < 1000:
        return "now"
    words = duration(abs(apart)).split(" ")
    short = " ".join(words[:2]) if abs(apart) >= 3_600_000 else words[0] + " " + words[1]
    return f"in {short}" if apart > 0 else f"{short} ago"


def local(ms: int, zone: tzinfo) -> datetime:
    """A time on the wall clock of the page."""
    return clock.aware(ms).astimezone(zone)


def time_of_day(ms: int, zone: tzinfo) -> str:
    """14:32:09."""
    return local(ms, zone).strftime("%H:%M:%S")


def to_the_ms(ms: int, zone: tzinfo) -> str:
    """14:31:52.104."""
    return f"{time_of_day(ms, zone)}.{ms % 1000:03d}"


def day(ms: int, zone: tzinfo, now: int) -> str:
    """Today, Yesterday, 18 Nov, 18 Feb 2027; "Never" for 0."""
    if not ms:
        return "Never"
    at, today = local(ms, zone), local(now, zone)
    apart = (today.date() - at.date()).days
    if apart == 0:
        return "Today"
    if apart == 1:
        return "Yesterday"
    near = abs(ms - now) < _YEAR and at.year == today.year
    return f"{at.day} {at:%b}" if near else f"{at.day} {at:%b %Y}"


def moment(ms: int, zone: tzinfo, now: int) -> str:
    """Today 14:31, 18 Nov 09:02."""
    return f"{day(ms, zone, now)} {local(ms, zone):%H:%M}" if ms else "Never"


def clock_time(ms: int, zone: tzinfo) -> str:
    """14:37."""
    return f"{local(ms, zone):%H:%M}"


def short(ms: int, zone: tzinfo, now: int) -> str:
    """In a table of what is new: 14:32:09 today, else 18 Nov 14:32."""
    is_today = local(ms, zone).date() == local(now, zone).date()
    return time_of_day(ms, zone) if is_today else moment(ms, zone, now)


def initials(name: str) -> str:
    """Two letters that stand for a name."""
    parts = [part for part in name.replace("-", " ").replace(".", " ").split() if part]
    letters = parts[0][:2] if len(parts) == 1 else "".join(part[0] for part in parts[:2])
    return letters.upper() if parts else "?"
