"""MTA-19, MTA-20: which host is tried next, and how TLS is used where it is offered."""

from __future__ import annotations

import random
import socket
import ssl
from dataclasses import replace

import pytest

from appliance.lab.receiver import Receiver
from appliance.lab.script import Action, Point, Script, Starttls
from mta.transport.base import ConnectFailed, MxHost, Site
from mta.transport.direct import DirectTransport
from mta.transport.hosts import HostMemory
from mta.transport.route import INBOUND_KEY
from tests.support.delivery import (
    EGRESS,
    connected,
    delivery,
    envelope,
    only,
    site,
    transport,
    until,
)


def pair(port: int, *, first: str = "127.0.0.1", second: str = "127.0.0.2") -> Site:
    hosts = (
        MxHost(name="mx1.lab", preference=10, addresses=(first,)),
        MxHost(name="mx2.lab", preference=20, addresses=(second,)),
    )
    return Site(key="pair", hosts=hosts, port=port)


@pytest.mark.parametrize(
    "script",
    [
        Script(always={Point.GREETING: "554 5.7.1 not you"}),
        Script(always={Point.GREETING: "421 4.3.2 busy"}),
        Script(always={Point.GREETING: Action.DROP}),
        Script(always={Point.GREETING: Action.HANG}),
        Script(always={Point.EHLO: "421 4.3.2 busy"}),
        Script(always={Point.EHLO: Action.DROP}),
        Script(always={Point.EHLO: "502 no", Point.HELO: "502 no"}),
    ],
)
async def test_the_next_host_is_tried_when_one_fails(script: Script) -> None:
    async with Receiver(script) as bad, Receiver() as good:
        await good.stop()
        await good.start("127.0.0.2", bad.port)
        connection = await transport().open(EGRESS, pair(bad.port))
        attempt = await connection.send(envelope())
        assert (attempt.host, attempt.address) == ("mx2.lab", "127.0.0.2")
        assert only(attempt).reply.is_success
        # The trail tells of the first host too.
        assert [s.command.split(" ")[1] for s in attempt.steps if "CONNECT" in s.command] == [
            "mx1.lab",
            "mx2.lab",
        ]
        await connection.close()


async def test_the_next_host_is_tried_when_one_refuses_connections() -> None:
    async with Receiver() as good:
        connection = await transport().open(
            EGRESS, pair(good.port, first="127.0.0.9", second="127.0.0.1")
        )
        attempt = await connection.send(envelope())
        assert attempt.host == "mx2.lab"
        assert attempt.steps[0].reply == "(Connection refused)"
        await connection.close()


async def test_when_no_host_takes_a_connection_all_steps_are_told() -> None:
    with pytest.raises(ConnectFailed) as caught:
        await transport().open(EGRESS, pair(1))
    failed = caught.value
    assert (failed.reply.code, failed.reply.enhanced) == (451, "4.4.1")
    assert (failed.phase.value, failed.scope.value, failed.host) == ("connect", "host", "mx2.lab")
    assert [step.reply for step in failed.steps] == ["(Connection refused)"] * 2


async def test_one_host_that_refuses_for_good_never_outweighs_one_that_is_down() -> None:
    async with Receiver(Script(always={Point.GREETING: "554 5.7.1 never"})) as bad:
        with pytest.raises(ConnectFailed) as caught:
            await transport().open(EGRESS, pair(bad.port, first="127.0.0.9", second="127.0.0.1"))
        assert caught.value.reply.enhanced == "4.4.1"


async def test_a_connection_that_is_not_answered_is_given_up() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with pytest.raises(ConnectFailed) as caught:
            await transport(connect_timeout=0.2).open(EGRESS, site(port))
        for filler in fillers:
            filler.close()
    assert caught.value.phase.value in ("connect", "greeting")
    assert "in time" in caught.value.reply.text


