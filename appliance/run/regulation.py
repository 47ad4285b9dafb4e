"""Regulation: shaping, throttles and warmup of an mta process, wired to their files and records.

    step()    once a second: new shaping rules, throttles that others stored or that moved by themselves,
              budgets that idle; then what waited for any of it is looked at again

Throttles are shared by all processes and outlive them: what moves here is stored within a second, and
what others store comes with the next directory poll. Fails with StoreError while control.db does not
answer: what this process knows holds on, and is stored later.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.control import Part
from appliance.core.generations import Generations
from appliance.core.log import fields
from appliance.core.steady import SteadyClock
from appliance.limits import Budgets
from appliance.shaping import ThrottleStore
from appliance.shaping.file import ShapingFile, places
from mta.scheduling.regulator import Regulator
from mta.scheduling.share import Share
from mta.scheduling.unreachable import Unreachable
from mta.shaping.model import Limits, Provider, TlsNeed
from mta.shaping.throttles import Throttles
from mta.transport.route import INBOUND_KEY
from mta.warmup.day import zone_of
from mta.warmup.ledger import Ledger, Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.settings import Delivery
    from appliance.run.current import Current
    from appliance.run.delivery import Delivery as ShardDelivery
    from appliance.run.process import Context
    from mta.scheduling.blocked import Place
    from mta.shaping.matching import ShapingBook
    from mta.shaping.throttle import Change

STEP_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


class Regulation:
    """One per mta process."""

    def __init__(
        self,
        context: Context,
        current: Current,
        engine: AsyncEngine,
        *,
        on_plaintext: Callable[[str, int], None],
    ) -> None:
        """`on_plaintext` is told of a host, and for how many ms STARTTLS is to be left out with it."""
        settings = context.settings
        self._generations, self._current = Generations(engine), current
        self._file = ShapingFile(places(settings, context.home))
        self._book = self._file.load_or_shipped()
        self._store = ThrottleStore(engine)
        self._seen = 0  # generation of the throttles that were read
        self._moved = False
        throttles = Throttles(lambda: self._book)
        self.regulator = Regulator(
            book=lambda: self._book,
            throttles=throttles,
            ledger=self._ledger(context, engine),
            unreachable=Unreachable(first_wait=int(settings.queue.retry[0] * clock.SECOND)),
            share=Share(context.mta_index, context.mta_processes),
            chosen=chosen_hop(settings.delivery),
            on_change=self._on_change,
            on_plaintext=on_plaintext,
        )

    @property
    def book(self) -> ShapingBook:
        """The rules in force."""
        return self._book

    async def load(self) -> None:
        """Take over the throttles that stand."""
        await self._load()

    async def step(self, deliveries: Iterable[ShardDelivery]) -> bool:
        """One turn of the loop."""
        now, throttles = clock.now_ms(), self.regulator.throttles
        self._reload()
        for change in throttles.step(now):
            self._on_change(change)
        await self._load()
        await self._save()
        self.regulator.tidy(now)
        room = await self.regulator.ledger.step(now)
        moved, self._moved = self._moved, False
        for delivery in deliveries:
            if room:
                delivery.dispatcher.reopen(_is_warmup)
            if moved:
                delivery.reshaped()
        return False

    async def close(self) -> None:
        """Give back what is left of budgets, store what has moved."""
        await self.regulator.ledger.close()
        await self._save()

    def _reload(self) -> None:
        book = self._file.changed()
        if book is not None:
            self._book, self._moved = book, True

    async def _save(self) -> None:
        rows = self.regulator.throttles.dirty()
        if rows:
            await self._store.save(rows)
            self.regulator.throttles.saved(rows)

    async def _load(self) -> None:
        newest = (await self._generations.look())[Part.SHAPING]
        if newest != self._seen:
            rows = await self._store.since(self._seen)
            self.regulator.throttles.load(rows, clock.now_ms())
            self._seen, self._moved = newest, True

    def _on_change(self, change: Change) -> None:
        self._moved = True
        _log.warning(
            "%s: %s", change.subject, change.words, extra=fields(throttle=str(change.kind))
        )

    def _ledger(self, context: Context, engine: AsyncEngine) -> Ledger:
        settings, current = context.settings, self._current
        return Ledger(
            store=Budgets(engine),
            plans=lambda: current().warmup,
            steady=SteadyClock(context.home.run_dir / "steady"),
            zone=zone_of(settings.warmup.timezone),
            portion=settings.warmup.portion,
            processes=context.mta_processes,
            names=Names(address=self._address, provider=title_of(lambda: self._book)),
        )

    def _address(self, egress: str) -> str:
        entry = self._current().egress.entries.get(egress)
        if entry is None:
            return egress
        return entry.egress.address or entry.egress.address6 or egress


def title_of(book: Callable[[], ShapingBook]) -> Callable[[str], str]:
    """How people call a provider of warmup, by its name."""

    def title(name: str) -> str:
        provider = book().providers.get(name)
        return provider.title if provider is not None and name else "all other receivers"

    return title


def chosen_hop(delivery: Delivery) -> Provider:
    """Limits for the smarthost and the box's own inbound listener: no receiver's rules hold there."""
    limits = Limits(
        connections=delivery.smarthost.connections,
        zone_connections=0,
        messages_per_connection=delivery.smarthost.messages_per_connection,
        connection_rate=None,
        message_rate=None,
        recipients_per_message=100,
        tls=TlsNeed.OPPORTUNISTIC,
    )
    return Provider(name="", title=INBOUND_KEY, suffixes=(), limits=limits)


def _is_warmup(place: Place) -> bool:
    return place[0] == "warmup"
