"""MTA-20, MTA-STS (RFC 8461): policies are fetched, kept and enforced."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from appliance.lab.dns_server import Fault
from appliance.lab.script import Starttls
from mta.transport.base import ConnectFailed, RouteError, TlsDemand
from mta.transport.mx_cache import StsCache
from mta.transport.sts_policy import Mode
from tests.support.authority import known_root, root
from tests.support.delivery import only, until
from tests.support.fake_clock import FakeClock
from tests.support.tls_world import tls_world
from tests.support.web_host import WebHost

HOST = "mx.good.test"
DAY = 86_400


def valid():
    return known_root().issue(HOST)


INVALID = {
    "expired": (
        lambda: known_root().issue(HOST, days=(-9, -1)),
        "certificate has expired",
        "certificate-expired",
    ),
    "wrong name": (
        lambda: known_root().issue("mx.other.test"),
        "Hostname mismatch",
        "certificate-host-mismatch",
    ),
    "unknown authority": (
        lambda: root().issue(HOST),
        "unable to get local issuer",
        "certificate-not-trusted",
    ),
    "self-signed": (lambda: None, "self-signed", "certificate-not-trusted"),
}


async def test_under_enforce_mail_goes_over_a_valid_certificate() -> None:
    async with tls_world(valid()) as world:
        world.publish("enforce")
        attempt = await world.send()
        assert only(attempt).reply.is_success
        assert attempt.tls.startswith("TLSv1.3 ")
        assert attempt.tls.endswith(" (mta-sts verified)")
        assert world.counted() == [("sts", "good.test", "", 1)]


@pytest.mark.parametrize("case", INVALID)
async def test_under_enforce_a_bad_certificate_gets_no_mail_and_says_why(case: str) -> None:
    certificate, words, failure = INVALID[case]
    async with tls_world(certificate()) as world:
        world.publish("enforce")
        with pytest.raises(ConnectFailed) as caught:
            await world.send()
        reply = caught.value.reply
        assert (reply.code, reply.enhanced) == (451, "4.7.5")
        assert f"the certificate of {HOST} is not valid: {words}" in reply.text
        assert "the MTA-STS policy of the domain demands it" in reply.text
        assert world.mx.sessions == 1
        assert not any(line.startswith("MAIL") for _, line in world.mx.commands)
        assert world.counted() == [("sts", "good.test", failure, 1)]


@pytest.mark.parametrize("case", INVALID)
async def test_under_testing_mail_goes_and_the_failure_is_counted(case: str) -> None:
    certificate, _, failure = INVALID[case]
    async with tls_world(certificate()) as world:
        world.publish("testing")
        attempt = await world.send()
        assert only(attempt).reply.is_success
        assert attempt.tls.endswith(" (unverified)")
        assert world.mx.messages[0].is_tls
        assert world.counted() == [("sts", "good.test", failure, 1)]


async def test_under_testing_a_valid_certificate_is_told_as_verified() -> None:
    async with tls_world(valid()) as world:
        world.publish("testing")
        assert (await world.send()).tls.endswith(" (mta-sts verified)")
        assert world.mx.sessions == 1


@pytest.mark.parametrize(
    "starttls", [Starttls.NONE, Starttls.REFUSED, Starttls.BROKEN, Starttls.DROPPED]
)
async def test_under_enforce_nothing_goes_in_the_clear(starttls: Starttls) -> None:
    async with tls_world(valid(), starttls=starttls) as world:
        world.publish("enforce")
        with pytest.raises(ConnectFailed) as caught:
            await world.send()
        assert caught.value.reply.is_transient
        assert "MTA-STS" in caught.value.reply.text
        assert not any(line.startswith("MAIL") for _, line in world.mx.commands)
        (count,) = world.counted()
        offered = starttls in (Starttls.BROKEN, Starttls.DROPPED)
        assert count[2] == ("validation-failure" if offered else "starttls-not-supported")


async def test_under_testing_mail_goes_in_the_clear_where_there_is_no_tls() -> None:
    async with tls_world(starttls=Starttls.NONE) as world:
        world.publish("testing")
        attempt = await world.send()
        assert (attempt.tls, only(attempt).reply.is_success) == ("", True)
        assert world.counted() == [("sts", "good.test", "starttls-not-supported", 1)]


async def test_a_host_that_the_policy_does_not_name_gets_no_mail() -> None:
    async with tls_world(valid()) as world:
        world.publish("enforce", mx="mail.good.test")
        with pytest.raises(RouteError) as caught:
            await world.send()
        assert caught.value.reply.enhanced == "4.7.5"
        assert "allows mail.good.test; DNS names only mx.good.test" in caught.value.reply.text
        assert world.mx.sessions == 0
        assert world.counted() == [("sts", "good.test", "validation-failure", 1)]


async def test_of_several_hosts_those_that_the_policy_names_are_used() -> None:
    async with tls_world(valid()) as world:
        world.dns.zone["good.test"]["MX"] = ["5 evil.test.", "10 mx.good.test."]
        world.dns.zone["evil.test"] = {"A": ["127.0.0.9"]}
        world.publish("enforce", mx="*.good.test")
        site = await world.router().site_of("good.test")
        assert [host.name for host in site.hosts] == [HOST]
        assert (site.tls, site.hosts_key) == (TlsDemand.VERIFIED, f"{HOST}:{world.mx.port}")
        assert site.key == f"{HOST}:{world.mx.port}|sts"
        world.publish("testing", mx="*.good.test", sts_id="2")
        site = await world.router().site_of("good.test")
        assert [host.name for host in site.hosts] == ["evil.test", HOST]
        assert (site.tls, site.key.partition("|")[2]) == (TlsDemand.TESTING, "sts-testing")


async def test_a_domain_without_a_policy_shares_no_lane_with_one_that_has_one() -> None:
    async with tls_world() as world:
        world.dns.zone["plain.test"] = {"MX": ["10 mx.good.test."]}
        world.publish("enforce")
        router = world.router()
        secured, plain = await router.site_of("good.test"), await router.site_of("plain.test")
        assert secured.key != plain.key
        assert secured.hosts_key == plain.hosts_key
        assert plain.tls is TlsDemand.OPPORTUNISTIC


@pytest.mark.parametrize("mode", ["none", "enforce"])
async def test_a_domain_with_no_policy_or_one_taken_back_is_opportunistic(mode: str) -> None:
    async with tls_world() as world:
        if mode == "none":
            world.publish("none")
        attempt = await world.send()
        assert attempt.tls.endswith(" (unverified)")
        assert world.counted() == [("no-policy-found", "good.test", "", 1)]
        assert len(world.web.requests) == (mode == "none")


async def test_the_policy_is_fetched_as_the_rfc_says() -> None:
    async with tls_world() as world:
        world.publish("enforce")
        found = await world.policies().find("good.test", "1")
        assert found is not None
        assert found.policy is not None
        assert found.policy.mode is Mode.ENFORCE
        (line, headers, _) = world.web.requests[0]
        assert line == "GET /.well-known/mta-sts.txt HTTP/1.1"
        assert headers["host"] == "mta-sts.good.test"


BROKEN = {
    "not found": ({"status": 404}, "sts-policy-fetch-error"),
    "redirect": ({"status": 301, "location": "https://good.test/"}, "sts-policy-fetch-error"),
    "html": ({"content_type": "text/html"}, "sts-policy-invalid"),
    "no policy": ({"body": "hello"}, "sts-policy-invalid"),
    "not ascii": ({"body": "versiön: STSv1\n"}, "sts-policy-invalid"),
    "too large": ({"body": "x" * 70_000}, "sts-policy-fetch-error"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_policy_that_cannot_be_had_counts_as_none_and_is_reported(case: str) -> None:
    changes, failure = BROKEN[case]
    async with tls_world() as world:
        world.publish("enforce")
        for name, value in changes.items():
            setattr(world.web, name, value)
        router = world.router()
        site = await router.site_of("good.test")
        assert site.tls is TlsDemand.OPPORTUNISTIC
        assert (await world.send(site)).tls.endswith(" (unverified)")
        assert world.counted() == [
            ("no-policy-found", "good.test", "", 1),
            ("sts", "good.test", failure, 1),
        ]
        assert len(world.web.requests) == 1


async def test_a_policy_host_without_a_valid_certificate_is_not_believed() -> None:
    async with tls_world() as world:
        world.publish("enforce")
        other = known_root().issue("good.test").context()  # not mta-sts.good.test
        async with WebHost(other, world.web.body) as web:
            world.web = web
            found = await world.policies().find("good.test", "1")
        assert found is not None
        assert found.policy is None
        assert world.counted() == [("sts", "good.test", "sts-webpki-invalid", 1)]


@pytest.mark.parametrize("address", ["192.168.0.1", None])
async def test_a_policy_host_on_a_private_address_or_without_one_is_not_asked(
    address: str | None,
) -> None:
    async with tls_world() as world:
        world.publish("enforce")
        world.dns.zone["mta-sts.good.test"] = {"A": [address]} if address else {"TXT": ["x"]}
        policies = world.policies()
        policies._client._allow_private = False
        found = await policies.find("good.test", "1")
        assert found is not None
        assert found.policy is None
        assert world.counted() == [("sts", "good.test", "sts-policy-fetch-error", 1)]


async def test_mail_does_not_wait_long_for_a_slow_policy_which_then_counts() -> None:
    async with tls_world(valid()) as world:
        world.publish("enforce")
        world.web.delay = 0.3
        policies = world.policies(wait=0.05)
        router = world.router(policies)
        assert (await router.site_of("good.test")).tls is TlsDemand.OPPORTUNISTIC
        await until(lambda: bool(policies._kept))
        world.now = lambda: 2_000_000_000_000  # whenever the site is asked for again
        found = await policies.find("good.test", "1")
        assert found is not None
        assert found.policy is not None
        assert len(world.web.requests) == 1


async def test_questions_at_once_share_one_fetch() -> None:
    async with tls_world() as world:
        world.publish("enforce")
        world.web.delay = 0.05
        policies = world.policies()
        found = await asyncio.gather(*(policies.find("good.test", "1") for _ in range(5)))
        assert all(f is not None and f.policy is not None for f in found)
        assert len(world.web.requests) == 1


async def test_a_kept_policy_outlives_its_record_its_host_and_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    async with tls_world(root().issue(HOST)) as world:
        world.now = clock
        world.publish("enforce", max_age=30 * DAY)
        with StsCache(tmp_path / "sts.db", now=clock) as cache:
            await world.policies(cache).find("good.test", "1")
        del world.dns.zone["_mta-sts.good.test"]
        world.web.status = 500
        with StsCache(tmp_path / "sts.db", now=clock) as cache:
            policies = world.policies(cache)
            for days in (0, 10, 19):
                clock.advance(days * DAY)
                site = await world.router(policies).site_of("good.test")
                assert site.tls is TlsDemand.VERIFIED
                with pytest.raises(ConnectFailed):
                    await world.send(site)
            clock.advance(DAY)  # the thirtieth: its max_age is over
            site = await world.router(policies).site_of("good.test")
            assert site.tls is TlsDemand.OPPORTUNISTIC


async def test_a_new_id_fetches_the_new_policy_and_a_failure_keeps_the_old_one() -> None:
    clock = FakeClock()
    async with tls_world() as world:
        world.now = clock
        policies = world.policies()
        world.publish("enforce")
        assert (await world.router(policies).site_of("good.test")).tls is TlsDemand.VERIFIED
        world.publish("testing", sts_id="2")
        world.web.status = 503
        assert (await world.router(policies).site_of("good.test")).tls is TlsDemand.VERIFIED
        world.web.status = 200
        # A host that has just failed is left in peace for five minutes.
        assert (await world.router(policies).site_of("good.test")).tls is TlsDemand.VERIFIED
        assert len(world.web.requests) == 2
        clock.advance(301)
        assert (await world.router(policies).site_of("good.test")).tls is TlsDemand.TESTING
        assert len(world.web.requests) == 3


@pytest.mark.parametrize("seconds", [DAY, -DAY], ids=["a day later", "the clock stepped back"])
async def test_a_kept_policy_is_looked_at_again_daily_in_the_background(seconds: int) -> None:
    clock = FakeClock()
    async with tls_world() as world:
        world.now = clock
        policies = world.policies()
        world.publish("enforce")
        first = await policies.find("good.test", "1")
        assert first is not None
        assert first.until == clock.now + DAY * 1000
        clock.advance(seconds)
        world.publish("testing")
        world.web.delay = 0.05
        before = await policies.find("good.test", "1")
        assert before is not None
        assert before.policy is not None
        assert before.policy.mode is Mode.ENFORCE  # nobody waits
        await until(lambda: policies._kept["good.test"].policy.mode is Mode.TESTING)


async def test_after_the_clock_has_stepped_back_a_failed_fetch_is_tried_again() -> None:
    clock = FakeClock()
    async with tls_world() as world:
        world.now = clock
        policies = world.policies()
        world.publish("enforce")
        world.web.status = 503
        assert (await policies.find("good.test", "1")).policy is None
        clock.advance(-DAY)
        world.web.status = 200
        assert (await policies.find("good.test", "1")).policy is not None


async def test_a_name_server_that_cannot_say_takes_no_kept_policy_away() -> None:
    clock = FakeClock()
    async with tls_world() as world:
        world.now = clock
        policies = world.policies()
        world.publish("enforce")
        await policies.find("good.test", "1")
        world.dns.faults["_mta-sts.good.test"] = Fault.SERVFAIL
        site = await world.router(policies).site_of("good.test")
        assert site.tls is TlsDemand.VERIFIED


async def test_a_known_domain_is_not_looked_up_again() -> None:
    async with tls_world() as world:
        world.publish("enforce")
        router = world.router()
        first = await router.site_of("good.test")
        asked = world.dns.asked.total()
        assert await router.site_of("good.test") is first
        assert world.dns.asked.total() == asked
        assert len(world.web.requests) == 1


async def test_with_mta_sts_switched_off_nobody_asks() -> None:
    async with tls_world() as world:
        world.publish("enforce")
        router = world.router()
        router._policies = None
        assert (await router.site_of("good.test")).tls is TlsDemand.OPPORTUNISTIC
        assert world.web.requests == []
