"""A client that comes back goes on with its TLS session, whichever process it meets."""

from __future__ import annotations

import os
import signal
import smtplib
import ssl

import pytest

from appliance.lab.dns_server import LabDns
from tests.support.box import running_box
from tests.support.way import until

TIMES = 24  # by chance alone all of them would meet the same process once in 8 million


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def client(request):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = request.param
    return context


def _connect(
    place: tuple[str, int], context: ssl.SSLContext, known: ssl.SSLSession | None = None
) -> tuple[ssl.SSLSession | None, bool | None]:
    """As smtplib's starttls() with a session to go on with: the session then, and whether it did."""
    with smtplib.SMTP(*place, timeout=60) as smtp:
        smtp.ehlo()
        assert smtp.docmd("STARTTLS")[0] == 220
        sock = smtp.sock
        assert sock is not None
        secured = context.wrap_socket(sock, session=known)
        smtp.sock, smtp.file = secured, None
        assert smtp.ehlo()[0] == 250  # with TLS 1.3 tickets come with the first octets
        found = secured.session, secured.session_reused
        smtp.quit()
        return found


async def test_every_process_goes_on_with_a_session_that_another_began(tmp_path, client):
    async with (
        LabDns({}) as dns,
        running_box(tmp_path, dns, 9, spool={"processes": 2}) as box,
    ):
        begun, was_reused = _connect(box.submission, client)
        assert not was_reused
        assert {_connect(box.submission, client, begun)[1] for _ in range(TIMES)} == {True}

        before = box.pids()
        for name in ("mta-0", "mta-1"):
            os.kill(before[name], signal.SIGKILL)
        await until(lambda: len(box.pids().items() - before.items()) == 2)
        assert _connect(box.submission, client, begun)[1] is True
