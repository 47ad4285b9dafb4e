"""The web application of the box. Everything it needs is passed in; it holds no state of its own."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, Final

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig

from admin_ui.api.docs import docs
from admin_ui.api.guard import add_rates
from admin_ui.api.openapi import openapi
from admin_ui.api.rates import Rates
from admin_ui.api.routes import API
from admin_ui.api.strangers import note_strangers
from admin_ui.assets import Assets, assets
from admin_ui.console.errors import EVERYWHERE
from admin_ui.console.live import Lines, live
from admin_ui.console.routes import PAGES_FOR_GUESTS, PAGES_FOR_MEMBERS
from admin_ui.console.stage import Stage
from admin_ui.headers import add_headers
from admin_ui.public.health import health
from admin_ui.public.metrics import metrics

if TYPE_CHECKING:
    from admin_ui.processes import Processes
    from admin_ui.rooms import Rooms

MAX_BODY: Final = 40 << 20  # octets: attachments of 25 MB and some as base64
DESCRIPTION: Final = OpenAPIConfig(
    title="Pillarbox",
    version="1",
    description="Send mail through this box, and see what became of it.",
    render_plugins=[],
    use_handler_docstrings=True,
)


def create_app(
    processes: Processes,
    rooms: Rooms,
    *,
    token: str = "",
    rates: Rates | None = None,
    zone: tzinfo = UTC,
) -> Litestar:
    """`token`: lets other machines than this one see inside; "" lets none. `zone`: of all times on pages."""
    built = Assets.load()
    return Litestar(
        route_handlers=[
            health,
            metrics,
            openapi,
            docs,
            assets,
            live,
            API,
            PAGES_FOR_GUESTS,
            PAGES_FOR_MEMBERS,
        ],
        dependencies={name: _provided(name) for name in ("processes", "rooms", "assets", "token")},
        exception_handlers=EVERYWHERE,
        before_send=[add_headers, add_rates, note_strangers],
        openapi_config=DESCRIPTION,
        request_max_body_size=MAX_BODY,
        state=State(
            {
                "processes": processes,
                "rooms": rooms,
                "assets": built,
                "token": token,
                "rates": rates or Rates(),
                "lines": Lines(),
                "stage": Stage(built, zone),
            }
        ),
        logging_config=None,  # appliance.core.log has set logging up
    )


def _provided(name: str) -> Provide:
    """To handlers, by the name of a parameter, from the application's state."""

    def given(state: State) -> Any:
        return state[name]

    return Provide(given, sync_to_thread=False)
