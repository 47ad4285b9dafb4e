"""The look at blocklists: listed, notice, drained; delisted, notice over, enabled. Both databases, real DNS."""

from __future__ import annotations

import logging
from dataclasses import replace

import msgspec
import pytest

from appliance.blocklists import Blocklists, ListState, Target
from appliance.blocklists.rules import WHY
from appliance.core import clock
from appliance.core.dns import Resolver
from appliance.core.errors import ConfigError, UsageError
from appliance.core.home import Home
from appliance.core.scope import Scope
from appliance.core.settings import Blocklists as Options
from appliance.core.settings import Settings
from appliance.credentials import Credentials
from appliance.egress import Egresses, EgressRequest, PoolChange, Pools, default_egress
from appliance.lab.dns_server import Fault, LabDns
from appliance.notices import Notices, Severity
from appliance.run.blocklist_checks import BlocklistChecks, Parts, box_checks
from appliance.run.blocklist_recheck import BlocklistRecheck
from appliance.run.egress_drainer import BoxDrainer
from appliance.tenancy import AuditLog, Tenants
from mta.egress import EgressState, Member
from tests.support.blocklists import blocklist, enlist, zone_of
from tests.support.control import PlainHasher
from tests.support.delivery import dns_settings

ADMIN = Scope.system(by="ann")
ZEN, BAD = blocklist("zen", drain=True, ipv6=True), blocklist("bad", drain=True)
MILD = blocklist("mild")
OUT1, OUT2 = "10.0.0.1", "10.0.0.2"
ENABLED, DRAINING = EgressState.ENABLED, EgressState.DRAINING


class World:
    """A box with two addresses, and the lists it looks them up in."""

    def __init__(self, engine, dns, now):
        self.dns, self.now, self.engine = dns, now, engine
        self.lists = (ZEN, BAD, MILD)
        self.egresses = Egresses(engine, hostname="box.example", now=now)
        self.pools = Pools(engine, Tenants(engine), Credentials(engine, PlainHasher()), now)
        self.store, self.notices = Blocklists(engine, now), Notices(engine, now)
        self.drainer = BoxDrainer(self.egresses, self.pools, default_egress(Settings()))
        self.options = Options(drain=True)
        self.checks = self.restarted()

    def restarted(self, **changes):
        """The checks of a worker that began just now."""
        parts = Parts(
            store=self.store,
            notices=self.notices,
            drainer=self.drainer,
            lists=lambda: self.lists,
            lookup=lambda: Resolver(dns_settings(self.dns, timeout=2.0)),
        )
        self.options = msgspec.structs.replace(self.options, **changes)
        self.checks = BlocklistChecks(self.options, parts, self.now, private_too=True)
        return self.checks

    async def look(self):
        """An hour later."""
        self.now.move(clock.HOUR)
        assert await self.checks.step() is False

    async def states(self):
        return {one.name: (one.state, one.why) for one in await self.egresses.list(ADMIN)}

    async def state(self, name="out1"):
        return (await self.states())[name][0]

    async def subjects(self, kind="blocklist"):
        return [one.subject for one in await self.notices.list(ADMIN, kind=kind)]

    def delist(self, name):
        del self.dns.zone[name]


@pytest.fixture
async def world(engine, now):
    async with LabDns(zone_of(ZEN, BAD, MILD)) as dns:
        made = World(engine, dns, now)
        for name, address in (("out1", OUT1), ("out2", OUT2)):
            await made.egresses.create(ADMIN, EgressRequest(name=name, address=address))
        yield made


