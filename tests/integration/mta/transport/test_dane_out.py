"""MTA-20, DANE (RFC 7672): TLSA records that DNSSEC vouches for are kept to, and nothing less."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.lab.dns_server import Fault
from appliance.lab.script import Starttls
from mta.transport.base import ConnectFailed, RouteError, TlsDemand
from mta.transport.mx_cache import MxCache
from tests.support.authority import known_root, root
from tests.support.delivery import only
from tests.support.fake_clock import FakeClock
from tests.support.tls_world import TlsWorld, limits, tls_world

HOST = "mx.good.test"
ROOT = root()
LEAF = ROOT.issue("middle", is_authority=True, sends_root=True).issue(HOST)
SELF = root(HOST)
OTHER = root("other")


async def refusal(world: TlsWorld) -> str:
    with pytest.raises(ConnectFailed) as caught:
        await world.send()
    assert not any(line.startswith("MAIL") for _, line in world.mx.commands)
    assert (caught.value.reply.code, caught.value.phase.value) == (451, "starttls")
    return caught.value.reply.line()


async def test_a_leaf_that_matches_needs_nothing_else() -> None:
    expired = ROOT.issue("somebody.else", days=(-9, -1))
    async with tls_world(expired) as world:
        world.publish_tlsa(expired.tlsa(3), OTHER.tlsa(3))
        attempt = await world.send()
        assert only(attempt).reply.is_success
        assert attempt.tls.endswith(" (dane-ee verified)")
        assert world.counted() == [("tlsa", HOST, "", 1)]


@pytest.mark.parametrize(("selector", "matching"), [(0, 1), (1, 1), (0, 0), (1, 2)])
async def test_an_authority_that_matches_vouches_for_the_chain(
    selector: int, matching: int
) -> None:
    async with tls_world(LEAF) as world:
        world.publish_tlsa(ROOT.tlsa(2, selector, matching))
        attempt = await world.send()
        assert only(attempt).reply.is_success
        assert attempt.tls.endswith(" (dane-ta verified)")


async def test_a_certificate_that_matches_nothing_gets_no_mail_even_if_it_is_valid() -> None:
    async with tls_world(known_root().issue(HOST)) as world:
        world.publish_tlsa(OTHER.tlsa(3), OTHER.tlsa(2))
        said = await refusal(world)
        assert said.startswith("451 4.7.5 the certificate of mx.good.test matches none of its TLSA")
        assert said.endswith("; the DANE records of the host demand it")
        assert world.counted() == [("tlsa", HOST, "validation-failure", 1)]


@pytest.mark.parametrize(
    ("certificate", "failure"),
    [
        (ROOT.issue(HOST, days=(-9, -1), sends_root=True), "certificate-expired"),
        (ROOT.issue("mx.other.test", sends_root=True), "certificate-host-mismatch"),
        (ROOT.issue(HOST, sends_root=True).issue(HOST), "certificate-not-trusted"),
    ],
    ids=["expired", "name", "signed by no authority"],
)
async def test_below_an_authority_the_chain_must_be_valid(certificate, failure: str) -> None:
    async with tls_world(certificate) as world:
        world.publish_tlsa(ROOT.tlsa(2))
        assert "does not lead to its TLSA records" in await refusal(world)
        assert world.counted() == [("tlsa", HOST, failure, 1)]


@pytest.mark.parametrize(
    "starttls", [Starttls.NONE, Starttls.REFUSED, Starttls.BROKEN, Starttls.DROPPED]
)
async def test_nothing_goes_in_the_clear(starttls: Starttls) -> None:
    async with tls_world(SELF, starttls=starttls) as world:
        world.publish_tlsa(SELF.tlsa(3))
        with pytest.raises(ConnectFailed) as caught:
            await world.send(need=limits())
        assert "DANE" in caught.value.reply.text
        assert not any(line.startswith("MAIL") for _, line in world.mx.commands)


async def test_records_of_which_none_can_be_used_demand_tls_and_no_certificate() -> None:
    async with tls_world() as world:
        world.publish_tlsa("1 1 1 " + "ab" * 32, "3 1 9 00")
        assert (await world.send()).tls.endswith(" (unverified)")
        world.mx.script.starttls = Starttls.NONE
        with pytest.raises(ConnectFailed, match="none of which can be used"):
            await world.send()


@pytest.mark.parametrize("fault", [Fault.SERVFAIL, Fault.REFUSED, Fault.SILENCE])
async def test_records_that_cannot_be_had_defer_and_never_fall_back(fault: Fault) -> None:
    async with tls_world() as world:
        world.publish_tlsa(SELF.tlsa(3))
        world.dns.faults[f"_{world.mx.port}._tcp.{HOST}"] = fault
        with pytest.raises(RouteError) as caught:
            await world.send()
        reply = caught.value.reply
        assert (reply.code, reply.enhanced) == (451, "4.7.5")
        assert "may demand DANE, and their TLSA records cannot be had" in reply.text
        assert f"could not answer TLSA _{world.mx.port}._tcp.{HOST}" in reply.text
        assert world.mx.sessions == 0
        assert world.counted() == [("tlsa", HOST, "dnssec-invalid", 1)]


async def test_a_host_whose_records_cannot_be_had_is_left_for_the_next_one() -> None:
    async with tls_world(SELF) as world:
        world.publish_tlsa(SELF.tlsa(3))
        world.dns.zone["good.test"]["MX"].append("5 first.good.test.")
        world.dns.zone["first.good.test"] = {"A": ["127.0.0.9"]}
        world.dns.faults[f"_{world.mx.port}._tcp.first.good.test"] = Fault.SERVFAIL
        attempt = await world.send()
        assert (attempt.host, attempt.address) == (HOST, "127.0.0.1")
        assert attempt.tls.endswith(" (dane-ee verified)")


UNSIGNED = {
    "nothing is signed": [],
    "only the domain": ["good.test"],
    "only the host": ["mx.host.test"],
}


@pytest.mark.parametrize("signed", UNSIGNED.values(), ids=UNSIGNED.keys())
async def test_where_dnssec_does_not_vouch_nobody_asks_for_records(signed: list[str]) -> None:
    async with tls_world() as world:
        world.dns.zone["good.test"]["MX"] = ["10 mx.host.test."]
        world.dns.zone["mx.host.test"] = {"A": ["127.0.0.1"]}
        name = f"_{world.mx.port}._tcp.mx.host.test"
        world.dns.zone[name] = {"TLSA": [str(OTHER.tlsa(3))]}
        world.dns.signed = set(signed)
        assert (await world.send()).tls.endswith(" (unverified)")
        assert (name, "TLSA") not in world.dns.asked


async def test_a_signed_host_without_records_is_opportunistic() -> None:
    async with tls_world() as world:
        world.dns.signed.add("good.test")
        assert (await world.send()).tls.endswith(" (unverified)")
        assert (f"_{world.mx.port}._tcp.{HOST}", "TLSA") in world.dns.asked


async def test_dane_goes_before_mta_sts() -> None:
    async with tls_world(SELF) as world:
        world.publish("enforce", mx="mail.elsewhere.test")
        world.publish_tlsa(SELF.tlsa(3))
        attempt = await world.send()
        assert attempt.tls.endswith(" (dane-ee verified)")
        assert world.web.requests == []


async def test_hosts_without_records_go_by_mta_sts_beside_one_that_has_some() -> None:
    async with tls_world(SELF) as world:
        world.publish("enforce", mx="second.good.test")
        world.publish_tlsa(SELF.tlsa(3))
        world.dns.zone["good.test"]["MX"] += ["20 second.good.test.", "30 third.good.test."]
        for name in ("second", "third"):
            world.dns.zone[f"{name}.good.test"] = {"A": ["127.0.0.9"]}
        site = await world.router().site_of("good.test")
        assert [host.name for host in site.hosts] == [HOST, "second.good.test"]
        assert (site.tls, site.key.split("|")[1:]) == (TlsDemand.VERIFIED, ["dane", "sts"])
        assert (await world.send(site)).tls.endswith(" (dane-ee verified)")


async def test_what_was_found_survives_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    async with tls_world(SELF) as world:
        world.now = clock
        world.publish_tlsa(SELF.tlsa(3))
        for _ in range(2):
            with MxCache(tmp_path / "cache.db", now=clock) as cache:
                router = world.router()
                router._inner._cache = cache
                site = await router.site_of("good.test")
                assert site.hosts[0].dane == (SELF.tlsa(3),)
                assert site.key.endswith("|dane")
        assert world.dns.asked[f"_{world.mx.port}._tcp.{HOST}", "TLSA"] == 1


async def test_records_hold_no_longer_than_their_time_to_live() -> None:
    clock = FakeClock()
    async with tls_world(SELF) as world:
        world.now = clock
        world.dns.ttl = 300
        world.publish_tlsa(OTHER.tlsa(3))
        router = world.router()
        assert (await router.site_of("good.test")).hosts[0].dane == (OTHER.tlsa(3),)
        world.publish_tlsa(SELF.tlsa(3))
        clock.advance(301)
        site = await router.site_of("good.test")
        assert (await world.send(site)).tls.endswith(" (dane-ee verified)")
