"""MTA-20: TLS where nobody publishes a policy: broken TLS is remembered, shaping may demand more."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from appliance.lab.receiver import Receiver
from appliance.lab.script import Action, Point, Script, Starttls
from mta.shaping.model import TlsNeed
from mta.transport.base import ConnectFailed
from mta.transport.tls_context import PRIVATE, peer_chain
from tests.support.authority import known_root, root
from tests.support.delivery import EGRESS, connected, envelope, only, site, transport
from tests.support.tls_world import limits, tls_world

HOST = "mx.good.test"


@pytest.mark.parametrize("broken", [Starttls.BROKEN, Starttls.DROPPED])
async def test_broken_tls_is_remembered_and_goes_in_the_clear_at_once(broken: Starttls) -> None:
    async with tls_world(starttls=broken) as world:
        assert only(await world.send()).reply.is_success
        assert world.mx.sessions == 2
        attempt = await world.send()
        assert (attempt.tls, world.mx.sessions) == ("", 3)
        assert "STARTTLS" not in [step.command for step in attempt.steps]
        # One failure was seen; a session that did not try TLS is none.
        assert world.counted() == [("no-policy-found", "good.test", "validation-failure", 1)]


async def test_a_host_that_takes_nothing_in_the_clear_either_has_no_broken_tls() -> None:
    async with tls_world(starttls=Starttls.DROPPED) as world:
        world.mx.script.once = {Point.GREETING: ["220 hello", Action.DROP]}
        with pytest.raises(ConnectFailed):
            await world.send()
        world.mx.script.starttls = Starttls.GOOD
        assert (await world.send()).tls.startswith("TLSv1.3")


async def test_a_rule_of_shaping_can_put_a_host_into_the_clear() -> None:
    async with tls_world() as world:
        world.memory.avoid(HOST, 60)
        assert (await world.send()).tls == ""
        world.memory.worked(HOST)
        assert (await world.send()).tls.startswith("TLSv1.3")


async def test_a_connection_with_tls_is_not_kept_where_a_rule_says_to_go_without() -> None:
    async with tls_world() as world:
        place = await world.router().site_of("good.test")
        connection = await world.transport().open(EGRESS, place, domain="good.test")
        assert only(await connection.send(envelope())).reply.is_success
        assert connection.usable
        world.memory.avoid(HOST, 60)
        assert not connection.usable
        await connection.close()


async def test_a_connection_whose_tls_is_demanded_is_kept_whatever_a_rule_says() -> None:
    async with tls_world(known_root().issue(HOST)) as world:
        world.publish("enforce")
        place = await world.router().site_of("good.test")
        connection = await world.transport().open(EGRESS, place, domain="good.test")
        world.memory.avoid(HOST, 60)
        assert connection.usable
        await connection.close()


async def test_a_host_that_offers_no_starttls_is_counted() -> None:
    async with tls_world(starttls=Starttls.NONE) as world:
        assert (await world.send()).tls == ""
        (tally,) = world.results.drain()
        result = tally.result
        assert (result.failure, result.host, result.address, result.source) == (
            "starttls-not-supported",
            HOST,
            "127.0.0.1",
            "127.0.0.1",
        )


async def test_one_connection_is_one_count_however_many_messages_it_carries() -> None:
    async with tls_world() as world:
        place = await world.router().site_of("good.test")
        connection = await world.transport().open(EGRESS, place, domain="good.test")
        for _ in range(3):
            assert only(await connection.send(envelope())).reply.is_success
        await connection.close()
        assert world.counted() == [("no-policy-found", "good.test", "", 1)]


async def test_a_host_that_cannot_be_reached_says_nothing_of_tls() -> None:
    async with tls_world() as world:
        place = await world.router().site_of("good.test")
        await world.mx.stop()
        with pytest.raises(ConnectFailed):
            await world.send(place)
        assert world.counted() == []


@pytest.mark.parametrize("starttls", [Starttls.NONE, Starttls.BROKEN, Starttls.REFUSED])
async def test_where_shaping_requires_tls_nothing_goes_in_the_clear(starttls: Starttls) -> None:
    async with tls_world(starttls=starttls) as world:
        world.memory.avoid(HOST, 60)  # what is demanded is not given up
        with pytest.raises(ConnectFailed) as caught:
            await world.send(need=limits(tls=TlsNeed.REQUIRED))
        assert "shaping demands it of this provider" in caught.value.reply.text
        assert world.mx.messages == []


async def test_required_tls_takes_any_certificate_and_verified_a_valid_one() -> None:
    async with tls_world() as world:
        assert (await world.send(need=limits(tls=TlsNeed.REQUIRED))).tls.endswith("(unverified)")
        with pytest.raises(ConnectFailed) as caught:
            await world.send(need=limits(tls=TlsNeed.VERIFIED))
        assert "is not valid: self-signed certificate" in caught.value.reply.text
    async with tls_world(known_root().issue(HOST)) as world:
        assert (await world.send(need=limits(tls=TlsNeed.VERIFIED))).tls.endswith(" (verified)")


async def test_shaping_can_switch_tls_off() -> None:
    async with tls_world() as world:
        assert (await world.send(need=limits(tls=TlsNeed.NONE))).tls == ""
        assert "STARTTLS" not in [line for _, line in world.mx.commands]


async def test_limits_bring_their_own_time_outs_and_messages() -> None:
    async with Receiver(Script(delays={Point.EHLO: 0.6})) as mx:
        with pytest.raises(ConnectFailed):
            await transport().open(EGRESS, site(mx))
        patient = limits(command_timeout=20.0, messages_per_connection=1)
        connection = await transport().open(EGRESS, site(mx), limits=patient)
        assert only(await connection.send(envelope())).reply.is_success
        assert not connection.usable
        await connection.close()


async def test_the_attempt_tells_that_nobody_judged_the_certificate() -> None:
    async with connected(Script(starttls=Starttls.GOOD)) as (connection, _):
        attempt = await connection.send(envelope())
        assert attempt.tls.endswith(" (unverified)")
        told = [step.reply for step in attempt.steps if step.command == "TLS"]
        assert told == [attempt.tls]


async def test_the_chain_of_the_other_side_is_read_from_a_private_name_of_ssl() -> None:
    assert PRIVATE == ("SSLObject._sslobj.get_unverified_chain",)
    signed = root().issue("middle", is_authority=True, sends_root=True).issue(HOST)
    seen: list[bytes] = []

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(look, "127.0.0.1", 0, ssl=signed.context())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    seen = peer_chain(writer.get_extra_info("ssl_object"))
    writer.close()
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0)
    assert seen == signed.chain
    assert len(seen) == 3
