"""The box's own letters go through its own queue, signed, and answer to nobody."""

from __future__ import annotations

import email
from email.policy import default

import pytest

from appliance.core import clock
from appliance.lab.receiver import Receiver
from appliance.run.own_mail import BoxMail, written
from mta.directory import DkimKey, SendingDomain
from mta.signing.keys import make_ed25519
from tests.support.way import open_way, until


def box_keys():
    key = DkimKey(selector="s1", algorithm="ed25519-sha256", private_key=make_ed25519())
    return SendingDomain(
        id=0,
        tenant_id=0,
        name="box.lab",
        verified=True,
        keys=(key,),
    )


async def test_a_letter_is_queued_signed_and_delivered(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.change(box_keys=box_keys())
        mail = BoxMail("Box.Lab", way.intake.accept)
        await mail.send("ada@acme.example", "Grüße & links", "Open this:\n\nhttps://box.lab/x\n")
        await until(lambda: mx.messages)
        (received,) = mx.messages
    assert (received.mail_from, received.recipients) == ("", ("ada@acme.example",))
    read = email.message_from_bytes(received.data, policy=default)
    assert read["From"] == "Pillarbox <postmaster@box.lab>"
    assert read["Subject"] == "Grüße & links"
    assert read["Auto-Submitted"] == "auto-generated"
    assert "d=box.lab" in read["DKIM-Signature"]
    assert read.get_content().replace("\r\n", "\n") == "Open this:\n\nhttps://box.lab/x\n"
    assert not [name for name in read if name.lower().startswith("x-pillarbox")]


@pytest.mark.parametrize(
    ("to", "subject"),
    [
        ("ada@acme.example\r\nBcc: eve@evil.example", "hello"),
        ("ada@acme.example", "hello\nBcc: eve@evil.example"),
        ("ada@acme.example", "hello\x00"),
        ("ädä@acme.example", "hello"),
    ],
)
def test_a_line_break_never_reaches_a_header(to, subject):
    with pytest.raises(ValueError, match="break its header"):
        written(to, subject, "text", hostname="box.lab", now=clock.now_ms(), id_="1")


def test_a_long_subject_is_folded_and_a_long_text_has_short_lines():
    letter = written("ada@acme.example", "ä" * 200, "x" * 5000, hostname="box.lab", now=0, id_="1")
    assert max(map(len, letter.split(b"\r\n"))) < 100
    read = email.message_from_bytes(letter, policy=default)
    assert read["Subject"] == "ä" * 200
    assert b"\n" not in letter.replace(b"\r\n", b"")
