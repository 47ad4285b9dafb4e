"""Routes: the whole API, a line for each noun."""

from __future__ import annotations

from typing import Final

from litestar import Router
from litestar.di import Provide

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
from admin_ui.api.guard import asker_of, guard
from admin_ui.errors import HANDLERS

API: Final = Router(
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
