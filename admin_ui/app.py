"""The web application of the box. Everything it needs is passed in; it holds no state of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import Litestar
from litestar.di import Provide

from admin_ui.errors import HANDLERS
from admin_ui.headers import add_headers
from admin_ui.public.health import health
from admin_ui.public.metrics import metrics

if TYPE_CHECKING:
    from admin_ui.processes import Processes


def create_app(processes: Processes, *, token: str = "") -> Litestar:
    """`token`: lets other machines than this one see inside; "" lets none."""
    return Litestar(
        route_handlers=[health, metrics],
        dependencies={
            "processes": Provide(lambda: processes, sync_to_thread=False),
            "token": Provide(lambda: token, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        before_send=[add_headers],
        openapi_config=None,  # comes with the API
        logging_config=None,  # appliance.core.log has set logging up
    )
