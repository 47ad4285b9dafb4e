"""MTA-21: one next hop, with TLS and a login; its faults are never a message's."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.core.settings import Smarthost
from appliance.lab.certificate import trusting_context
from appliance.lab.receiver import Receiver
from appliance.lab.script import Action, Point, Script, Starttls
from mta.transport.base import ConnectFailed, Connection, MxHost, Site
from mta.transport.smarthost import BySite, SmarthostTransport, transport_for
from mta.transport.tls_policy import TlsTools
from tests.support.delivery import EGRESS, delivery, envelope, only, site, transport

LOGIN = ("box", "s3cret")


async def opened(mx: Receiver, *, trusted: bool = True, **changes: Any) -> Connection:
    smarthost = Smarthost(host="mx.lab", port=mx.port, **changes)
    context = trusting_context(mx.certificate) if trusted and mx.certificate else None
    courier = SmarthostTransport(delivery(smarthost=smarthost), context=context)
    hosts = (MxHost(name="mx.lab", preference=0, addresses=("127.0.0.1",)),)
    return await courier.open(EGRESS, Site(key="s", hosts=hosts, port=mx.port, is_smarthost=True))


async def test_a_login_over_starttls_with_a_valid_certificate() -> None:
    async with Receiver(Script(starttls=Starttls.GOOD, login=LOGIN)) as mx:
        connection = await opened(mx, tls="required", username="box", password="s3cret")
        attempt = await connection.send(envelope())
        assert only(attempt).reply.is_success
        assert attempt.tls.startswith("TLSv1.3")
        said = [step.command for step in attempt.steps]
        assert "AUTH PLAIN ***" in said
        assert "s3cret" not in repr(attempt)
        await connection.close()


async def test_implicit_tls() -> None:
    async with Receiver(Script(implicit_tls=True, login=LOGIN)) as mx:
        connection = await opened(mx, tls="implicit", username="box", password="s3cret")
        attempt = await connection.send(envelope())
        assert only(attempt).reply.is_success
        assert attempt.tls.startswith("TLSv1.3")
        await connection.close()


@pytest.mark.parametrize(
    ("script", "tls"),
    [
        (Script(starttls=Starttls.GOOD), "required"),
        (Script(implicit_tls=True), "implicit"),
    ],
)
async def test_a_certificate_nobody_vouches_for_is_refused(script: Script, tls: str) -> None:
    async with Receiver(script) as mx:
        with pytest.raises(ConnectFailed) as caught:
            await opened(mx, trusted=False, tls=tls)
        assert caught.value.reply.enhanced == "4.7.5"
        assert "is not valid: self-signed certificate" in caught.value.reply.text
        assert caught.value.phase.value == "starttls"
        assert mx.messages == []


async def test_a_certificate_for_another_name_is_refused() -> None:
    async with Receiver(Script(starttls=Starttls.GOOD, name="other.lab")) as mx:
        with pytest.raises(ConnectFailed) as caught:
            await opened(mx, tls="required")
        assert caught.value.reply.enhanced == "4.7.5"


@pytest.mark.parametrize(
    "starttls", [Starttls.NONE, Starttls.REFUSED, Starttls.BROKEN, Starttls.DROPPED]
)
async def test_required_tls_never_falls_back_to_the_clear(starttls: Starttls) -> None:
    async with Receiver(Script(starttls=starttls)) as mx:
        with pytest.raises(ConnectFailed) as caught:
            await opened(mx, tls="required")
        assert caught.value.reply.is_transient
        assert mx.sessions == 1
        assert not any(line.startswith("MAIL") for _, line in mx.commands)


async def test_a_wrong_password_is_temporary_and_tried_once() -> None:
    async with Receiver(Script(starttls=Starttls.GOOD, login=LOGIN)) as mx:
        with pytest.raises(ConnectFailed) as caught:
            await opened(mx, tls="required", username="box", password="wrong")
        failed = caught.value
        assert (failed.reply.code, failed.reply.enhanced) == (451, "4.7.8")
        assert "535 5.7.8 wrong login" in failed.reply.text
        assert failed.phase.value == "auth"
        assert len([line for _, line in mx.commands if line.startswith("AUTH")]) == 1


async def test_a_password_does_not_cross_the_line_in_the_clear() -> None:
    async with Receiver(Script(login=LOGIN)) as mx:
        with pytest.raises(ConnectFailed) as caught:
            await opened(mx, tls="opportunistic", username="box", password="s3cret")
        assert "without TLS" in caught.value.reply.text
        assert not any("AUTH" in line for _, line in mx.commands)
        connection = await opened(mx, tls="none", username="box", password="s3cret")
        assert only(await connection.send(envelope())).reply.is_success
        await connection.close()


@pytest.mark.parametrize("say", ["554 5.7.1 never", Action.DROP])
async def test_a_smarthost_that_refuses_us_bounces_nothing(say: str | Action) -> None:
    async with Receiver(Script(always={Point.GREETING: say})) as mx:
        with pytest.raises(ConnectFailed) as caught:
            await opened(mx, tls="none")
        assert caught.value.reply.is_transient


async def test_the_site_chooses_the_transport() -> None:
    assert type(transport_for(delivery())) is type(transport())
    courier = transport_for(delivery(smarthost=Smarthost(host="mx.lab", tls="none")))
    assert isinstance(courier, BySite)
    async with Receiver() as mx:
        connection = await courier.open(EGRESS, site(mx))  # the box's own inbound, for one
        assert only(await connection.send(envelope())).reply.is_success
        await connection.close()


async def test_each_connection_to_the_smarthost_is_told_of() -> None:
    seen: list[tuple[str, str]] = []
    async with Receiver(Script(starttls=Starttls.GOOD)) as mx:
        smarthost = Smarthost(host="mx.lab", port=mx.port, tls="opportunistic")
        tools = TlsTools(seen=lambda connection, tls: seen.append((connection, tls)))
        courier = transport_for(delivery(smarthost=smarthost), tools)
        hosts = (MxHost(name="mx.lab", preference=0, addresses=("127.0.0.1",)),)
        relay = Site(key="s", hosts=hosts, port=mx.port, is_smarthost=True)
        await (await courier.open(EGRESS, relay)).close()
        await mx.stop()
        with pytest.raises(ConnectFailed):
            await courier.open(EGRESS, relay)
    assert seen == [("opened", "TLSv1.3"), ("failed", "")]
