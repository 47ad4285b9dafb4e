from __future__ import annotations

import pytest

from mta.message import RecipientRequest
from mta.policy.refusal import Refused
from mta.submission.commands import MailCommand, parse_mail, parse_rcpt


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (b"FROM:<a@b.example>", MailCommand(sender="a@b.example")),
        (b"from:<A@b.Example>", MailCommand(sender="A@b.Example")),
        (b"FROM: <a@b.example>", MailCommand(sender="a@b.example")),
        (b"FROM:a@b.example", MailCommand(sender="a@b.example")),
        (b"FROM:<>", MailCommand(sender="")),
        (b"FROM:<@relay.example,@two.example:a@b.example>", MailCommand(sender="a@b.example")),
        (b'FROM:<"a > b"@c.example>', MailCommand(sender='"a > b"@c.example')),
        (b'FROM:<"a\\" b"@c.example>', MailCommand(sender='"a\\" b"@c.example')),
        (b"FROM:<> SIZE=0", MailCommand(sender="")),
        (b"FROM:<a@b> SIZE=1234 BODY=8BITMIME", MailCommand(sender="a@b", size=1234, body_8bit=True)),
        (b"FROM:<a@b>  body=7bit", MailCommand(sender="a@b")),
        ("FROM:<ä@b> SMTPUTF8".encode(), MailCommand(sender="ä@b", smtputf8=True)),
        (b"FROM:<a@b> RET=hdrs ENVID=Order-7+2BAb", MailCommand(sender="a@b", ret="HDRS", envid="Order-7+2BAb")),
        (b"FROM:<a@b> AUTH=<>", MailCommand(sender="a@b")),
        (b"FROM:<a@b> AUTH=e+3Dmc2@example.com", MailCommand(sender="a@b")),
    ],
)  # fmt: skip
def test_mail_is_read(argument: bytes, expected: MailCommand) -> None:
    assert parse_mail(argument) == expected


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (b"TO:<a@b>", RecipientRequest(address="a@b")),
        (b"to: <Jane.Doe@B>", RecipientRequest(address="Jane.Doe@B")),
        (b"TO:<a@b> NOTIFY=never", RecipientRequest(address="a@b", notify="NEVER")),
        (b"TO:<a@b> NOTIFY=Success,Delay", RecipientRequest(address="a@b", notify="SUCCESS,DELAY")),
        (
            b"TO:<a@b> ORCPT=rfc822;Jane+2BDoe@Example.NET NOTIFY=FAILURE",
            RecipientRequest(
                address="a@b", notify="FAILURE", orcpt="rfc822;Jane+2BDoe@Example.NET"
            ),
        ),
        (
            "TO:<a@b> ORCPT=utf-8;jörg@example.net".encode(),
            RecipientRequest(address="a@b", orcpt="utf-8;jörg@example.net"),
        ),
    ],
)
def test_rcpt_is_read(argument: bytes, expected: RecipientRequest) -> None:
    assert parse_rcpt(argument) == expected


@pytest.mark.parametrize(
    ("argument", "status"),
    [
        (b"", "501 5.5.4"),
        (b"FROM", "501 5.5.4"),
        (b"TO:<a@b>", "501 5.5.4"),
        (b"FROM:<a@b", "501 5.5.4"),
        (b"FROM:<a b@c>", "501 5.5.4"),
        (b"FROM:<a@b>SIZE=1", "501 5.5.4"),
        (b"FROM:<a@b><c@d>", "501 5.5.4"),
        (b"FROM:<\xff@b>", "501 5.5.4"),
        (b"FROM:<a@b> SIZE=", "501 5.5.4"),
        (b"FROM:<a@b> SIZE=-1", "501 5.5.4"),
        (b"FROM:<a@b> SIZE=" + b"9" * 21, "501 5.5.4"),
        (b"FROM:<a@b> SIZE=1 SIZE=2", "501 5.5.4"),
        (b"FROM:<a@b> BODY=BINARYMIME", "501 5.5.4"),
        (b"FROM:<a@b> SMTPUTF8=yes", "501 5.5.4"),
        (b"FROM:<a@b> RET=ALL", "501 5.5.4"),
        (b"FROM:<a@b> ENVID=", "501 5.5.4"),
        (b"FROM:<a@b> ENVID=a=b", "501 5.5.4"),
        (b"FROM:<a@b> ENVID=a+2b", "501 5.5.4"),
        (b"FROM:<a@b> ENVID=" + b"x" * 101, "501 5.5.4"),
        (b"FROM:<a@b> NOTIFY=NEVER", "555 5.5.4"),
        (b"FROM:<a@b> X-FOO=1", "555 5.5.4"),
    ],
)
def test_a_wrong_mail_is_refused(argument: bytes, status: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_mail(argument)
    assert caught.value.reply.line().startswith(status)


@pytest.mark.parametrize(
    ("argument", "status"),
    [
        (b"TO:<>", "501 5.1.3"),
        (b"TO:<a@b> NOTIFY=", "501 5.5.4"),
        (b"TO:<a@b> NOTIFY=NEVER,DELAY", "501 5.5.4"),
        (b"TO:<a@b> NOTIFY=DELAY,DELAY", "501 5.5.4"),
        (b"TO:<a@b> ORCPT=a@b", "501 5.5.4"),
        (b"TO:<a@b> ORCPT=rfc822;a=b", "501 5.5.4"),
        (b"TO:<a@b> ORCPT=rfc822;" + b"x" * 500, "501 5.5.4"),
        (b"TO:<a@b> RET=FULL", "555 5.5.4"),
    ],
)
def test_a_wrong_rcpt_is_refused(argument: bytes, status: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_rcpt(argument)
    assert caught.value.reply.line().startswith(status)


def test_a_refusal_shows_no_control_characters() -> None:
    with pytest.raises(Refused) as caught:
        parse_mail(b"FROM:<a@b> X\x1b[31m=1")
    assert caught.value.reply.text.isprintable()


def test_a_hostile_path_is_refused_in_linear_time() -> None:
    with pytest.raises(Refused):
        parse_mail(b"FROM:<" + b'"\\"' * 600 + b"@b")
