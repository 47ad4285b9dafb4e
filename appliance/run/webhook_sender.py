"""Webhook sender: the worker's loop that tells endpoints of events, and what the web and the command line need.

Wiring only. It has a LogReader of its own: a lane that reads far back holds up nobody else's look at the log.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.dns import Resolver
from appliance.history import LogReader
from appliance.webhooks import (
    Allowed,
    Post,
    Sender,
    SenderStore,
    Stream,
    Trials,
    WebhookClient,
    Webhooks,
)

if TYPE_CHECKING:
    import ssl

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.home import Home
    from appliance.core.metrics import Metrics
    from appliance.core.secrets import MasterKeys
    from appliance.core.settings import Settings

PAUSE: Final = 0.25
LIMIT: Final = 120.0
TIDY: Final = 60.0


def webhooks_of(settings: Settings, engine: AsyncEngine, keys: MasterKeys) -> Webhooks:
    """The endpoints of the box."""
    allowed = Allowed(settings.webhooks.allow_networks)
    return Webhooks(engine, keys, settings.webhooks, allowed)


def client_of(settings: Settings, context: ssl.SSLContext | None = None) -> WebhookClient:
    """Who posts to receivers; belongs to the event loop that it is made in."""
    allowed = Allowed(settings.webhooks.allow_networks)
    return WebhookClient(Resolver(settings.dns), allowed, context=context)


def trials_of(
    settings: Settings, engine: AsyncEngine, keys: MasterKeys, client: WebhookClient
) -> Trials:
    """Tests and replays by hand."""
    webhooks = webhooks_of(settings, engine, keys)
    return Trials(webhooks, SenderStore(engine, keys), client)


class WebhookSender:
    """The sender with all it stands on."""

    def __init__(
        self,
        settings: Settings,
        home: Home,
        engine: AsyncEngine,
        keys: MasterKeys,
        metrics: Metrics,
    ) -> None:
        self._store = SenderStore(engine, keys)
        self._tidied_at = 0
        self.log = LogReader(settings.database.url or home.log_dir)
        post = Post(
            store=self._store,
            client=client_of(settings),
            settings=settings.webhooks,
            metrics=metrics,
            roll=random.random,
        )
        self._sender = Sender(
            store=self._store, stream=Stream(self.log), post=post, metrics=metrics
        )

    async def step(self) -> bool:
        """A turn of the loop."""
        return await self._sender.step()

    async def tidy(self) -> bool:
        """Forget old deliveries: those of busy endpoints every minute, what is old every hour."""
        await self._store.trim()
        now = clock.now_ms()
        if now - self._tidied_at >= clock.HOUR:
            await self._store.tidy()
            self._tidied_at = now
        return False

    async def close(self) -> None:
        """Save what was not taken, and hang up."""
        await self._sender.close()
        self.log.close()