async def test_listed_drained_delisted_enabled(world, caplog):
    await world.look()
    assert await world.subjects() == []
    name = enlist(world.dns, OUT1, "zen.test", text="see zen.test")
    with caplog.at_level(logging.INFO):
        await world.look()
    assert await world.states() == {
        "out1": (DRAINING, "listed on zen.test"),
        "out2": (ENABLED, ""),
    }
    (notice,) = await world.notices.list(ADMIN)
    assert (notice.subject, notice.severity) == (
        "egress out1: 10.0.0.1 on zen.test",
        Severity.CRITICAL,
    )
    assert "10.0.0.1 is listed on Zen: it sends spam (see zen.test)" in notice.text
    assert "drains until it is delisted" in notice.text
    assert "https://zen.test/10.0.0.1" in notice.next_step
    assert "stop it wait" in notice.next_step
    (listing,) = await world.store.listings(ADMIN)
    assert listing.drained
    assert caplog.text.count("is listed on Zen") == 1

    caplog.clear()
    await world.look()
    (again,) = await world.notices.list(ADMIN)
    assert (again.id, again.count) == (notice.id, 2)
    assert "is draining: listed on zen.test" in again.text
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []

    world.delist(name)
    with caplog.at_level(logging.INFO):
        await world.look()
    assert await world.states() == {"out1": (ENABLED, ""), "out2": (ENABLED, "")}
    assert await world.subjects() == []
    assert await world.store.listings(ADMIN) == ()
    assert "is enabled" in caplog.text
    audit = [entry.action for entry in await AuditLog(world.engine).list(ADMIN)]
    assert audit[:2] == ["egress.enable", "egress.drain"]


async def test_nothing_drains_unless_the_box_and_the_list_say_so(world):
    enlist(world.dns, OUT1, "mild.test")
    await world.look()
    assert await world.state() is ENABLED
    world.restarted(drain=False)
    enlist(world.dns, OUT1, "zen.test")
    await world.look()
    assert await world.state() is ENABLED
    notices = await world.notices.list(ADMIN)
    assert [one.severity for one in notices] == [Severity.CRITICAL, Severity.WARNING]
    assert all("mail goes on leaving from it" in one.text for one in notices)
    world.restarted(drain=True)  # an admin changes their mind while it is listed
    await world.look()
    assert await world.state() is DRAINING


async def test_dns_trouble_neither_lists_nor_delists(world):
    name = enlist(world.dns, OUT1, "zen.test")
    await world.look()
    assert await world.state() is DRAINING
    for fault in (Fault.SERVFAIL, Fault.SILENCE):
        world.dns.faults = {name: fault}
        await world.look()
        assert await world.state() is DRAINING
        assert len(await world.store.listings(ADMIN)) == 1
    world.dns.faults = {}
    world.delist(name)
    await world.look()
    assert await world.state() is ENABLED


async def test_a_dead_name_server_changes_nothing(world):
    enlist(world.dns, OUT1, "zen.test")
    await world.look()
    await world.dns.stop()
    await world.look()
    assert await world.state() is DRAINING
    (listing,) = await world.store.listings(ADMIN)
    assert listing.last_seen_at == world.now.at - clock.HOUR
    states = {check.state for check in (await world.store.checks(ADMIN)).values()}
    assert states == {ListState.UNREACHABLE}
    assert await world.subjects("blocklist-unusable") == []


async def test_a_list_that_refuses_us_is_reported_and_nobody_is_delisted_by_it(world):
    enlist(world.dns, OUT1, "zen.test")
    await world.look()
    before = {name: records for name, records in world.dns.zone.items() if "zen.test" in name}
    for name in before:
        del world.dns.zone[name]
    world.dns.zone["*.zen.test"] = {"A": ["127.255.255.254"]}
    enlist(world.dns, OUT2, "zen.test", "127.255.255.254")
    await world.look()
    assert await world.states() == {
        "out1": (DRAINING, "listed on zen.test"),
        "out2": (ENABLED, ""),
    }
    assert len(await world.store.listings(ADMIN)) == 1
    assert await world.subjects("blocklist-unusable") == ["zen.test"]
    assert (await world.store.checks(ADMIN))["zen.test"].state is ListState.UNUSABLE
    del world.dns.zone["*.zen.test"]
    world.dns.zone.update(before)
    await world.look()
    assert await world.subjects("blocklist-unusable") == []


async def test_a_dead_list_that_lists_everything_is_passed_over(world):
    world.dns.zone["*.zen.test"] = {"A": ["127.0.0.2"]}
    await world.look()
    assert await world.store.listings(ADMIN) == ()
    assert await world.subjects("blocklist-unusable") == ["zen.test"]


