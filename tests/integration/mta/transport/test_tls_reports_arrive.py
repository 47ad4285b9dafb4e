"""RFC 8460 section 3: a report on TLS is delivered despite any failure of TLS, and counts for no other."""

from __future__ import annotations

import pytest

from appliance.lab.script import Starttls
from mta.transport.base import ConnectFailed, RouteError, Site
from mta.transport.route import REPORT_TO, WithReports
from tests.support.authority import known_root, root
from tests.support.delivery import EGRESS, envelope, only
from tests.support.tls_world import TlsWorld, tls_world

HOST = "mx.good.test"


async def site_of(world: TlsWorld, name: str) -> Site:
    secured = world.router()
    return await WithReports(secured, secured._inner).site_of(name)


async def delivered(world: TlsWorld) -> str:
    """How the connection of a report was secured."""
    site = await site_of(world, REPORT_TO + "good.test")
    connection = await world.transport().open(EGRESS, site, domain="good.test")
    try:
        attempt = await connection.send(envelope("tls@good.test"))
    finally:
        await connection.close()
    assert only(attempt).reply.is_success
    assert world.counted() == []
    return attempt.tls


async def test_a_broken_certificate_under_enforce_keeps_mail_back_but_no_report() -> None:
    async with tls_world(known_root().issue("mx.other.test")) as world:
        world.publish("enforce")
        with pytest.raises(ConnectFailed):
            await world.send(await site_of(world, "good.test"))
        world.results.drain()
        assert (await delivered(world)).endswith(" (unverified)")


async def test_a_policy_that_names_no_host_keeps_mail_back_but_no_report() -> None:
    async with tls_world() as world:
        world.publish("enforce", mx="mail.elsewhere.test")
        with pytest.raises(RouteError):
            await site_of(world, "good.test")
        world.results.drain()
        assert (await delivered(world)).endswith(" (unverified)")


async def test_records_that_nothing_matches_keep_mail_back_but_no_report() -> None:
    async with tls_world() as world:
        world.publish_tlsa(root().tlsa(3))
        with pytest.raises(ConnectFailed):
            await world.send(await site_of(world, "good.test"))
        world.results.drain()
        assert (await delivered(world)).endswith(" (unverified)")


@pytest.mark.parametrize("starttls", [Starttls.NONE, Starttls.BROKEN, Starttls.DROPPED])
async def test_where_there_is_no_tls_a_report_goes_in_the_clear(starttls: Starttls) -> None:
    async with tls_world(starttls=starttls) as world:
        world.publish("enforce")
        assert await delivered(world) == ""


async def test_reports_have_connections_of_their_own() -> None:
    async with tls_world() as world:
        world.publish("enforce")
        mail = await site_of(world, "good.test")
        report = await site_of(world, REPORT_TO + "good.test")
        assert report.key != mail.key
        assert report.hosts_key == mail.hosts_key
        assert report.policy == ""
        assert mail.policy == "MTA-STS"
