"""The worker's look at the DNS of domains: once a day, a few a second, and what broke is said."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager

from appliance.core import clock
from appliance.core.database import open_engine
from appliance.core.scope import BOX, Scope
from appliance.core.secrets import MasterKeys
from appliance.domains import Domains
from appliance.lab.dns_server import LabDns
from appliance.lab.world import add_records
from appliance.notices import Notices
from appliance.run.directory import box_names
from appliance.run.domain_checks import CHECK_EVERY, CHECKS_A_TURN, REST, DomainChecker
from appliance.tenancy import Tenants
from tests.support.process import new_home, settings_of

SYSTEM = Scope.system(by="test")


class World:
    """A box, its domains, and the DNS that they are looked up in."""

    def __init__(self, dns, settings, home):
        self.dns, self.settings = dns, settings
        self.engine = open_engine(home.control_db)
        names, keys = box_names(settings), MasterKeys.load(home.keys_file)
        self.domains = Domains(self.engine, keys, names, queue_life=clock.DAY)

    def checker(self, **options):
        async def domains():
            return self.domains

        return DomainChecker(domains, self.settings.dns, Notices(self.engine), **options)


@asynccontextmanager
async def opened(folder):
    async with LabDns({}) as dns:
        settings = settings_of(dns={"nameservers": [dns.address], "min_ttl": 0})
        world = World(dns, settings, await new_home(folder, settings))
        yield world
        await world.engine.dispose()


async def test_many_domains_that_are_due_are_spread_out_and_each_is_checked_once(tmp_path):
    rests = []

    async def sleep(seconds):
        rests.append(seconds)

    async with opened(tmp_path) as world:
        tenant = await Tenants(world.engine).create(SYSTEM, name="acme")
        for number in range(44):
            await world.domains.create(SYSTEM, tenant_id=tenant.id, name=f"d{number:02}.example")
        checker = world.checker(sleep=sleep)
        assert await checker.step() is True
        assert len(rests) == CHECKS_A_TURN
        await world.domains.remove(SYSTEM, "d43.example", tenant_id=tenant.id)
        assert await checker.step() is True
        assert await checker.step() is False
        assert rests == [REST] * 44, "with the box's own, without the one that is gone"
        assert await checker.step() is False
        assert len(rests) == 44
        assert all(one.checked_at for one in await world.domains.list(SYSTEM))


async def test_a_domain_is_looked_at_once_a_day_and_what_broke_is_said(tmp_path, caplog):
    async with opened(tmp_path) as world:
        dns = world.dns
        (box,) = await world.domains.list(SYSTEM)
        assert box.tenant_id == BOX
        add_records(dns.zone, world.domains.records(box))
        at = clock.now_ms()
        checker = world.checker(now=lambda: at)
        with caplog.at_level(logging.WARNING):
            await checker.step()
            asked = sum(dns.asked.values())
            assert asked > 0
            await checker.step()
            assert sum(dns.asked.values()) == asked
            assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
            dns.zone.clear()
            at += CHECK_EVERY + clock.MINUTE
            await checker.step()
    assert "domain box.example: the dkim record" in caplog.text
    assert "is missing now" in caplog.text
