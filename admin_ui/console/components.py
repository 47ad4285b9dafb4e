"""Components: the page that shows them all, in their three layers; for who looks after the box."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get

from admin_ui.api.guard import RIGHT
from admin_ui.console.visit import Problem, Toast, WhoVisits
from appliance.rights import Right


@get("/components", opt={RIGHT: Right.BOX_READ})
async def components(visit: WhoVisits) -> Response[bytes]:
    """All of them."""
    wrong = Problem(words="The prefix is 0 to 32. Did you mean /32?", field="network")
    toasts_shown = [
        Toast(
            kind="success", title="28,116 messages are tried now", text="Follow them in the queue."
        ),
        Toast(kind="error", title="Not saved: the name is taken", text="Choose another name."),
    ]
    return await visit.page("components.html", wrong=wrong, shown=toasts_shown)


HANDLERS: Final[list[Any]] = [components]
