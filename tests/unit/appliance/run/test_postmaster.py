from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.run.postmaster import Postmaster, forwarded
from mta.bounce.dropbox import Arrived, Item
from mta.message import Source
from tests.support.inbound import own_directory

if TYPE_CHECKING:
    from mta.message import Submission

ARRIVED = Arrived(
    at=5, sender="ann@example.net", recipients=("abuse@box.example",), client="192.0.2.1", helo="mx"
)
CONTROLS = b"X-Pillarbox-Idempotency-Key: notice n-1\r\nX-Pillarbox-Class: transactional\r\n"


def item(raw: bytes) -> Item:
    return Item(id="n-1", arrived=ARRIVED, raw=raw)


def test_it_goes_out_as_it_came_with_the_null_sender() -> None:
    raw = b"From: ann@example.net\r\n\r\nX-Pillarbox-Tag: in the body\r\n"
    made = forwarded(item(raw), "admin@example.org", 9)
    assert made.data == CONTROLS + raw
    assert (made.source, made.envelope_from, made.received_at) == (Source.NOTICE, "", 9)
    assert [recipient.address for recipient in made.recipients] == ["admin@example.org"]
    assert (made.client.address, made.client.helo) == ("192.0.2.1", "mx")


def test_a_strangers_control_headers_are_taken_out() -> None:
    raw = (
        b"X-Pillarbox-Send-At: 2030\r\n later\r\nFrom: a@b.example\r\n"
        b"x-pillarbox-anything: x\r\nTo: c@d.example\r\n\r\nHi\r\n"
    )
    made = forwarded(item(raw), "admin@example.org", 9)
    assert made.data == CONTROLS + b"From: a@b.example\r\nTo: c@d.example\r\n\r\nHi\r\n"


def test_a_message_that_is_all_header_stays_one() -> None:
    made = forwarded(item(b"From: a@b.example\r\nX-Pillarbox-Tag: x\r\n"), "admin@example.org", 9)
    assert made.data == CONTROLS + b"From: a@b.example\r\n\r\n"


async def _forward(address: str) -> tuple[bool, list[Submission]]:
    sent: list[Submission] = []

    async def submit(submission: Submission) -> int:
        sent.append(submission)
        return 1

    postmaster = Postmaster(address, submit, own_directory, lambda: 9)
    return await postmaster(item(b"From: a@b.example\r\n\r\n")), sent


async def test_it_is_sent_to_the_admin() -> None:
    is_sent, sent = await _forward("admin@example.org")
    assert is_sent
    assert len(sent) == 1


async def test_nobody_is_sent_anything_where_nobody_is_set() -> None:
    assert await _forward("") == (False, [])


async def test_an_address_of_the_box_itself_would_go_round_and_is_not_used() -> None:
    assert await _forward("postmaster@box.example") == (False, [])
    assert await _forward("admin@Bounces.box.example") == (False, [])
