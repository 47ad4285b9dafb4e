"""Sites: what is known of a domain holds until DNS or the directory says otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.core import clock
from mta.scheduling.sites import Sites
from tests.support.way import Routes, site_on, until


class Asked:
    """Sites over routes that count questions."""

    def __init__(self) -> None:
        self.routes = Routes(25)
        self.answered = 0
        self.sites = Sites(self.routes, self._answer)

    async def _answer(self, *_: object) -> None:
        self.answered += 1

    async def ask(self, domain: str) -> None:
        before = self.answered
        self.sites.ask(domain, object())
        await until(lambda: self.answered > before)


async def test_a_site_from_dns_is_forgotten_when_ipv6_comes_into_use_and_not_before() -> None:
    asked = Asked()
    asked.routes.special["good.test"] = replace(site_on(25), expires_at=clock.now_ms() + 60_000)
    await asked.ask("good.test")
    asked.sites.directory_changed(ipv6=False)
    assert asked.sites.known("good.test") is not None
    asked.sites.directory_changed(ipv6=True)
    assert asked.sites.known("good.test") is None
    await asked.ask("good.test")
    for ipv6 in (True, False):
        asked.sites.directory_changed(ipv6=ipv6)
        assert asked.sites.known("good.test") is not None


@pytest.mark.parametrize("ipv6", [True, False])
async def test_a_site_that_somebody_wrote_down_holds_until_the_directory_changes(
    ipv6: bool,
) -> None:
    asked = Asked()
    await asked.ask("relay.test")
    assert asked.sites.known("relay.test") is not None
    asked.sites.directory_changed(ipv6=ipv6)
    assert asked.sites.known("relay.test") is None