async def test_the_last_enabled_address_of_the_box_goes_on(world):
    await world.egresses.disable(ADMIN, "out2", why="spare")
    enlist(world.dns, OUT1, "zen.test")
    await world.look()
    assert await world.state() is ENABLED
    (notice,) = await world.notices.list(ADMIN)
    assert "is not drained, because it is the only enabled address of the box" in notice.text
    await world.egresses.enable(ADMIN, "out2")
    await world.look()
    assert await world.state() is DRAINING


async def test_the_last_enabled_address_of_a_pool_goes_on(world):
    await world.pools.set(
        ADMIN, "news", PoolChange(members=(Member(egress="out1"),), is_default=False)
    )
    enlist(world.dns, OUT1, "zen.test")
    await world.look()
    assert await world.state() is ENABLED
    (notice,) = await world.notices.list(ADMIN)
    assert "of pool news" in notice.text


async def test_of_two_listed_addresses_one_goes_on(world):
    enlist(world.dns, OUT1, "zen.test")
    enlist(world.dns, OUT2, "zen.test")
    await world.look()
    assert await world.states() == {
        "out1": (DRAINING, "listed on zen.test"),
        "out2": (ENABLED, ""),
    }


async def test_an_address_on_two_lists_waits_for_both(world):
    first, second = enlist(world.dns, OUT1, "zen.test"), enlist(world.dns, OUT1, "bad.test")
    await world.look()
    assert all(listing.drained for listing in await world.store.listings(ADMIN))
    (_, why) = (await world.states())["out1"]
    gone, left = (first, "bad.test") if why.endswith("zen.test") else (second, "zen.test")
    world.delist(gone)
    await world.look()
    assert (await world.states())["out1"] == (DRAINING, f"listed on {left}")
    world.delist(second if gone == first else first)
    await world.look()
    assert await world.state() is ENABLED


async def test_an_ipv6_listing_drains_its_egress(world):
    address6 = "fd00::fe"
    await world.egresses.update(ADMIN, "out1", address6=address6, ipv6_forced=True)
    enlist(world.dns, address6, "zen.test", "127.0.0.4")
    await world.look()
    assert await world.state() is DRAINING
    assert await world.subjects() == [f"egress out1: {address6} on zen.test"]


async def test_what_a_person_set_stays(world):
    name = enlist(world.dns, OUT1, "zen.test")
    await world.look()
    await world.egresses.enable(ADMIN, "out1")
    await world.look()
    assert await world.state() is ENABLED  # listed still, but a person said so
    await world.egresses.drain(ADMIN, "out1", why="moving to another rack")
    world.delist(name)
    await world.look()
    assert (await world.states())["out1"] == (DRAINING, "moving to another rack")


async def test_what_a_person_stopped_at_the_same_moment_stays_stopped(world):
    await world.egresses.disable(ADMIN, "out1", why="the card is broken")
    assert not await world.drainer.drain("out1", "listed on zen.test", why_prefix=WHY)
    assert not await world.drainer.enable_if_drained_by("out1", WHY)
    assert not await world.drainer.drain("gone", "listed on zen.test", why_prefix=WHY)
    assert (await world.states())["out1"] == (EgressState.DISABLED, "the card is broken")


async def test_a_crash_between_draining_and_noting_it_is_made_good(world):
    name = enlist(world.dns, OUT1, "zen.test")
    await world.drainer.drain("out1", "listed on zen.test", why_prefix=WHY)  # the power failed
    await world.look()
    (listing,) = await world.store.listings(ADMIN)
    assert listing.drained
    world.delist(name)
    await world.look()
    assert await world.state() is ENABLED


async def test_what_is_not_looked_up_any_more_is_let_go(world):
    enlist(world.dns, OUT1, "zen.test")
    enlist(world.dns, OUT1, "mild.test")
    await world.look()
    world.lists = (BAD, MILD)  # zen.test was taken out of the file
    await world.look()
    assert await world.state() is ENABLED
    assert await world.subjects() == ["egress out1: 10.0.0.1 on mild.test"]
    await world.egresses.update(ADMIN, "out1", address="10.0.0.9")
    await world.checks.step()  # at once: the addresses have changed
    assert await world.subjects() == []


