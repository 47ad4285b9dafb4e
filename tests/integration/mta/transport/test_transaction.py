"""MTA-19: one transaction with a receiver that behaves, and with one that refuses."""

from __future__ import annotations

import pytest

from appliance.lab.receiver import Receiver
from appliance.lab.script import EXTENSIONS, Point, Script
from mta.message import EnvelopeRecipient
from mta.transport.transaction import MAX_STEPS
from tests.support.delivery import (
    EGRESS,
    LETTER,
    connected,
    envelope,
    only,
    site,
    told,
    transport,
)
from tests.support.tls_world import limits


def without(*keywords: str) -> tuple[str, ...]:
    return tuple(e for e in EXTENSIONS if e.split()[0] not in keywords)


async def test_a_message_arrives_as_it_was_given() -> None:
    async with connected() as (connection, mx):
        attempt = await connection.send(envelope(content=(b"DKIM-Signature: x\r\n", LETTER)))
        assert told(attempt) == [(250, "2.0.0", "dot", "message")]
        (received,) = mx.messages
        assert received.data == b"DKIM-Signature: x\r\n" + LETTER
        assert received.mail_from == "b-token@bounces.box.example"
        assert received.recipients == ("jane@example.net",)
        assert received.helo == "box.example"


async def test_the_attempt_tells_every_step_in_the_words_that_were_said() -> None:
    async with connected() as (connection, _):
        attempt = await connection.send(envelope())
        commands = [step.command.split(" ")[0] for step in attempt.steps]
        assert commands == ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."]
        assert attempt.steps[0].reply == "220 mx.lab ESMTP"
        assert attempt.steps[1].reply.startswith("250-mx.lab\n250-PIPELINING\n")
        assert attempt.steps[3].reply == "250 2.1.5 recipient ok"
        times = [step.at for step in attempt.steps]
        assert times == sorted(times)
        assert (attempt.host, attempt.address, attempt.egress) == ("mx1.lab", "127.0.0.1", "main")
        assert attempt.started_at <= attempt.ended_at
        second = await connection.send(envelope())
        assert [step.command.split(" ")[0] for step in second.steps] == [
            "MAIL",
            "RCPT",
            "DATA",
            ".",
        ]


async def test_with_pipelining_the_envelope_is_one_write() -> None:
    async with connected() as (connection, mx):
        await connection.send(envelope("a@x.test", "b@x.test"))
        assert [text.count("\r\n") for _, text in mx.reads] == [1, 4]  # EHLO; MAIL RCPT RCPT DATA


async def test_without_pipelining_every_command_waits_for_its_answer() -> None:
    async with connected(Script(extensions=without("PIPELINING"))) as (connection, mx):
        attempt = await connection.send(envelope("a@x.test", "b@x.test"))
        assert [r.reply.code for r in attempt.results] == [250, 250]
        assert [text.count("\r\n") for _, text in mx.reads] == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("keyword", ["", "PIPELINING"])
async def test_every_recipient_gets_its_own_answer(keyword: str) -> None:
    answers = {"b@x.test": "550 5.1.1 no such user", "c@x.test": "451 4.2.1 try later"}
    script = Script(extensions=without(keyword), recipients=answers)
    async with connected(script) as (connection, mx):
        attempt = await connection.send(envelope("a@x.test", "b@x.test", "c@x.test"))
        assert told(attempt) == [
            (250, "2.0.0", "dot", "message"),
            (550, "5.1.1", "rcpt", "recipient"),
            (451, "4.2.1", "rcpt", "recipient"),
        ]
        assert mx.messages[0].recipients == ("a@x.test",)
        assert connection.usable


async def test_when_all_are_refused_but_data_is_taken_a_lone_dot_ends_it() -> None:
    script = Script(
        always={Point.RCPT: "550 5.1.1 no", Point.DATA: "354 go on anyway", Point.DOT: "250 thanks"}
    )
    async with connected(script) as (connection, mx):
        attempt = await connection.send(envelope("a@x.test", "b@x.test"))
        assert told(attempt) == [(550, "5.1.1", "rcpt", "recipient")] * 2
        assert [m.wire for m in mx.messages] == [b""]  # RFC 2920: nothing but the dot
        assert connection.usable


