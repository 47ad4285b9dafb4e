"""Strangers: that a tenant's key or person asked for what is not there, or not theirs, goes into its audit log.

Which of the two it was is not told apart anywhere, so it is not here. A few entries at once and one a minute for
each asker: whoever tries a million ids must not fill the log with them.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from admin_ui.api.rates import Rate
from appliance.core import clock
from appliance.core.errors import StoreError
from appliance.tenancy import Act

if TYPE_CHECKING:
    from admin_ui.api.guard import Asker

_NOTED: Final = Rate(1 / 60, 10)
_MOST: Final = 200  # characters of a path
_log = logging.getLogger(__name__)


async def note_strangers(message: Any, scope: Any) -> None:
    """Litestar calls it with each message on its way out."""
    if message["type"] != "http.response.start" or message["status"] != 404:
        return
    asker: Asker | None = scope.get("state", {}).get("asker")
    if asker is None or asker.actor.scope.is_system:
        return
    app = scope["litestar_app"]
    who = f"{asker.actor.kind} {asker.actor.id}"
    if not app.state.rates.take(who, "not found", _NOTED).is_allowed:
        return
    act = Act(
        tenant_id=asker.actor.scope.owner(),
        at=clock.now_ms(),
        action="access.not-found",
        subject=scope["path"][:_MOST],
        detail=scope["method"],
    )
    try:
        by = replace(asker.actor.scope, address=asker.address)
        await app.state.rooms.audit.note(by, act)
    except StoreError as error:  # the answer is right without it
        _log.warning("%s is not in the audit log: %s", act.subject, error)
