"""Sites: which site each recipient domain has, asked once however many parcels wait for the answer.

Known sites are kept in memory until they expire (bounded); the router behind keeps what DNS said on
disk. A look-up that crashes is answered as a temporary failure: it never keeps mail in memory for ever.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from appliance.core import clock, tasks
from mta.reply import Reply
from mta.transport.base import RouteError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mta.scheduling.parcel import Parcel
    from mta.transport.base import Router, Site

    Answer = Callable[[list[Parcel], Site | RouteError, int], Awaitable[None]]

AT_ONCE: Final = 100
KEPT: Final = 100_000
_NO_ROUTE = RouteError(Reply(451, "4.4.3", "the route could not be found out: see the log"))


class Sites:
    """What one shard knows. `answer` gets the parcels, what was found, and when it was asked (ms)."""

    def __init__(self, router: Router, answer: Answer) -> None:
        self._router, self._answer = router, answer
        self._sites: dict[str, Site] = {}
        self._asking: dict[str, list[Parcel]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._ipv6 = False  # whether mail could leave over IPv6 at the last change

    def known(self, domain: str) -> Site | None:
        """The site of a domain, as far as it is known without asking anybody."""
        site = self._sites.get(domain)
        if site is None or (site.expires_at and site.expires_at <= clock.now_ms()):
            return None
        return site

    def last_known(self, domain: str) -> Site | None:
        """The same, however old: what people see is not forgotten with its DNS record."""
        return self._sites.get(domain)

    async def find(self, domain: str) -> Site | None:
        """The site of a domain, asked for only where it was never known; None where there is no way."""
        site = self.last_known(domain)
        if site is None:
            found = await tasks.guard(self._look_up(domain), name=f"route {domain}") or _NO_ROUTE
            self._remember(domain, found)
            site = self.last_known(domain)
        return site

    def ask(self, domain: str, parcel: Parcel) -> None:
        """Find the site out; `answer` is told."""
        waiting = self._asking.get(domain)
        if waiting is not None:
            waiting.append(parcel)
            return
        self._asking[domain] = [parcel]
        tasks.spawn(self._find(domain), name=f"route {domain}")

    def directory_changed(self, *, ipv6: bool) -> None:
        """Sites that do not come from DNS hold until now; all of them, when IPv6 comes into use."""
        keeps = self._ipv6 or not ipv6
        self._ipv6 = ipv6
        self._sites = {d: site for d, site in self._sites.items() if keeps and site.expires_at}

    async def _find(self, domain: str) -> None:
        started = clock.now_ms()
        found = await tasks.guard(self._look_up(domain), name=f"route {domain}") or _NO_ROUTE
        parcels = self._asking.pop(domain)
        self._remember(domain, found)
        await self._answer(parcels, found, started)

    def _remember(self, domain: str, found: Site | RouteError) -> None:
        if isinstance(found, RouteError):
            return
        if len(self._sites) >= KEPT:
            self._sites.clear()
        self._sites[domain] = found

    async def _look_up(self, domain: str) -> Site | RouteError:
        try:
            async with self._turns:
                return await self._router.site_of(domain)
        except RouteError as error:
            return error