async def test_after_a_refused_envelope_rset_comes_before_the_next() -> None:
    script = Script(recipients={"bad@x.test": "550 5.1.1 no"})
    async with connected(script) as (connection, mx):
        first = await connection.send(envelope("bad@x.test"))
        assert only(first).reply.code == 550
        second = await connection.send(envelope("good@x.test"))
        assert only(second).reply.is_success
        verbs = [line.split(" ")[0] for _, line in mx.commands]
        assert verbs == ["EHLO", "MAIL", "RCPT", "DATA", "RSET", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("keyword", ["", "PIPELINING"])
async def test_a_refused_rset_bounces_nobody(keyword: str) -> None:
    script = Script(
        extensions=without(keyword),
        recipients={"bad@x.test": "550 5.1.1 no"},
        always={Point.RSET: "500 5.5.1 what is RSET"},
    )
    async with connected(script) as (connection, mx):
        await connection.send(envelope("bad@x.test"))
        result = only(await connection.send(envelope("good@x.test")))
        assert result.reply.is_transient
        assert "refused RSET" in result.reply.text
        assert not connection.usable
        assert mx.messages == []


@pytest.mark.parametrize("keyword", ["", "PIPELINING"])
@pytest.mark.parametrize(
    ("point", "phase", "scope"),
    [
        (Point.MAIL, "mail", "message"),
        (Point.RCPT, "rcpt", "recipient"),
        (Point.DATA, "data", "message"),
        (Point.DOT, "dot", "message"),
    ],
)
async def test_a_refusal_counts_where_it_was_said(
    point: Point, phase: str, scope: str, keyword: str
) -> None:
    script = Script(
        extensions=without(keyword), once={point: ["554 5.7.1 not you", "451 4.3.0 no"]}
    )
    async with connected(script) as (connection, mx):
        assert told(await connection.send(envelope())) == [(554, "5.7.1", phase, scope)]
        assert told(await connection.send(envelope())) == [(451, "4.3.0", phase, scope)]
        assert only(await connection.send(envelope())).reply.is_success
        assert len(mx.messages) == 1


async def test_552_for_one_too_many_recipients_is_temporary() -> None:
    script = Script(once={Point.RCPT: ["552 5.5.3 first", "552 5.5.3 too many", "552 5.2.2 full"]})
    async with connected(script) as (connection, _):
        attempt = await connection.send(envelope("a@x.test", "b@x.test", "c@x.test"))
        assert [(r.reply.code, r.reply.enhanced) for r in attempt.results] == [
            (552, "5.5.3"),  # the first cannot be one too many
            (452, "4.5.3"),
            (552, "5.2.2"),  # about the mailbox
        ]
        assert "552 5.5.3 too many" in [step.reply for step in attempt.steps]  # as it was said


async def test_a_message_over_the_receivers_size_is_not_sent() -> None:
    async with connected(Script(extensions=("PIPELINING", "SIZE 100"))) as (connection, mx):
        attempt = await connection.send(envelope(content=(LETTER * 3,)))
        assert told(attempt) == [(552, "5.3.4", "mail", "message")]
        assert [line for _, line in mx.commands] == ["EHLO box.example"]
        assert only(await connection.send(envelope())).reply.is_success


async def test_parameters_are_passed_on_where_they_are_offered() -> None:
    who = EnvelopeRecipient(
        n=0, address="j@x.test", notify="SUCCESS,FAILURE", orcpt="rfc822;jane@x.test"
    )
    letter = envelope(recipients=(who,), body_8bit=True, ret="HDRS", envid="QQ314159")
    async with connected() as (connection, mx):
        await connection.send(letter)
        (received,) = mx.messages
        size = len(LETTER)
        assert received.mail_parameters == f"SIZE={size} BODY=8BITMIME RET=HDRS ENVID=QQ314159"
        assert received.recipient_parameters == ("NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;jane@x.test",)
    async with connected(Script(extensions=("PIPELINING",))) as (connection, mx):
        await connection.send(letter)
        (received,) = mx.messages
        assert received.mail_parameters == ""
        assert received.recipient_parameters == ("",)


async def test_an_8_bit_body_goes_as_it_is_to_a_host_without_8bitmime() -> None:
    content = "Subject: x\r\n\r\nGrüße\r\n".encode()
    async with connected(Script(extensions=without("8BITMIME"))) as (connection, mx):
        await connection.send(envelope(content=(content,), body_8bit=True))
        assert mx.messages[0].data == content


async def test_smtputf8_is_asked_for_only_when_it_is_needed() -> None:
    async with connected() as (connection, mx):
        await connection.send(envelope(smtputf8=True))
        await connection.send(envelope("jörg@x.test", smtputf8=True))
        header = "Subject: Grüße\r\n\r\nhi\r\n".encode()
        await connection.send(envelope(content=(header,), smtputf8=True))
        assert ["SMTPUTF8" in m.mail_parameters for m in mx.messages] == [False, True, True]
        assert mx.messages[1].recipients == ("jörg@x.test",)


async def test_who_needs_smtputf8_is_refused_alone_at_a_host_without_it() -> None:
    async with connected(Script(extensions=without("SMTPUTF8"))) as (connection, mx):
        attempt = await connection.send(envelope("jörg@x.test", "jane@x.test", smtputf8=True))
        assert told(attempt) == [
            (553, "5.6.7", "rcpt", "recipient"),
            (250, "2.0.0", "dot", "message"),
        ]
        header = "Subject: Grüße\r\n\r\nhi\r\n".encode()
        attempt = await connection.send(envelope(content=(header,), smtputf8=True))
        assert told(attempt) == [(553, "5.6.7", "mail", "message")]
        assert len(mx.messages) == 1


async def test_8_bit_headers_without_smtputf8_go_as_they_are() -> None:
    header = "Subject: Grüße\r\n\r\nhi\r\n".encode()
    async with connected(Script(extensions=without("SMTPUTF8"))) as (connection, mx):
        assert only(await connection.send(envelope(content=(header,)))).reply.is_success
        assert mx.messages[0].data == header


@pytest.mark.parametrize("address", ["a@x.test>\r\nRSET", "a\x00@x.test"])
async def test_an_address_cannot_carry_a_command(address: str) -> None:
    async with connected() as (connection, mx):
        assert told(await connection.send(envelope(address))) == [
            (553, "5.1.3", "rcpt", "recipient")
        ]
        attempt = await connection.send(envelope(mail_from=address))
        assert told(attempt) == [(553, "5.1.7", "mail", "message")]
        assert [line for _, line in mx.commands] == ["EHLO box.example"]


async def test_a_large_message_is_written_as_the_receiver_takes_it() -> None:
    content = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n.dot\r\n" * 200_000
    script = Script(slow_reader=True)
    async with connected(script, dot_timeout=5, data_timeout=5, session_timeout=20) as (c, mx):
        assert only(await c.send(envelope(content=(content,)))).reply.is_success
        assert mx.messages[0].data == content


async def test_a_large_message_refused_half_way_is_refused() -> None:
    script = Script(always={Point.CONTENT: "552 5.3.4 too much"})
    content = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 1_000_000
    async with connected(script, dot_timeout=5, data_timeout=5, session_timeout=20) as (c, _):
        reply = only(await c.send(envelope(content=(content,)))).reply
        # The receiver closes with our octets unread: TCP may destroy its answer on the way.
        assert reply.code == 552 or reply.enhanced == "4.4.2"
        assert not c.usable


async def test_the_steps_of_a_transaction_with_many_recipients_are_bounded() -> None:
    addresses = [f"u{n}@x.test" for n in range(MAX_STEPS + 50)]
    async with connected() as (connection, _):
        attempt = await connection.send(envelope(*addresses))
        assert len(attempt.results) == MAX_STEPS + 50
        assert (
            len(attempt.steps) == MAX_STEPS + 4
        )  # CONNECT and EHLO before, DATA and the dot after
        assert [s.command for s in attempt.steps[-2:]] == ["DATA", "."]


async def test_after_its_share_of_messages_a_connection_is_given_up() -> None:
    async with Receiver() as mx:
        share = limits(messages_per_connection=2)
        connection = await transport().open(EGRESS, site(mx), limits=share)
        await connection.send(envelope())
        assert connection.usable
        await connection.send(envelope())
        assert not connection.usable
        await connection.close()
        assert mx.commands[-1][1] == "QUIT"
