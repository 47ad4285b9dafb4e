"""Rules of warmup, pure: which moves a person may make, which days are to be judged, what may be named."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from appliance.core.errors import ConflictError, UsageError
from mta.warmup.day import days_between, next_day
from mta.warmup.decide import Kind
from mta.warmup.model import LOWEST, OTHER, WarmupState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.warmup.model import WarmupRecord
    from mta.warmup.decide import Decision
    from mta.warmup.schedule import Schedule

CATCH_UP: Final = 40
"""So many days are judged afterwards at most, when nobody judged for long."""

_PROVIDER: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,60}")


def checked_egress(egress: str) -> str:
    """The name of an egress; whether it is there, the caller knows."""
    wanted = egress.strip()
    if not wanted or len(wanted) > 255:
        raise UsageError("name the egress: `pillarbox egress list` shows them")
    return wanted


def checked_providers(providers: Sequence[str], schedule: Schedule) -> tuple[str, ...]:
    """The providers to start with: those named, else all that the schedule is made for."""
    wanted = tuple(dict.fromkeys(name.strip().lower() for name in providers))
    for name in wanted:
        if not _PROVIDER.fullmatch(name):
            raise UsageError(
                f"{name!r} names no provider: use a section of shaping.toml, or {OTHER}"
            )
    return wanted or schedule.providers


def may_start(standing: WarmupRecord | None) -> None:
    """Raise ConflictError when one is under way."""
    if standing is not None and standing.state is not WarmupState.WARM:
        raise ConflictError(
            f"{_name(standing)} is at stage {standing.stage + 1} of {standing.stages} already:"
            " `pillarbox warmup restart` begins anew, `pillarbox warmup finish` ends it"
        )


def paused(standing: WarmupRecord, *, reason: str, until: int) -> WarmupRecord:
    """Send nothing until a person resumes it, or the time has come."""
    if standing.state is WarmupState.WARM:
        raise ConflictError(f"{_name(standing)} is warm: there is no warmup to pause")
    return replace(standing, state=WarmupState.PAUSED, reason=reason, paused_until=until)


def resumed(standing: WarmupRecord) -> WarmupRecord:
    """Go on with the same stage."""
    if standing.state is not WarmupState.PAUSED:
        raise ConflictError(f"{_name(standing)} is not paused")
    return replace(standing, state=WarmupState.WARMING, reason="resumed", paused_until=0)


def skipped(standing: WarmupRecord) -> WarmupRecord:
    """The next stage now; behind the last one it is warm."""
    if standing.state is WarmupState.WARM:
        raise ConflictError(f"{_name(standing)} is warm: there is no stage to skip")
    if standing.stage + 1 >= standing.stages:
        return finished(standing)
    return replace(standing, stage=standing.stage + 1, reason="skipped by hand")


def stepped_back(standing: WarmupRecord, *, reason: str) -> WarmupRecord:
    """The stage before, as after a day that went badly; below the first there are smaller ones."""
    if standing.state is WarmupState.WARM:
        raise ConflictError(
            f"{_name(standing)} is warm: there is no stage before; `pillarbox warmup restart`"
            " begins anew"
        )
    if standing.stage <= LOWEST:
        raise ConflictError(
            f"{_name(standing)} is at the lowest stage: `pillarbox warmup pause` sends nothing"
        )
    return replace(standing, stage=standing.stage - 1, reason=reason)


def finished(standing: WarmupRecord) -> WarmupRecord:
    """Warm from now on: no budget."""
    if standing.state is WarmupState.WARM:
        raise ConflictError(f"{_name(standing)} is warm already")
    return replace(standing, state=WarmupState.WARM, reason="finished by hand", paused_until=0)


def restarted(standing: WarmupRecord) -> WarmupRecord:
    """The first stage again, warm or not. What was used today stays used."""
    return replace(
        standing, state=WarmupState.WARMING, stage=0, reason="restarted by hand", paused_until=0
    )


_STATES: Final = {
    Kind.PAUSE: WarmupState.PAUSED,
    Kind.FINISH: WarmupState.WARM,
    Kind.RESTART: WarmupState.WARMING,
}


def decided(standing: WarmupRecord, decision: Decision) -> WarmupRecord:
    """Where a decision leaves it."""
    return replace(
        standing,
        state=_STATES.get(decision.kind, standing.state),
        stage=decision.stage,
        paused_until=decision.paused_until or standing.paused_until,
        reason=decision.reason,
    )


def due_days(decided_day: str, today: str) -> tuple[str, ...]:
    """The days behind the last one that was judged which are over."""
    number = min(days_between(decided_day, today) - 1, CATCH_UP)
    return tuple(next_day(today, -ago) for ago in range(number, 0, -1))


def idle_days(standing: WarmupRecord, day: str) -> int:
    """For how long there has been no mail, seen from the end of the day."""
    return max(0, days_between(standing.last_mail, day))


def _name(standing: WarmupRecord) -> str:
    return f"{standing.egress} for {standing.provider}"
