"""The TLS parts of an mta process, wired: counts reach the room, policies survive a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.core import clock
from appliance.core.dns import Resolver
from appliance.core.errors import StoreError
from appliance.core.metrics import Metrics, render
from appliance.core.settings import Delivery, Settings
from appliance.core.settings import TlsReports as Options
from appliance.run.tls_out import TlsOut
from appliance.tls_reports import Line, TlsReports
from mta.transport.base import ConnectFailed, TlsDemand
from mta.transport.route import router_for
from mta.transport.smarthost import transport_for
from mta.transport.tls_results import AppliedPolicy, PolicyType, TlsResult
from tests.support.delivery import EGRESS, dns_settings, envelope
from tests.support.tls_world import TlsWorld, tls_world

POLICY = AppliedPolicy(type=PolicyType.NONE, domain="good.test")


def wired(engine, path: Path, world: TlsWorld | None = None, **changes) -> TlsOut:
    dns = dns_settings(world.dns if world else "127.0.0.1:1")
    port = world.mx.port if world else 25
    delivery = Delivery(allow_private_addresses=True, remote_port=port)
    settings = Settings(dns=dns, delivery=delivery, **changes)
    out = TlsOut(settings, Resolver(dns), engine, path / "sts.db", Metrics())
    if world is not None and out.sts is not None:
        out.sts._client = world.policies()._client  # which knows the laboratory's authority
    return out


async def due_lines(engine) -> list[Line]:
    reports = TlsReports(engine)
    await reports.open(clock.now_ms() + clock.DAY)
    return [line for due in await reports.claim(10) for line in await reports.lines(due)]


async def test_what_the_connections_counted_reaches_the_room(engine, tmp_path) -> None:
    async with tls_world() as world:
        out = wired(engine, tmp_path, world)
        resolver = Resolver(dns_settings(world.dns))
        delivery = Delivery(allow_private_addresses=True, remote_port=world.mx.port)
        router = router_for(
            resolver,
            delivery,
            own_names=frozenset,
            bounce_domains=frozenset,
            inbound=("127.0.0.1", 25),
            results=out.results,
            sts=out.sts,
        )
        site = await router.site_of("good.test")
        connection = await transport_for(delivery, out.tools).open(EGRESS, site, domain="good.test")
        await connection.send(envelope())
        await connection.close()
        await out.share()
        assert await due_lines(engine) == [Line(TlsResult(policy=POLICY), 1)]
        told = render(out._metrics.registry).decode()
        assert 'pillarbox_tls_out_total{result="TLSv1.3"} 1.0' in told
        assert 'pillarbox_connections_out_total{result="opened"} 1.0' in told
        out.close()


async def test_a_policy_is_kept_to_after_a_restart(engine, tmp_path) -> None:
    async with tls_world() as world:
        world.publish("enforce")
        for _ in range(2):
            out = wired(engine, tmp_path, world)
            site = await world.router(out.sts).site_of("good.test")
            assert site.tls is TlsDemand.VERIFIED
            with pytest.raises(ConnectFailed, match="MTA-STS"):
                await transport_for(Delivery(), out.tools).open(EGRESS, site, domain="good.test")
            out.close()
        assert len(world.web.requests) == 1


async def test_mta_sts_can_be_switched_off(engine, tmp_path) -> None:
    settings = Settings(delivery=Delivery(mta_sts=False))
    resolver = Resolver(dns_settings("127.0.0.1:1"))
    out = TlsOut(settings, resolver, engine, tmp_path / "sts.db", Metrics())
    assert out.sts is None
    out.close()


async def test_counts_that_cannot_be_stored_are_kept(engine, tmp_path, monkeypatch) -> None:
    out = wired(engine, tmp_path)
    out.results.succeeded(POLICY)

    async def full(_tallies: object) -> None:
        raise StoreError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(out._reports, "add", full)
        with pytest.raises(StoreError):
            await out.share()
    await out.share()
    assert await due_lines(engine) == [Line(TlsResult(policy=POLICY), 1)]
    out.close()


async def test_with_reports_switched_off_counts_are_dropped(engine, tmp_path) -> None:
    out = wired(engine, tmp_path, tls_reports=Options(enabled=False))
    out.results.succeeded(POLICY)
    await out.share()
    assert out.results.drain() == []
    assert await due_lines(engine) == []
    out.close()
