"""Sites: which site each recipient domain has, asked once however many parcels wait for the answer.

AT_ONCE domains are asked for at once, the others in fair order: a receipt to a domain that nobody has
written to yet passes the ten thousand domains of somebody else's newsletter.
Known sites are kept in memory until they expire (bounded); the router behind keeps what DNS said on
disk. A look-up that crashes is answered as a temporary failure: it never keeps mail in memory for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock, tasks
from mta.reply import Reply
from mta.scheduling.fair import FairQueue
from mta.status import TrafficClass
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
        self._line: FairQueue[str] = FairQueue()  # domains; again, where urgent mail came
        self._asked: set[str] = set()
        self._ipv6 = False  # whether mail could leave over IPv6 at the last change

    def known(self, domain: str) -> Site | None:
        """The site of a domain, as far as it is known without asking anybody."""
        site = self._sites.get(domain)
        return site if site is not None and site.holds(clock.now_ms()) else None

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
        waiting = self._asking.setdefault(domain, [])
        waiting.append(parcel)
        message = parcel.message
        is_news = len(waiting) == 1 or message.traffic_class is TrafficClass.TRANSACTIONAL
        if is_news and domain not in self._asked:
            self._line.push(domain, message.tenant_id, message.traffic_class)
            self._go_on()

    def directory_changed(self, *, ipv6: bool) -> None:
        """Sites that do not come from DNS hold until now; all of them, when IPv6 comes into use."""
        keeps = self._ipv6 or not ipv6
        self._ipv6 = ipv6
        self._sites = {d: site for d, site in self._sites.items() if keeps and site.expires_at}

    def _go_on(self) -> None:
        while len(self._asked) < AT_ONCE and (domain := self._line.pop()) is not None:
            if domain in self._asking and domain not in self._asked:
                self._asked.add(domain)
                tasks.spawn(self._find(domain), name=f"route {domain}")

    async def _find(self, domain: str) -> None:
        started = clock.now_ms()
        found = await tasks.guard(self._look_up(domain), name=f"route {domain}") or _NO_ROUTE
        parcels = self._asking.pop(domain)
        self._asked.discard(domain)
        self._remember(domain, found)
        self._go_on()
        await self._answer(parcels, found, started)

    def _remember(self, domain: str, found: Site | RouteError) -> None:
        if isinstance(found, RouteError):
            return
        self._sites.pop(domain, None)
        if len(self._sites) >= KEPT:
            del self._sites[next(iter(self._sites))]  # what was asked for longest ago
        self._sites[domain] = found

    async def _look_up(self, domain: str) -> Site | RouteError:
        try:
            return await self._router.site_of(domain)
        except RouteError as error:
            return error
