"""The web application of the box. Everything it needs is passed in; it holds no state of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig

from admin_ui.api import (
    account,
    audit,
    blocklists,
    credentials,
    domains,
    egress,
    events,
    exports,
    jobs,
    keys,
    messages,
    notifications,
    pauses,
    pools,
    queue,
    queue_actions,
    resend,
    send,
    sending_stop,
    shaping,
    sign_in,
    statistics,
    suppressions,
    tenants,
    users,
    warmup,
    webhooks,
)
from admin_ui.api.docs import docs
from admin_ui.api.guard import add_rates, asker_of, guard
from admin_ui.api.openapi import openapi
from admin_ui.api.rates import Rates
from admin_ui.api.strangers import note_strangers
from admin_ui.assets import Assets, assets
from admin_ui.console.errors import EVERYWHERE
from admin_ui.console.live import Lines, live
from admin_ui.console.routes import PAGES_FOR_GUESTS, PAGES_FOR_MEMBERS
from admin_ui.console.stage import Stage
from admin_ui.errors import HANDLERS
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
    processes: Processes, rooms: Rooms, *, token: str = "", rates: Rates | None = None
) -> Litestar:
    """`token`: lets other machines than this one see inside; "" lets none."""
    api = Router(
        "/api/v1",
        route_handlers=[
            *send.HANDLERS,
            *resend.HANDLERS,
            *messages.HANDLERS,
            *events.HANDLERS,
            *statistics.HANDLERS,
            *webhooks.HANDLERS,
            *users.HANDLERS,
            *tenants.HANDLERS,
            *domains.HANDLERS,
            *credentials.HANDLERS,
            *keys.HANDLERS,
            *suppressions.HANDLERS,
            *queue.HANDLERS,
            *queue_actions.HANDLERS,
            *pauses.HANDLERS,
            *sending_stop.HANDLERS,
            *egress.HANDLERS,
            *pools.HANDLERS,
            *warmup.HANDLERS,
            *shaping.HANDLERS,
            *blocklists.HANDLERS,
            *jobs.HANDLERS,
            *exports.HANDLERS,
            *audit.HANDLERS,
            *notifications.HANDLERS,
            sign_in.ROUTES,
            account.ROUTES,
        ],
        guards=[guard],
        dependencies={"asker": Provide(asker_of)},
        exception_handlers=HANDLERS,
    )
    built = Assets.load()
    return Litestar(
        route_handlers=[
            health,
            metrics,
            openapi,
            docs,
            assets,
            live,
            api,
            PAGES_FOR_GUESTS,
            PAGES_FOR_MEMBERS,
        ],
        dependencies={
            "processes": Provide(lambda: processes, sync_to_thread=False),
            "rooms": Provide(lambda: rooms, sync_to_thread=False),
            "assets": Provide(lambda: built, sync_to_thread=False),
            "token": Provide(lambda: token, sync_to_thread=False),
        },
        exception_handlers=EVERYWHERE,
        before_send=[add_headers, add_rates, note_strangers],
        openapi_config=DESCRIPTION,
        request_max_body_size=MAX_BODY,
        state=State(
            {
                "rooms": rooms,
                "rates": rates or Rates(),
                "lines": Lines(),
                "stage": Stage(built, rooms.files.zone),
            }
        ),
        logging_config=None,  # appliance.core.log has set logging up
    )
