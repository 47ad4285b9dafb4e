"""Routes: every page of the console, a line for each noun."""

from __future__ import annotations

from typing import Final

from litestar import Router
from litestar.di import Provide

from admin_ui.console import (
    account,
    audit,
    blocklists,
    bounces,
    components,
    counts,
    credentials,
    domains,
    egress,
    home,
    jobs,
    keys,
    message,
    messages,
    notifications,
    onboarding,
    palette,
    queue,
    queue_found,
    queue_place,
    services,
    settings,
    shaping,
    shell,
    sign_in,
    stop,
    suppressions,
    tenants,
    usage,
    users,
    warmup,
    webhooks,
)
from admin_ui.console.errors import PAGES
from admin_ui.console.guard import guard, visit_of
from admin_ui.console.guest import guest_of

MAX_FORM: Final = 24 << 20  # octets: a list of some 800,000 addresses to import

MAX_GUEST_FORM: Final = 64 << 10

PAGES_FOR_MEMBERS: Final = Router(
    "/",
    route_handlers=[
        *account.HANDLERS,
        *audit.HANDLERS,
        *blocklists.HANDLERS,
        *bounces.HANDLERS,
        *components.HANDLERS,
        *counts.HANDLERS,
        *credentials.HANDLERS,
        *domains.HANDLERS,
        *egress.HANDLERS,
        *home.HANDLERS,
        *jobs.HANDLERS,
        *keys.HANDLERS,
        *message.HANDLERS,
        *messages.HANDLERS,
        *notifications.HANDLERS,
        *onboarding.HANDLERS,
        *palette.HANDLERS,
        *queue.HANDLERS,
        *queue_found.HANDLERS,
        *queue_place.HANDLERS,
        *services.HANDLERS,
        *settings.HANDLERS,
        *shaping.HANDLERS,
        *shell.HANDLERS,
        *stop.HANDLERS,
        *suppressions.HANDLERS,
        *tenants.HANDLERS,
        *usage.HANDLERS,
        *users.HANDLERS,
        *warmup.HANDLERS,
        *webhooks.HANDLERS,
    ],
    guards=[guard],
    dependencies={"visit": Provide(visit_of)},
    exception_handlers=PAGES,
    request_max_body_size=MAX_FORM,
    include_in_schema=False,
)
"""For who is signed in."""

PAGES_FOR_GUESTS: Final = Router(
    "/",
    route_handlers=[*sign_in.HANDLERS],
    dependencies={"guest": Provide(guest_of)},
    exception_handlers=PAGES,
    request_max_body_size=MAX_GUEST_FORM,
    include_in_schema=False,
)
"""For who is nobody yet."""
