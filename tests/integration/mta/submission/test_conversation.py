"""MTA-1: what a client hears, command by command, over a real socket."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mta.message import RecipientRequest
from mta.submission.service import TlsMode
from tests.support.smtp_box import LIMITS, Box, Wire, credential, directory, trusting, until

HELLO = b"Subject: hi\r\n\r\nhello\r\n"


async def test_ehlo_offers_auth_only_under_tls() -> None:
    async with Box(directory=directory()) as box:
        wire = await box.connect()
        assert wire.greeting == "220 box.example ESMTP Pillarbox"
        clear = (await wire.ask("EHLO app.example")).split("\n")
        assert clear == [
            "250-box.example",
            f"250-SIZE {LIMITS.max_message_bytes}",
            "250-8BITMIME",
            "250-SMTPUTF8",
            "250-PIPELINING",
            "250-DSN",
            "250-STARTTLS",
            "250 ENHANCEDSTATUSCODES",
        ]
        assert (await wire.ask("STARTTLS")).startswith("220 2.0.0")
        await wire.start_tls()
        secure = (await wire.ask("EHLO app.example")).split("\n")
        assert "250-AUTH PLAIN LOGIN" in secure
        assert "250-STARTTLS" not in secure
        assert box.seen.handshakes == ["TLSv1.3"]
        await wire.close()


async def test_a_message_is_handed_to_intake_whole() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        answer = await wire.message(b"Subject: hi\r\n\r\n..dot\r\n.lone\r\n")
        assert answer == "250 2.0.0 queued as 00000000000z9"
        (taken,) = box.intake.taken
        assert taken.data == b"Subject: hi\r\n\r\n.dot\r\nlone\r\n"
        assert taken.envelope_from == "a@shop.example"
        assert taken.recipients == (RecipientRequest(address="b@example.net"),)
        assert (taken.tenant.id, taken.credential.id) == (7, 3)
        client = taken.client
        assert (client.address, client.helo, client.tls) == ("127.0.0.1", "app.example", "")
        assert client.protocol == "ESMTP"
        assert box.room.used == 0
        await wire.close()


async def test_dsn_parameters_keep_their_case() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        await wire.ask(
            "MAIL FROM:<a@shop.example> RET=HDRS ENVID=Order-7+2BAb SIZE=100 BODY=8BITMIME"
        )
        await wire.ask(
            "RCPT TO:<b@EXAMPLE.net> NOTIFY=success,failure ORCPT=rfc822;Jane@Example.NET"
        )
        await wire.ask("DATA")
        assert (await wire.ask(HELLO + b".\r\n")).startswith("250")
        (taken,) = box.intake.taken
        assert (taken.ret, taken.envid, taken.body_8bit) == ("HDRS", "Order-7+2BAb", True)
        assert taken.recipients == (
            RecipientRequest(
                address="b@example.net", notify="SUCCESS,FAILURE", orcpt="rfc822;Jane@Example.NET"
            ),
        )
        await wire.close()


async def test_everything_in_one_write_is_answered_in_order() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.connect()
        wire.send(
            b"EHLO app.example\r\nMAIL FROM:<a@shop.example>\r\nRCPT TO:<b@example.net>\r\n"
            b"RCPT TO:<nobody>\r\nRCPT TO:<c@example.net>\r\nDATA\r\n" + HELLO + b".\r\n"
            b"MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<d@shop.example>\r\nRCPT TO:<e@example.net>\r\nDATA\r\n"
            b".\r\nQUIT\r\n"
        )
        codes = [reply[:3] async for reply in wire.rest()]
        assert codes == [
            "250",
            "250",
            "250",
            "501",
            "250",
            "354",
            "250",
            "250",
            "250",
            "250",
            "250",
            "354",
            "250",
            "221",
        ]
        one, two = box.intake.taken
        assert [each.address for each in one.recipients] == ["b@example.net", "c@example.net"]
        assert (one.data, two.data, two.envelope_from) == (HELLO, b"", "d@shop.example")
        await wire.close()


async def test_replies_to_pipelined_commands_leave_in_one_write() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        wire.send(b"MAIL FROM:<a@shop.example>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n")
        octets = await wire.reader.read(65536)
        assert octets.count(b"\r\n") == 3
        await wire.close()


async def test_every_cut_of_a_conversation_gives_the_same_answers() -> None:
    talk = (
        b"EHLO a\r\nMAIL FROM:<a@shop.example>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
        b"hi\r\n..\r\n.\r\nNOOP\r\nQUIT\r\n"
    )
    async with Box(directory=trusting()) as box:
        for size in (1, 2, 3, 7):
            wire = await box.connect()
            for at in range(0, len(talk), size):
                wire.send(talk[at : at + size])
                await asyncio.sleep(0)
            assert [reply[:3] async for reply in wire.rest()] == (
                ["250", "250", "250", "354", "250", "250", "221"]
            )
            await wire.close()
        assert {each.data for each in box.intake.taken} == {b"hi\r\n.\r\n"}


@pytest.mark.parametrize(
    ("commands", "answer"),
    [
        (["MAIL FROM:<a@b.example>"], "503 5.5.1"),
        (["EHLO"], "501 5.5.4"),
        (["EHLO x", "RCPT TO:<a@b.example>"], "503 5.5.1"),
        (["EHLO x", "DATA"], "503 5.5.1"),
        (["EHLO x", "MAIL FROM:<a@b.example>", "DATA"], "554 5.5.1"),
        (["EHLO x", "MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>"], "503 5.5.1"),
        (["EHLO x", "MAIL FROM:<a@b.example>", "EHLO x", "RCPT TO:<a@b.example>"], "503 5.5.1"),
        (["EHLO x", "MAIL FROM:<a@b.example>", "RSET", "RCPT TO:<a@b.example>"], "503 5.5.1"),
        (["EHLO x", "MAIL FROM:<a@b.example> SIZE=104857600"], "552 5.3.4"),
        (["EHLO x", "MAIL FROM:<a@b.example> FOO=1"], "555 5.5.4"),
        (["EHLO x", "MAIL FROM:<a@>"], "501 5.1.3"),
        (["EHLO x", "MAIL FROM:<ä@b.example>"], "553 5.6.7"),
        (["EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<ä@b.example>"], "553 5.6.7"),
        (["EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<a@[127.0.0.1]>"], "553 5.1.3"),
        (["EHLO x", "FOO"], "500 5.5.1"),
        (["EHLO x", ""], "500 5.5.1"),
        (["EHLO x", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2"], "500 5.5.1"),
        (["EHLO x", "EXPN list"], "502 5.5.1"),
        (["EHLO x", "VRFY a@b"], "252 2.5.0"),
        (["EHLO x", "HELP"], "214 2.0.0"),
        (["EHLO x", "NOOP anything"], "250 2.0.0"),
        (["HELO x"], "250 box.example"),
        (["EHLO x", "AUTH PLAIN"], "538 5.7.11"),
        (["EHLO x", "STARTTLS now"], "501 5.5.4"),
        (["ehlo x", "mail from:<a@b.example>", "rcpt to:<postmaster>"], "250 2.1.5"),
    ],
)
async def test_a_command_out_of_order_or_form_is_told(commands: list[str], answer: str) -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.connect()
        for command in commands[:-1]:
            assert (await wire.ask(command))[0] == "2", command
        assert (await wire.ask(commands[-1])).startswith(answer)
        await wire.close()


async def test_a_helo_client_may_send() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.connect()
        await wire.ask("HELO printer (third floor)")
        assert (await wire.message()).startswith("250")
        client = box.intake.taken[0].client
        assert (client.protocol, client.helo) == ("SMTP", "printer??third?floor?")
        await wire.close()


async def test_smtputf8_addresses_are_taken_with_their_domain_as_a_labels() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        await wire.ask("MAIL FROM:<jörg@bücher.example> SMTPUTF8")
        await wire.ask("RCPT TO:<用户@Example.NET>")
        await wire.ask("DATA")
        await wire.ask(HELLO + b".\r\n")
        (taken,) = box.intake.taken
        assert taken.smtputf8
        assert taken.envelope_from == "jörg@xn--bcher-kva.example"
        assert taken.recipients[0].address == "用户@example.net"
        await wire.close()


async def test_a_client_that_leaves_in_data_leaves_nothing() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        await wire.begin()
        await wire.ask("DATA")
        wire.send(HELLO * 1000)
        await wire.writer.drain()
        await until(lambda: box.room.used)
        await wire.close()
        await until(lambda: not box.sessions.open)
        assert (box.intake.taken, box.room.used) == ([], 0)


async def test_a_client_that_shuts_its_side_still_hears_the_answer() -> None:
    async with Box(directory=trusting()) as box:
        box.intake.hold = asyncio.Event()
        wire = await box.ready()
        wire.send(
            b"MAIL FROM:<a@shop.example>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n"
        )
        wire.writer.write_eof()
        await box.intake.entered.wait()
        box.intake.hold.set()
        assert [reply[:3] async for reply in wire.rest()] == ["250", "250", "354", "250", "221"]
        await wire.close()


@pytest.mark.parametrize("resets", [False, True])
async def test_a_message_is_stored_when_its_client_does_not_wait(*, resets: bool) -> None:
    async with Box(directory=trusting()) as box:
        box.intake.hold = asyncio.Event()
        wire = await box.ready()
        await wire.begin()
        await wire.ask("DATA")
        wire.send(HELLO + b".\r\n")
        await box.intake.entered.wait()
        if resets:
            wire.reset()
            await until(lambda: not box.sessions.open)
        await wire.close()
        assert box.room.used > 0
        box.intake.hold.set()
        await until(lambda: not box.sessions.open)
        await until(lambda: not box.room.used)
        assert len(box.intake.taken) == 1


async def test_a_crash_of_the_handler_is_answered_and_closes() -> None:
    async with Box(directory=trusting()) as box:
        box.intake.error = ZeroDivisionError("division by zero")
        wire = await box.ready()
        assert await wire.message() == "421 4.3.0 internal error; try again later"
        assert await wire.is_closed()
        assert box.room.used == 0
        await wire.close()


async def test_a_listener_without_tls_offers_neither_tls_nor_auth() -> None:
    async with Box(directory=trusting(), mode=TlsMode.NONE) as box:
        wire = await box.connect()
        keywords = await wire.ask("EHLO x")
        assert "STARTTLS" not in keywords
        assert "AUTH" not in keywords
        assert (await wire.ask("STARTTLS")).startswith("502 5.5.1")
        await wire.close()


async def test_a_listener_for_strangers_knows_no_auth() -> None:
    async with Box(directory=trusting(), offers_auth=False) as box:
        wire = await box.secure()
        assert "AUTH" not in await wire.ask("EHLO x")
        assert (await wire.ask("AUTH PLAIN AGEAYg==")).startswith("502 5.5.1")
        await wire.close()


async def test_an_idle_session_costs_no_task() -> None:
    async with Box(directory=trusting()) as box:
        before = len(asyncio.all_tasks())
        wires: list[Wire] = [await box.ready() for _ in range(5)]
        assert len(asyncio.all_tasks()) == before
        for wire in wires:
            await wire.close()


async def test_one_message_too_many_on_a_connection_is_421() -> None:
    limits = replace(LIMITS, max_messages=2)
    async with Box(directory=trusting(credential()), limits=limits) as box:
        wire = await box.ready()
        for _ in range(2):
            assert (await wire.message()).startswith("250")
        assert (await wire.ask("MAIL FROM:<a@b.example>")).startswith("421 4.7.0")
        assert await wire.is_closed()
        await wire.close()
