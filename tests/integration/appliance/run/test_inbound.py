"""The inbound process as it runs: sockets, TLS files, control.db, and the owner of the shard."""

from __future__ import annotations

import smtplib
import ssl
from asyncio import to_thread
from typing import TYPE_CHECKING, Any

import pytest

from appliance.core.rpc import RpcClient
from appliance.core.secrets import MasterKeys
from appliance.run import inbound
from appliance.run.delivery import return_path_keys
from mta.bounce import return_path
from tests.support.inbound import dsn
from tests.support.process import (
    FakeMta,
    context_of,
    loopback,
    new_home,
    running,
    settings_of,
)
from tests.support.smtp_box import until

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.core.home import Home

DOMAIN = "bounces.box.example"


def deliver(port: int, to: str, content: bytes, sender: str = "") -> Any:
    """Over STARTTLS, with the standard library's client."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.starttls(context=context)
        return client.sendmail(sender, [to], content)


def token(home: Home, message_id: int, n: int = 0) -> str:
    keys = return_path_keys(MasterKeys.load(home.keys_file))
    return f"{return_path.encode(keys, message_id, n)}@{DOMAIN}"


async def test_a_bounce_becomes_an_event_of_the_shard_that_sent_the_message(
    tmp_path: Path,
) -> None:
    settings = settings_of()
    home = await new_home(tmp_path, settings)
    sock = loopback()
    port = sock.getsockname()[1]
    context = context_of("inbound", home, settings, {"inbound": sock})
    async with FakeMta().serving(home) as mta, running(inbound.main, context):
        message_id = mta.message("ann@example.net", "ben@example.net")
        await to_thread(deliver, port, token(home, message_id, 1), dsn("ben@example.net"))
        await until(lambda: mta.late)
        (told,) = mta.late
        assert (told["message_id"], told["n"], told["kind"]) == (message_id, 1, "bounced_late")
        assert told["data"]["to"] == "ben@example.net"
        assert told["data"]["hard"] is True
        await until(lambda: any(home.inbound("done").iterdir()))
        exposition = await _metrics(home)
        assert 'pillarbox_bounces_in_total{result="bounced"} 1.0' in exposition
        assert 'pillarbox_connections_in_total{listener="inbound"} 1.0' in exposition
        assert 'result="TLSv1.3"' in exposition


async def test_notices_that_lay_there_when_the_owner_was_away_are_read_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mta.bounce.apply.RETRY", 50)
    settings = settings_of()
    home = await new_home(tmp_path, settings)
    sock = loopback()
    port = sock.getsockname()[1]
    context = context_of("inbound", home, settings, {"inbound": sock})
    mta = FakeMta()
    message_id = mta.message("ann@example.net")
    async with running(inbound.main, context):
        await to_thread(deliver, port, token(home, message_id), dsn("ann@example.net"))
        assert list(home.inbound("new").iterdir())
    again = context_of("inbound", home, settings, {})
    async with running(inbound.main, again), mta.serving(home):
        await until(lambda: mta.late)
        assert len(mta.late) == 1


async def test_mail_to_postmaster_is_handed_to_the_queue(tmp_path: Path) -> None:
    settings = settings_of(box={"postmaster": "admin@example.org"})
    home = await new_home(tmp_path, settings)
    sock = loopback()
    port = sock.getsockname()[1]
    context = context_of("inbound", home, settings, {"inbound": sock})
    async with FakeMta().serving(home) as mta, running(inbound.main, context):
        letter = b"From: ann@example.net\r\nX-Pillarbox-Pool: mine\r\nSubject: help\r\n\r\nHi.\r\n"
        await to_thread(deliver, port, "postmaster@box.example", letter, "ann@example.net")
        await until(lambda: mta.submitted)
        (submitted,) = mta.submitted
        assert submitted["sender"] == ""
        assert submitted["recipients"] == [["admin@example.org", "", ""]]
        assert submitted["source"] == "notice"
        assert submitted["data"].endswith(b"From: ann@example.net\r\nSubject: help\r\n\r\nHi.\r\n")
        assert submitted["data"].startswith(b"X-Pillarbox-Idempotency-Key: notice ")


async def test_the_relay_of_a_stranger_is_refused_and_counted(tmp_path: Path) -> None:
    settings = settings_of()
    home = await new_home(tmp_path, settings)
    sock = loopback()
    port = sock.getsockname()[1]
    context = context_of("inbound", home, settings, {"inbound": sock})
    async with running(inbound.main, context):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            await to_thread(deliver, port, "ann@example.net", b"hi\r\n", "spam@example.com")
        code, text = refused.value.recipients["ann@example.net"]
        assert (code, text[:5]) == (550, b"5.7.1")
        assert "pillarbox_relay_refused_total 1.0" in await _metrics(home)


async def _metrics(home: Home) -> str:
    client = RpcClient(home.socket("inbound"))
    try:
        answer: bytes = await client.call("metrics", None, 5)
    finally:
        await client.close()
    return answer.decode()
