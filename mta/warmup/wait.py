"""Wait: until when mail waits for a budget, and the words for it; pure.

warmup: 203.0.113.7 has used 200 of 200 for Google today; next 00:00 UTC
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.status import TrafficClass
from mta.warmup.day import allowed, opens_at
from mta.warmup.model import OTHER, Wait, WarmupState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo

    from mta.warmup.day import Charge
    from mta.warmup.model import WarmupPlan

LONGEST: Final = 15 * clock.MINUTE
"""Mail that waits for its share of the day asks again after so long: others may have given back."""

SHORTEST: Final = clock.SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How people call things."""

    address: Callable[[str], str]  # of an egress, by its name
    provider: Callable[[str], str]  # its title

    def of(self, plan: WarmupPlan, verb: str) -> str:
        """Who did what to whom."""
        known = plan.provider != OTHER
        title = self.provider(plan.provider) if known else "other receivers"
        return f"warmup: {self.address(plan.egress)} {verb} for {title}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a wait is made of."""

    plan: WarmupPlan
    charges: Sequence[Charge]
    used: Mapping[int, int]  # by start of the window
    traffic_class: TrafficClass


def wait_for(standing: Standing, names: Names, now: int, zone: tzinfo) -> Wait:
    """Why there is no room at this moment, and when there will be."""
    plan = standing.plan
    if plan.state is WarmupState.PAUSED:
        return Wait(until=now + LONGEST, why=f"{names.of(plan, 'is paused')}: {plan.why}")
    full = [one for one in standing.charges if _is_full(standing, one)]
    if not full:
        words = _used(standing, standing.charges[0], names, now, zone)
        return Wait(
            until=now + SHORTEST, why=f"{words}; the rest is promised to mail before this one"
        )
    opens, charge = max(
        ((_opens(standing, one, now), one) for one in full), key=lambda found: found[0]
    )
    words = _used(standing, charge, names, now, zone)
    used = standing.used.get(charge.window.start, 0)
    paced = "" if used >= plan.limit else ", all that is open to bulk mail by now"
    next_time = clock.aware(opens + clock.MINUTE - 1).astimezone(zone)
    return Wait(
        until=max(now + SHORTEST, min(opens, now + LONGEST) if paced else opens),
        why=f"{words}{paced}; next {next_time:%H:%M %Z}",
    )


def _is_full(standing: Standing, charge: Charge) -> bool:
    limit = allowed(standing.plan, charge, standing.traffic_class)
    return standing.used.get(charge.window.start, 0) >= limit


def _opens(standing: Standing, charge: Charge, now: int) -> int:
    """When the window has room again, or is over, by the wall clock."""
    plan, used = standing.plan, standing.used.get(charge.window.start, 0)
    opens = charge.window.end
    if standing.traffic_class is TrafficClass.BULK:
        opens = opens_at(plan.limit, charge, plan.reserve, used)
    return now + opens - charge.at


def _used(standing: Standing, charge: Charge, names: Names, now: int, zone: tzinfo) -> str:
    plan, window = standing.plan, charge.window
    used = standing.used.get(window.start, 0)
    span = "this hour" if plan.is_hourly else "today"
    if not window.start <= now < window.end:
        span = f"from {clock.aware(window.start).astimezone(zone):%Y-%m-%d %H:%M %Z} on"
    return f"{names.of(plan, f'has used {used:,} of {plan.limit:,}')} {span}"
