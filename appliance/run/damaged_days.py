"""Damaged days: a notice for each day of the event log that was damaged and set aside, until its file is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from appliance.core.scope import Scope
from appliance.history import damaged_in
from appliance.notices import Finding, Severity

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.notices import Notices

KIND: Final = "log-damaged"
_MOST: Final = 1000
_SYSTEM: Final = Scope.system(by="worker")


async def tell_of_damaged_days(folder: Path, notices: Notices) -> None:
    """Raise what there is, resolve what is gone."""
    damaged = await asyncio.to_thread(damaged_in, folder)
    standing = await notices.list(_SYSTEM, limit=_MOST)
    told = {one.subject for one in standing if one.kind == KIND}
    for name in damaged:
        if name not in told:
            await notices.raise_(_SYSTEM, _finding(folder, name))
    for name in told.difference(damaged):
        await notices.resolve(_SYSTEM, KIND, name)


def _finding(folder: Path, name: str) -> Finding:
    day = name.partition(".")[0]
    return Finding(
        kind=KIND,
        subject=name,
        text=f"the event log of {day} was damaged, so that day begins anew: what happened to its messages until"
        " then is not shown any more; their delivery goes on",
        next_step=f"look for errors of the disk in the system's journal; a backup may have that day whole; delete"
        f" {folder / name} when nobody needs it any more",
        severity=Severity.WARNING,
    )
