"""The resolver against a real DNS server that misbehaves on request."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core.dns import (
    FAILURE_TTL,
    DnsTemporaryError,
    MxRecord,
    NoRecordError,
    NoSuchNameError,
    Resolver,
    TlsaRecord,
    nameserver,
)
from appliance.core.errors import ConfigError
from appliance.core.settings import Dns
from appliance.lab.dns_server import Fault, LabDns
from tests.support.delivery import dns_settings
from tests.support.fake_clock import FakeClock

ZONE = {
    "good.test": {
        "MX": ["20 mx2.good.test.", "10 MX1.Good.Test."],
        "TXT": ["v=spf1 -all", "a" * 300],
    },
    "mx1.good.test": {"A": ["192.0.2.1", "192.0.2.2"], "AAAA": ["2001:db8::1"]},
    "null.test": {"MX": ["0 ."]},
    "alias.test": {"CNAME": ["alias2.test."]},
    "alias2.test": {"CNAME": ["good.test."]},
    "loop1.test": {"CNAME": ["loop2.test."]},
    "loop2.test": {"CNAME": ["loop1.test."]},
    "far.test": {"CNAME": ["gone.test."]},
    "1.2.0.192.in-addr.arpa": {"PTR": ["mx1.good.test."]},
    "many.test": {"A": [f"10.0.{n // 250}.{n % 250}" for n in range(400)]},
}


async def test_records_come_as_values() -> None:
    async with LabDns(ZONE) as server:
        resolver = Resolver(dns_settings(server))
        mx = await resolver.mx("Good.Test.")
        assert set(mx.records) == {MxRecord(20, "mx2.good.test"), MxRecord(10, "mx1.good.test")}
        found = await resolver.addresses("mx1.good.test", ipv6=False)
        assert set(found.values) == {"192.0.2.1", "192.0.2.2"}
        assert (await resolver.addresses("mx1.good.test", ipv6=True)).values == ("2001:db8::1",)
        assert set((await resolver.txt("good.test")).values) == {"v=spf1 -all", "a" * 300}
        assert (await resolver.cname("alias.test")).values == ("alias2.test",)
        assert (await resolver.ptr("192.0.2.1")).values == ("mx1.good.test",)
        assert (await resolver.mx("null.test")).records == (MxRecord(0, ""),)


async def test_aliases_are_followed() -> None:
    async with LabDns(ZONE) as server:
        resolver = Resolver(dns_settings(server))
        assert len((await resolver.mx("alias.test")).records) == 2
        with pytest.raises(NoSuchNameError):
            await resolver.mx("far.test")


async def test_after_the_clock_has_stepped_back_everything_is_asked_anew() -> None:
    """An hour ahead for a moment: a failure of then was believed for that hour."""
    clock = FakeClock()
    async with LabDns(ZONE, faults={"good.test": Fault.SERVFAIL}) as server:
        resolver = Resolver(dns_settings(server), now=clock)
        with pytest.raises(DnsTemporaryError):
            await resolver.mx("good.test")
        clock.advance(-3600)
        server.faults.clear()
        assert len((await resolver.mx("good.test")).records) == 2


async def test_a_name_that_does_not_exist_and_a_name_without_records_differ() -> None:
    async with LabDns(ZONE) as server:
        resolver = Resolver(dns_settings(server))
        with pytest.raises(NoSuchNameError, match=r"nowhere\.test does not exist"):
            await resolver.mx("nowhere.test")
        with pytest.raises(NoRecordError, match=r"mx1\.good\.test has no MX record"):
            await resolver.mx("mx1.good.test")


@pytest.mark.parametrize("fault", [Fault.SERVFAIL, Fault.REFUSED, Fault.SILENCE, Fault.GARBAGE])
async def test_who_cannot_say_is_a_temporary_failure(fault: Fault) -> None:
    async with LabDns(ZONE, faults={"good.test": fault}) as server:
        resolver = Resolver(dns_settings(server, timeout=0.3))
        started = asyncio.get_running_loop().time()
        with pytest.raises(DnsTemporaryError, match=r"could not answer MX good\.test"):
            await resolver.mx("good.test")
        assert (
            asyncio.get_running_loop().time() - started < 4.0
        )  # not the minutes of a resolver that goes on


async def test_endless_aliases_are_a_temporary_failure() -> None:
    async with LabDns(ZONE) as server:
        with pytest.raises(DnsTemporaryError):
            await Resolver(dns_settings(server)).mx("loop1.test")


async def test_a_server_that_does_not_listen_is_a_temporary_failure() -> None:
    async with LabDns(ZONE) as server:
        address = server.address
    with pytest.raises(DnsTemporaryError):
        await Resolver(dns_settings(address, timeout=0.3)).mx("good.test")


async def test_a_second_server_is_asked_when_the_first_fails() -> None:
    async with LabDns(ZONE, faults={"good.test": Fault.SERVFAIL}) as bad, LabDns(ZONE) as good:
        settings = Dns(nameservers=(bad.address, good.address))
        assert len((await Resolver(settings).mx("good.test")).records) == 2


@pytest.mark.parametrize("name", ["many.test", "good.test"])
async def test_what_is_too_large_for_udp_comes_over_tcp(name: str) -> None:
    faults = {"good.test": Fault.TRUNCATE}
    async with LabDns({**ZONE, "good.test": {"A": ["192.0.2.9"]}}, faults=faults) as server:
        answer = await Resolver(dns_settings(server)).addresses(name, ipv6=False)
        assert len(answer.values) == len(server.zone[name]["A"])
        assert server.asked[name, "A"] == 2


async def test_an_answer_is_asked_again_only_after_its_ttl() -> None:
    clock = FakeClock()
    async with LabDns(ZONE, ttl=300) as server:
        resolver = Resolver(dns_settings(server), now=clock)
        first = await resolver.mx("good.test")
        assert first.expires_at == clock.now + 300_000
        clock.advance(299)
        assert await resolver.mx("good.test") == first
        assert server.asked["good.test", "MX"] == 1
        clock.advance(1)
        await resolver.mx("good.test")
        assert server.asked["good.test", "MX"] == 2


@pytest.mark.parametrize(("ttl", "kept"), [(1, 30), (86_400, 3600)])
async def test_the_ttl_is_bounded_by_the_settings(ttl: int, kept: int) -> None:
    clock = FakeClock()
    async with LabDns(ZONE, ttl=ttl) as server:
        resolver = Resolver(dns_settings(server, min_ttl=30, max_ttl=3600), now=clock)
        assert (await resolver.mx("good.test")).expires_at == clock.now + kept * 1000


@pytest.mark.parametrize(
    ("name", "error"), [("nowhere.test", NoSuchNameError), ("mx1.good.test", NoRecordError)]
)
async def test_an_absence_is_kept_as_long_as_the_zone_says(
    name: str, error: type[Exception]
) -> None:
    clock = FakeClock()
    async with LabDns(ZONE, negative_ttl=60) as server:
        resolver = Resolver(dns_settings(server), now=clock)
        for seconds, asked in ((0, 1), (59, 1), (1, 2)):
            clock.advance(seconds)
            with pytest.raises(error):
                await resolver.mx(name)
            assert server.asked[name, "MX"] == asked


async def test_a_failure_is_not_asked_again_for_a_moment() -> None:
    clock = FakeClock()
    async with LabDns(ZONE, faults={"good.test": Fault.SERVFAIL}) as server:
        resolver = Resolver(dns_settings(server), now=clock)
        for _ in range(3):
            with pytest.raises(DnsTemporaryError):
                await resolver.mx("good.test")
        assert server.asked["good.test", "MX"] == 1
        server.faults.clear()
        clock.advance(FAILURE_TTL)
        assert len((await resolver.mx("good.test")).records) == 2


async def test_all_who_ask_at_once_share_one_query() -> None:
    async with LabDns(ZONE) as server:
        resolver = Resolver(dns_settings(server))
        answers = await asyncio.gather(*(resolver.mx("good.test") for _ in range(50)))
        assert len(set(answers)) == 1
        assert server.asked["good.test", "MX"] == 1


async def test_who_stops_waiting_does_not_stop_the_query_for_others() -> None:
    async with LabDns(ZONE) as server:
        resolver = Resolver(dns_settings(server))
        impatient = asyncio.ensure_future(resolver.mx("good.test"))
        patient = asyncio.ensure_future(resolver.mx("good.test"))
        await asyncio.sleep(0)
        impatient.cancel()
        assert len((await patient).records) == 2
        assert impatient.cancelled()


async def test_the_cache_is_bounded_and_drops_what_was_not_used_longest() -> None:
    zone = {"*.test": {"A": ["192.0.2.1"]}}
    async with LabDns(zone) as server:
        resolver = Resolver(dns_settings(server), max_entries=3)
        for name in ("a.test", "b.test", "c.test", "a.test", "d.test", "a.test", "b.test"):
            await resolver.addresses(name, ipv6=False)
        assert server.asked == {
            ("a.test", "A"): 1,
            ("b.test", "A"): 2,
            ("c.test", "A"): 1,
            ("d.test", "A"): 1,
        }


@pytest.mark.parametrize("name", ["a..test", "x" * 64 + ".test", "a." * 130 + "test"])
async def test_what_is_no_name_does_not_exist(name: str) -> None:
    async with LabDns(ZONE) as server:
        with pytest.raises(NoSuchNameError):
            await Resolver(dns_settings(server)).mx(name)
        assert not server.asked


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("192.0.2.53", "192.0.2.53", 53),
        ("127.0.0.1:5353", "127.0.0.1", 5353),
        ("2001:db8::53", "2001:db8::53", 53),
        ("[2001:db8::53]:5353", "2001:db8::53", 5353),
    ],
)
def test_name_servers_are_written_with_or_without_port(text: str, address: str, port: int) -> None:
    server = nameserver(text)
    assert (server.address, server.port) == (address, port)


@pytest.mark.parametrize("text", ["dns.example", "127.0.0.1:x", "", "1.2.3", "[::1"])
def test_a_name_server_that_is_no_address_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigError, match=r"dns\.nameservers"):
        nameserver(text)


SIGNED = {
    "signed.test": {"MX": ["10 mx.signed.test."], "A": ["192.0.2.1"]},
    "_25._tcp.mx.signed.test": {"TLSA": [f"3 1 1 {'ab' * 32}", "2 0 0 3003020101"]},
    "here.signed.test": {"CNAME": ["there.plain.test."]},
    "inside.signed.test": {"CNAME": ["signed.test."]},
    "there.plain.test": {"A": ["192.0.2.2"]},
}


async def test_tlsa_records_come_as_values() -> None:
    async with LabDns(SIGNED, signed=["signed.test"]) as server:
        found = await Resolver(dns_settings(server)).tlsa("_25._tcp.mx.signed.test")
        assert found.is_secure
        assert set(found.records) == {
            TlsaRecord(3, 1, 1, b"\xab" * 32),
            TlsaRecord(2, 0, 0, bytes.fromhex("3003020101")),
        }


async def test_an_answer_is_secure_when_every_part_of_it_is() -> None:
    async with LabDns(SIGNED, signed=["signed.test"]) as server:
        resolver = Resolver(dns_settings(server))
        assert (await resolver.mx("signed.test")).is_secure
        assert (await resolver.addresses("inside.signed.test", ipv6=False)).is_secure
        assert not (await resolver.addresses("here.signed.test", ipv6=False)).is_secure
        assert not (await resolver.addresses("there.plain.test", ipv6=False)).is_secure
        with pytest.raises(NoRecordError) as absent:
            await resolver.txt("signed.test")
        assert absent.value.is_secure
        assert (await resolver.mx("signed.test")).is_secure  # from the cache, too


async def test_a_name_server_elsewhere_is_believed_only_when_it_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("appliance.core.dns._is_loopback", lambda _: False)
    async with LabDns(SIGNED, signed=["signed.test"]) as server:
        for trusted, expected in (((), False), (("192.0.2.53",), False), (("127.0.0.1",), True)):
            resolver = Resolver(dns_settings(server, trusted=trusted))
            assert (await resolver.mx("signed.test")).is_secure is expected


async def test_the_servers_that_are_asked_are_told_and_whether_one_is_believed() -> None:
    settings = Dns(
        nameservers=("192.0.2.53:5353", "[2001:db8:0::53]:53"), trusted=("2001:DB8::53",)
    )
    resolver = Resolver(settings)
    assert resolver.servers == ("192.0.2.53", "2001:db8::53")
    assert [resolver.believes(server) for server in resolver.servers] == [False, True]
    assert resolver.believes("127.0.0.53")


async def test_each_question_to_a_server_is_counted_once_by_what_came_of_it() -> None:
    heard: list[str] = []
    async with LabDns(ZONE) as server:
        resolver = Resolver(dns_settings(server), count=heard.append)
        await resolver.mx("good.test")
        await resolver.mx("good.test")  # from the cache
        with pytest.raises(NoSuchNameError):
            await resolver.mx("gone.test")
    assert heard == ["found", "no name"]