async def test_switched_off_it_holds_nothing_back(world):
    enlist(world.dns, OUT1, "zen.test")
    world.dns.zone["*.mild.test"] = {"A": ["127.0.0.2"]}
    await world.look()
    assert await world.notices.list(ADMIN)
    world.restarted(enabled=False)
    asked = world.dns.asked.total()
    await world.look()
    assert world.dns.asked.total() == asked
    assert await world.state() is ENABLED
    assert await world.notices.list(ADMIN) == ()


async def test_a_look_is_taken_when_due_and_a_restart_does_not_hasten_it(world):
    await world.look()
    asked = world.dns.asked.total()
    assert asked
    world.now.move(clock.HOUR - 1)
    await world.checks.step()
    await world.restarted().step()
    assert world.dns.asked.total() == asked
    world.now.move(1)
    await world.checks.step()
    assert world.dns.asked.total() > asked


async def test_a_person_has_them_asked_at_once_and_is_told_what_they_said(world):
    await world.look()
    enlist(world.dns, OUT1, "zen.test")
    recheck = BlocklistRecheck(world.checks)
    done = await recheck.step(None)
    assert done.result["addresses"] == 2
    assert done.result["addresses_listed"] == 1
    assert 1 <= done.result["lists_that_answer"] <= done.result["lists"] == 3
    assert await world.state() is DRAINING
    with pytest.raises(UsageError, match="enabled is off"):
        await BlocklistRecheck(world.restarted(enabled=False)).step(None)


async def test_a_new_address_is_looked_up_at_once(world):
    await world.look()
    enlist(world.dns, "10.0.0.3", "zen.test")
    await world.egresses.create(ADMIN, EgressRequest(name="out3", address="10.0.0.3"))
    await world.checks.step()
    assert await world.state("out3") is DRAINING


async def test_a_file_with_a_mistake_changes_nothing_and_is_said(world):
    enlist(world.dns, OUT1, "zen.test")
    await world.look()

    def wrong():
        raise ConfigError("lists.toml:3: no")

    parts = replace(world.checks._parts, lists=wrong)
    world.checks = BlocklistChecks(world.options, parts, world.now, private_too=True)
    await world.look()
    assert await world.state() is DRAINING
    (notice,) = await world.notices.list(ADMIN, kind="blocklist-file")
    assert "lists.toml:3" in notice.text
    world.restarted()
    await world.look()
    assert await world.notices.list(ADMIN, kind="blocklist-file") == ()


async def test_one_address_that_cannot_be_dealt_with_does_not_stop_the_others(world, caplog):
    for address in (OUT1, OUT2):
        enlist(world.dns, address, "mild.test")
    real = world.store.note_listed

    async def poisoned(scope, seen):
        if seen.target.egress == "out1":
            raise RuntimeError("poisoned")
        return await real(scope, seen)

    world.store.note_listed = poisoned
    await world.look()
    assert await world.subjects() == ["egress out2: 10.0.0.2 on mild.test"]
    assert "poisoned" in caplog.text


async def test_a_box_without_egresses_looks_its_source_address_up(world):
    for name in ("out1", "out2"):
        await world.egresses.delete(ADMIN, name, force=True)
    settings = msgspec.convert({"delivery": {"source_address": "10.0.0.5"}}, Settings)
    world.drainer = BoxDrainer(world.egresses, world.pools, default_egress(settings))
    world.restarted()
    enlist(world.dns, "10.0.0.5", "zen.test")
    await world.look()
    (notice,) = await world.notices.list(ADMIN)
    assert "the only enabled address of the box" in notice.text


async def test_private_addresses_are_not_told_to_strangers(world, tmp_path):
    settings = msgspec.convert({"dns": {"nameservers": [world.dns.address]}}, Settings)
    checks = box_checks(settings, Home(tmp_path), world.engine, world.drainer)
    await checks.step()
    assert world.dns.asked.total() == 0


async def test_a_person_who_looks_does_not_put_the_hourly_look_off(world):
    await world.look()
    world.now.move(clock.HOUR - 1)
    enlist(world.dns, OUT1, "zen.test")
    found = await world.checks.look(world.lists, (Target(egress="out1", address=OUT1),))
    assert len(found.answers) == 3
    assert await world.state() is DRAINING
    asked = world.dns.asked.total()
    world.now.move(1)
    await world.checks.step()
    assert world.dns.asked.total() > asked
