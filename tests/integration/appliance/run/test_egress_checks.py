"""The worker's daily look at the DNS of the egress addresses, and the notices it makes."""

from __future__ import annotations

import pytest

from appliance.core import clock
from appliance.core.scope import Scope
from appliance.egress import Egresses, EgressRequest
from appliance.lab.dns_server import Fault, LabDns
from appliance.notices import Notices
from appliance.run.egress_checks import CHECK_EVERY, KIND, EgressChecks
from tests.support.delivery import dns_settings

ADMIN = Scope.system(by="ann")
ZONE = {
    "mail.box.example": {"A": ["127.0.0.11"]},
    "11.0.0.127.in-addr.arpa": {"PTR": ["mail.box.example."]},
}


@pytest.fixture
def egresses(engine, now):
    return Egresses(engine, hostname="mail.box.example", now=now)


@pytest.fixture
def notices(engine, now):
    return Notices(engine, now)


@pytest.fixture
async def dns(egresses):
    await egresses.create(ADMIN, EgressRequest(name="out1", address="127.0.0.11"))
    async with LabDns(ZONE) as server:
        yield server


@pytest.fixture
def checks(egresses, dns, notices, now):
    return EgressChecks(egresses, dns_settings(dns, timeout=2.0), notices, now)


async def test_an_address_is_looked_at_once_a_day(checks, dns, notices, now):
    assert await checks.step() is False
    asked = sum(dns.asked.values())
    assert asked > 0
    now.move(CHECK_EVERY - 1)
    await checks.step()
    assert sum(dns.asked.values()) == asked
    now.move(1)
    await checks.step()
    assert sum(dns.asked.values()) == 2 * asked
    assert await notices.list(ADMIN) == ()


async def test_what_broke_is_told_until_it_is_right_again(checks, dns, notices, now):
    gone = dns.zone.pop("11.0.0.127.in-addr.arpa")
    await checks.step()
    (notice,) = await notices.list(ADMIN)
    assert (notice.kind, notice.subject, notice.count) == (KIND, "out1", 1)
    assert "127.0.0.11 has no reverse name" in notice.text
    assert "`11.0.0.127.in-addr.arpa. PTR mail.box.example.`" in notice.text
    assert "pillarbox egress check out1" in notice.next_step
    now.move(CHECK_EVERY)
    dns.faults["11.0.0.127.in-addr.arpa"] = Fault.SERVFAIL
    await checks.step()
    (notice,) = await notices.list(ADMIN)  # it stands: nobody knows better
    assert notice.count == 1
    now.move(CHECK_EVERY)
    dns.faults.clear()
    dns.zone["11.0.0.127.in-addr.arpa"] = gone
    await checks.step()
    assert await notices.list(ADMIN) == ()


@pytest.mark.parametrize("way", ["disabled", "deleted"])
async def test_an_address_that_sends_no_more_bothers_nobody(
    checks, dns, notices, egresses, now, way
):
    dns.zone.clear()
    await checks.step()
    assert len(await notices.list(ADMIN)) == 1
    await egresses.disable(ADMIN, "out1", why="old")
    if way == "deleted":
        await egresses.delete(ADMIN, "out1")
    now.move(5 * clock.MINUTE)
    await checks.step()
    assert await notices.list(ADMIN) == ()
    now.move(CHECK_EVERY)
    await checks.step()
    assert await notices.list(ADMIN) == ()
