"""A message is signed while it is being written, when it will be sent at once; what waits costs no signature."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from appliance.lab.receiver import Receiver
from mta.directory import KillSwitch, Pause
from tests.support.submissions import credential
from tests.support.way import LETTER, open_way, until

LATER = (datetime.now(UTC) + timedelta(hours=1)).isoformat().encode()


@pytest_asyncio.fixture
async def way(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as opened:
        opened.mx, opened.foreseen = mx, []
        sign_ahead = opened.dispatcher._sign_ahead

        def noted(message, content):
            opened.foreseen.append(message.id)
            sign_ahead(message, content)

        opened.dispatcher._sign_ahead = noted
        yield opened


async def test_what_is_sent_at_once_is_signed_meanwhile(way):
    number = await way.send()
    assert way.foreseen == [number]
    await until(lambda: way.mx.count == 1)


@pytest.mark.parametrize(
    "stop",
    [
        {"kill_switch": KillSwitch(by="ann", at=1, reason="a test")},
        {"pauses": (Pause(id=1, tag="news"),)},
        {"pauses": (Pause(id=1, domain="example.net"),)},
        {"pauses": (Pause(id=1, provider="google"),)},
    ],
)
async def test_what_is_stopped_or_may_be_paused_is_not(way, stop):
    way.change(**stop)
    await way.send()
    assert way.foreseen == []


async def test_what_is_sent_later_is_not(way):
    await way.send(b"X-Pillarbox-Send-At: " + LATER + b"\r\n" + LETTER)
    assert way.foreseen == []


async def test_what_the_sandbox_takes_is_not(way):
    await way.send(credential=credential(sandbox=True))
    assert way.foreseen == []