async def test_hosts_that_just_failed_are_tried_last() -> None:
    now = [0.0]
    async with Receiver() as good:
        hosts = HostMemory(now=lambda: now[0])
        courier = DirectTransport(delivery(), hosts=hosts, dice=random.Random(1))
        place = pair(good.port, first="127.0.0.9", second="127.0.0.1")
        for expected in (["mx1.lab", "mx2.lab"], ["mx2.lab"]):
            connection = await courier.open(EGRESS, place)
            attempt = await connection.send(envelope())
            tried = [s.command.split(" ")[1] for s in attempt.steps if "CONNECT" in s.command]
            assert tried == expected
            await connection.close()
        now[0] = 61.0  # its time is over
        connection = await courier.open(EGRESS, place)
        attempt = await connection.send(envelope())
        assert attempt.steps[0].reply == "(Connection refused)"
        await connection.close()


async def test_the_egress_address_is_the_source_of_the_connection() -> None:
    async with Receiver() as mx:
        egress = replace(EGRESS, address="127.0.0.7")
        connection = await transport().open(egress, site(mx))
        (session,) = mx._live
        assert session._transport is not None
        assert session._transport.get_extra_info("peername")[0] == "127.0.0.7"
        await connection.close()


async def test_each_family_has_a_source_of_its_own() -> None:
    egress = replace(EGRESS, address="127.0.0.7", address6="::1", ipv6=True)
    for address, source in (("127.0.0.1", "127.0.0.7"), ("::1", "::1")):
        async with Receiver() as mx:
            await mx.stop()
            await mx.start(address, mx.port)
            place = Site(
                key="x",
                hosts=(MxHost(name="mx.lab", preference=0, addresses=(address,)),),
                port=mx.port,
            )
            connection = await transport().open(egress, place)
            (session,) = mx._live
            assert session._transport is not None
            assert session._transport.get_extra_info("peername")[0] == source
            await connection.close()


async def test_an_ipv6_source_the_machine_lacks_falls_back_to_ipv4() -> None:
    hosts = (MxHost(name="mx.lab", preference=0, addresses=("::1", "::1", "127.0.0.1")),)
    egress = replace(EGRESS, address="127.0.0.7", address6="2001:db8::7", ipv6=True)
    async with Receiver() as mx:
        place = Site(key="six", hosts=hosts, port=mx.port)
        connection = await transport().open(egress, place)
        attempt = await connection.send(envelope())
        assert attempt.address == "127.0.0.1"
        # The other IPv6 address was not tried: the fault is ours.
        assert sum("2001:db8::7" in step.reply for step in attempt.steps) == 1
        await connection.close()
        with pytest.raises(ConnectFailed) as caught:
            await transport().open(replace(egress, address=""), place)
        assert (caught.value.reply.enhanced, caught.value.scope.value) == ("4.3.5", "session")


async def test_an_egress_without_ipv4_reaches_no_ipv4_host_but_the_box_itself() -> None:
    egress = replace(EGRESS, address6="2001:db8::7", ipv6=True)
    async with Receiver() as mx:
        with pytest.raises(ConnectFailed) as caught:
            await transport().open(egress, site(mx))
        assert caught.value.reply.enhanced == "4.4.4"
        connection = await transport().open(egress, replace(site(mx), key=INBOUND_KEY))
        assert only(await connection.send(envelope())).reply.is_success
        await connection.close()


async def test_an_egress_address_the_machine_lacks_is_our_fault_and_no_hosts() -> None:
    async with Receiver() as mx:
        courier = transport()
        with pytest.raises(ConnectFailed) as caught:
            await courier.open(replace(EGRESS, address="198.51.100.7"), pair(mx.port))
        assert caught.value.reply.enhanced == "4.3.5"
        assert "cannot send from 198.51.100.7" in caught.value.reply.text
        assert caught.value.scope.value == "session"
        assert len(caught.value.steps) == 1
        connection = await courier.open(EGRESS, pair(mx.port))
        assert (await connection.send(envelope())).host == "mx1.lab"
        await connection.close()


