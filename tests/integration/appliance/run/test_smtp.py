"""The submission listeners as an mta process wires them, from settings, keys and sockets."""

from __future__ import annotations

import smtplib
import ssl
from asyncio import to_thread
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from appliance.core.metrics import Metrics, render
from appliance.core.secrets import MasterKeys
from appliance.run.smtp import submission_listeners
from mta.submission.listener import drain
from tests.support.process import context_of, loopback, new_home, settings_of
from tests.support.smtp_box import Memo, credential, directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appliance.run.smtp import SubmissionSmtp

LETTER = b"From: a@shop.example\r\nSubject: hi\r\n\r\nhello\r\n"


class Started:
    """The listeners, with what they were wired to."""

    def __init__(self, smtp: SubmissionSmtp, metrics: Metrics, intake: Memo, ports: Any) -> None:
        self.smtp, self.intake = smtp, intake
        self.ports: dict[str, int] = ports
        self._metrics = metrics

    @property
    def exposition(self) -> str:
        return render(self._metrics.registry).decode()


@asynccontextmanager
async def started(tmp_path: Path, *names: str, **sections: Any) -> AsyncIterator[Started]:
    settings = settings_of(**sections)
    home = await new_home(tmp_path, settings)
    keys = MasterKeys.load(home.keys_file)
    sockets = {name: loopback() for name in names}
    ports = {name: sock.getsockname()[1] for name, sock in sockets.items()}
    known = directory(credential(secret_hash=keys.credential_hash("correct horse")))
    intake, metrics = Memo(), Metrics()
    context = context_of("mta-0", home, settings, sockets)
    smtp = submission_listeners(context, lambda: known, keys, intake, metrics)
    await smtp.start()
    try:
        yield Started(smtp, metrics, intake, ports)
    finally:
        await drain(smtp.listeners, smtp.sessions, 1)
        smtp.sessions.stop_clock()


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def send(port: int, password: str, *, implicit: bool = False) -> None:
    if implicit:
        client = smtplib.SMTP_SSL("127.0.0.1", port, timeout=10, context=trusting())
    else:
        client = smtplib.SMTP("127.0.0.1", port, timeout=60)
        client.starttls(context=trusting())
    with client:
        client.login("shop", password)
        client.sendmail("a@shop.example", ["b@example.net"], LETTER)


async def test_both_listeners_take_a_message_with_the_certificate_of_init(tmp_path: Path) -> None:
    async with started(tmp_path, "submission", "submissions") as box:
        await to_thread(send, box.ports["submission"], "correct horse")
        await to_thread(send, box.ports["submissions"], "correct horse", implicit=True)
        assert [taken.data for taken in box.intake.taken] == [LETTER, LETTER]
        assert set(box.smtp.uses.drain()) == {3}
        text = box.exposition
        assert 'pillarbox_connections_in_total{listener="submission"} 1.0' in text
        assert 'pillarbox_connections_in_total{listener="submissions"} 1.0' in text
        assert 'pillarbox_tls_in_total{result="TLSv1.3"} 2.0' in text


async def test_a_wrong_password_is_counted_for_all_processes(tmp_path: Path) -> None:
    async with started(tmp_path, "submission", submission={"login_delay": 0.0}) as box:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            await to_thread(send, box.ports["submission"], "wrong")
        # smtplib tries PLAIN and then LOGIN.
        assert 'pillarbox_auth_failures_total{listener="submission"} 2.0' in box.exposition
        assert set(box.smtp.ledger.drain_deltas()) == {"user:shop", "net:127.0.0.1"}


async def test_a_listener_that_is_switched_off_is_not_wired(tmp_path: Path) -> None:
    async with started(tmp_path, "submissions") as box:
        assert len(box.smtp.listeners) == 1
        await to_thread(send, box.ports["submissions"], "correct horse", implicit=True)


async def test_the_limits_are_those_of_the_settings(tmp_path: Path) -> None:
    limits = {"max_message_bytes": 4096, "max_sessions": 1}
    async with started(tmp_path, "submission", submission=limits) as box:

        def look() -> str:
            with smtplib.SMTP("127.0.0.1", box.ports["submission"], timeout=60) as client:
                client.ehlo()
                assert "pillarbox_open_connections_in" in box.exposition
                with pytest.raises(smtplib.SMTPConnectError) as refused:
                    smtplib.SMTP("127.0.0.1", box.ports["submission"], timeout=60)
                assert refused.value.smtp_code == 421
                return client.esmtp_features["size"]

        assert await to_thread(look) == "4096"
