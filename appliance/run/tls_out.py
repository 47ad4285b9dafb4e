"""TLS with receivers: what the connections of one mta process share, wired together.

Policies of receivers (kept in `sts.db`), the memory of broken TLS, metrics, and the counts for the
reports that receivers ask for, which `share` stores every few seconds.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from appliance.core.errors import StoreError
from appliance.core.settings_hints import no_dane
from appliance.tls_reports import TlsReports
from mta.transport.https import HttpsClient
from mta.transport.mta_sts import StsPolicies
from mta.transport.mx_cache import StsCache
from mta.transport.tls_memory import TlsMemory
from mta.transport.tls_policy import TlsTools
from mta.transport.tls_results import TlsResults

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.dns import Resolver
    from appliance.core.metrics import Metrics
    from appliance.core.settings import Settings

STORE_SECONDS: Final = 5.0
"""Counts of so long are lost when a process is killed; a busy box stores them in one go."""

log = logging.getLogger(__name__)


class TlsOut:
    """One per mta process."""

    def __init__(
        self,
        settings: Settings,
        resolver: Resolver,
        engine: AsyncEngine,
        sts_file: Path,
        metrics: Metrics,
    ) -> None:
        delivery, self._metrics = settings.delivery, metrics
        self.results, self.memory = TlsResults(), TlsMemory()
        self.tools = TlsTools(
            starttls=delivery.starttls,
            memory=self.memory,
            results=self.results,
            seen=self._seen,
        )
        self._cache = StsCache(sts_file)
        client = HttpsClient(
            resolver, ipv6=delivery.ipv6, allow_private=delivery.allow_private_addresses
        )
        policies = StsPolicies(client, self.results, cache=self._cache)
        self.sts = policies if delivery.mta_sts else None
        self._reports = TlsReports(engine)
        self._is_counted = settings.tls_reports.enabled
        if delivery.dane and not any(map(resolver.believes, resolver.servers)):
            log.info(no_dane(resolver.servers))

    async def share(self) -> bool:
        """Store what was counted since the last time; what cannot be stored is kept. Raises StoreError."""
        tallies = self.results.drain()
        if not tallies or not self._is_counted:
            return False
        try:
            await self._reports.add(tallies)
        except StoreError:
            self.results.put_back(tallies)
            raise
        return False

    def avoid(self, host: str, ms: int) -> None:
        """A rule of shaping: no STARTTLS with the host for so long, where nobody demands it."""
        if host:
            self.memory.avoid(host, ms / 1000)

    def _seen(self, connection: str, tls: str) -> None:
        self._metrics.connections_out.inc(connection)
        if tls:
            self._metrics.tls_out.inc(tls)

    def close(self) -> None:
        """Write what waits; takes a moment of the disk."""
        self._cache.close()