async def test_ipv6_addresses_are_used_only_by_an_egress_that_has_ipv6() -> None:
    hosts = (MxHost(name="mx.lab", preference=0, addresses=("::1", "127.0.0.1")),)
    async with Receiver() as mx:
        place = Site(key="six", hosts=hosts, port=mx.port)
        connection = await transport().open(EGRESS, place)
        assert (await connection.send(envelope())).address == "127.0.0.1"
        await connection.close()
        await mx.stop()
        await mx.start("::1", mx.port)
        connection = await transport().open(replace(EGRESS, ipv6=True), place)
        assert (await connection.send(envelope())).address == "::1"
        await connection.close()
        with pytest.raises(ConnectFailed) as caught:
            await transport().open(
                EGRESS, replace(place, hosts=(replace(hosts[0], addresses=("::1",)),))
            )
        assert caught.value.reply.enhanced == "4.4.4"


async def test_starttls_is_used_where_it_is_offered() -> None:
    async with connected(Script(starttls=Starttls.GOOD)) as (connection, mx):
        attempt = await connection.send(envelope())
        assert only(attempt).reply.is_success
        assert attempt.tls.startswith("TLSv1.3 TLS_")
        assert mx.messages[0].is_tls
        commands = [step.command.split(" ")[0] for step in attempt.steps]
        assert commands[:5] == ["CONNECT", "EHLO", "STARTTLS", "TLS", "EHLO"]


async def test_tls_below_1_2_is_not_spoken() -> None:
    async with Receiver(Script(starttls=Starttls.GOOD)) as mx:
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            mx.context.minimum_version = ssl.TLSVersion.TLSv1_1
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            mx.context.maximum_version = ssl.TLSVersion.TLSv1_1
        connection = await transport().open(EGRESS, site(mx))
        attempt = await connection.send(envelope())
        assert attempt.tls == ""  # opportunistic: in the clear rather than not at all
        await connection.close()


async def test_starttls_can_be_switched_off() -> None:
    async with connected(Script(starttls=Starttls.GOOD), starttls=False) as (connection, mx):
        assert (await connection.send(envelope())).tls == ""
        assert not mx.messages[0].is_tls


@pytest.mark.parametrize("broken", [Starttls.BROKEN, Starttls.DROPPED])
async def test_when_the_handshake_fails_the_message_goes_in_the_clear(broken: Starttls) -> None:
    async with connected(Script(starttls=broken)) as (connection, mx):
        attempt = await connection.send(envelope())
        assert only(attempt).reply.is_success
        assert attempt.tls == ""
        assert mx.sessions == 2  # a new connection to the same host
        connects = [s.command for s in attempt.steps if s.command.startswith("CONNECT mx1.lab")]
        assert len(connects) == 2


async def test_a_refused_starttls_goes_on_in_the_clear_on_the_same_connection() -> None:
    async with connected(Script(starttls=Starttls.REFUSED)) as (connection, mx):
        attempt = await connection.send(envelope())
        assert only(attempt).reply.is_success
        assert mx.sessions == 1
        assert "454 4.7.0 TLS not available" in [step.reply for step in attempt.steps]


async def test_what_is_injected_behind_the_answer_to_starttls_is_not_believed() -> None:
    async with connected(Script(starttls=Starttls.INJECTED)) as (connection, mx):
        attempt = await connection.send(envelope())
        assert only(attempt).reply.is_success  # the injected SIZE 1 would have refused it
        assert attempt.tls.startswith("TLSv1.3")
        assert mx.messages[0].is_tls


async def test_large_messages_go_through_tls() -> None:
    content = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 50_000
    limits = {"dot_timeout": 5, "data_timeout": 5, "session_timeout": 9}
    async with connected(Script(starttls=Starttls.GOOD), **limits) as (connection, mx):
        assert only(await connection.send(envelope(content=(content,)))).reply.is_success
        assert mx.messages[0].data == content


async def test_a_tls_connection_that_the_receiver_closes_is_unusable_at_once() -> None:
    async with connected(Script(starttls=Starttls.GOOD)) as (connection, mx):
        await connection.send(envelope())
        mx.hang_up()
        await until(lambda: not connection.usable)


async def test_closing_leaves_nothing_open() -> None:
    async with Receiver(Script(starttls=Starttls.GOOD)) as mx:
        connection = await transport().open(EGRESS, site(mx))
        await connection.send(envelope())
        await connection.close()
        await until(lambda: mx.open_sessions == 0)
        assert mx.commands[-1][1] == "QUIT"
        assert not connection.usable
