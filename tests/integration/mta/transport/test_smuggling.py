"""MTA-4 outbound: whatever a body holds, no line leaves as a lone dot, however line ends are read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.delivery import connected, envelope, told

SEQUENCES = Path(__file__).parents[3] / "data" / "smtp" / "end-of-data-sequences.json"
SMUGGLED = b"MAIL FROM:<evil@good.test>\r\nRCPT TO:<b@good.test>\r\nDATA\r\nSubject: bad\r\n\r\nbad\r\n.\r\n"


@pytest.mark.parametrize("name", json.loads(SEQUENCES.read_text())["sequences_python_repr"])
async def test_content_with_a_smuggled_end_is_refused_and_nothing_is_transmitted(name: str) -> None:
    sequence = name.encode().decode("unicode_escape").encode("latin-1")
    content = b"Subject: outer\r\n\r\nhi" + sequence + SMUGGLED
    async with connected() as (connection, mx):
        assert told(await connection.send(envelope(content=(content,)))) == [
            (554, "5.6.0", "mail", "message")
        ]
        assert [line for _, line in mx.commands] == ["EHLO box.example"]
        assert connection.usable


@pytest.mark.parametrize(
    "body",
    [
        b".\r\n",
        b"..\r\n.\r\n",
        b"hi\r\n.\r\n" + SMUGGLED,
        b"hi\r\n.\r\n.\r\n.",
        b".hidden\r\n..twice\r\nend.\r\n",
        b"no line end at all",
        b"",
    ],
)
@pytest.mark.parametrize("filler", [0, 20_000, 400_000])
async def test_dots_are_doubled_and_arrive_as_they_were(body: bytes, filler: int) -> None:
    """Small, remembered and large contents go three different ways through the framer."""
    content = b"Subject: x\r\n\r\n" + body + b"x" * 70 * (filler > 0)
    content = content if not filler else (b"Received: filler\r\n" * (filler // 18)) + content
    limits = {"dot_timeout": 5, "data_timeout": 5, "session_timeout": 9}
    async with connected(**limits) as (connection, mx):
        attempt = await connection.send(envelope(content=(content,)))
        assert told(attempt)[0][0] == 250
        (received,) = mx.messages
        assert received.data == (content if content.endswith(b"\r\n") else content + b"\r\n")
        assert b"." not in re.split(rb"\r\n|\r|\n", received.wire)


async def test_pieces_that_meet_inside_a_line_are_judged_as_one() -> None:
    async with connected() as (connection, mx):
        attempt = await connection.send(
            envelope(content=(b"Subject: x\r\n\r\nhi\r", b"\n.\r\nx\r\n"))
        )
        assert told(attempt)[0][0] == 250
        assert mx.messages[0].wire == b"Subject: x\r\n\r\nhi\r\n..\r\nx\r\n"
        attempt = await connection.send(envelope(content=(b"Subject: x\r\n\r\nhi\r", b".\r\n")))
        assert told(attempt)[0][1] == "5.6.0"
