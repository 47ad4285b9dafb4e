"""MTA-4: only CRLF.CRLF ends a message; junk gets an error and a clean close, memory stays flat."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.smtp_box import LIMITS, Box, Wire, credential, trusting, until

SEQUENCES = Path(__file__).parents[3] / "data" / "smtp" / "end-of-data-sequences.json"
SMUGGLED = b"MAIL FROM:<evil@good.test>\r\nRCPT TO:<b@good.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nbad\r\n.\r\n"
MIB = 1 << 20


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("name", json.loads(SEQUENCES.read_text())["sequences_python_repr"])
async def test_a_smuggled_end_of_data_makes_no_second_message(
    name: str, *, normalise: bool
) -> None:
    sequence = name.encode().decode("unicode_escape").encode("latin-1")
    async with Box(directory=trusting(credential(normalise_line_ends=normalise))) as box:
        wire = await box.ready()
        await wire.begin()
        await wire.ask("DATA")
        wire.send(b"Subject: outer\r\n\r\nhi" + sequence + SMUGGLED)
        answer = await wire.reply()
        if normalise and "\\x00" not in name:
            assert answer.startswith("250")
            assert b"smuggled" in box.intake.taken[0].data
            assert len(box.intake.taken) == 1
        else:
            assert answer.startswith("521 5.5.2")
            assert await wire.is_closed()
            assert box.intake.taken == []
        await wire.close()


@pytest.mark.parametrize(
    "command",
    [
        b"NOOP\n",
        b"NOOP\r",
        b"NOOP\rQUIT\r\n",
        b"NOOP\r\r\n",
        b"NOOP\nQUIT\r\n",
        b"NOOP \0\r\n",
        b"\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"x" * 8192,
        b"x" * 8192 + b"\r\n",
        b"MAIL FROM:<" + b"x" * 4000 + b"@b.example>\r\n",
        b"AUTH PLAIN " + b"x" * 13_000,
        b"AUTH PLAIN " + b"x" * 13_000 + b"\r\n",
    ],
)
async def test_an_unclean_command_is_refused_and_closes(command: bytes) -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        wire.send(command if command != b"NOOP\r" else b"NOOP\rx")
        assert (await wire.reply()).startswith("521 5.5.2")
        assert await wire.is_closed()
        await wire.close()


async def test_a_carriage_return_may_come_before_its_line_feed() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        wire.send(b"NOOP\r")
        await asyncio.sleep(0.05)
        assert (await wire.ask(b"\n")).startswith("250")
        await wire.close()


async def test_a_line_of_the_greatest_length_may_arrive_with_its_line_end_apart() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        wire.send(b"NOOP " + b"x" * 2043 + b"\r")
        await asyncio.sleep(0.05)
        assert (await wire.ask(b"\n")).startswith("250")
        await wire.close()


async def test_a_client_that_talks_on_after_quit_still_hears_everything() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
        wire.send(b"NOOP\r\nQUIT\r\n" + b"NOOP\r\n" * 500_000)
        await asyncio.sleep(0.2)
        wire.reader._transport.resume_reading()  # type: ignore[attr-defined]
        assert [reply[:3] async for reply in wire.rest()] == ["250", "221"]
        await wire.close()


async def test_lines_of_junk_end_the_session_after_a_while() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        wire.send(b"HELLO? IS THIS SMTP?\r\n" * 500)
        replies = [reply async for reply in wire.rest()]
        assert len(replies) == 21
        assert replies[-1].startswith("421 4.7.0")
        await wire.close()


async def test_a_form_that_a_browser_posts_sends_nothing() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.connect()
        wire.send(
            b"POST / HTTP/1.1\r\nHost: box.example\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.example>\r\n"
        )
        assert [reply[:9] async for reply in wire.rest()] == ["521 5.5.1"]
        assert box.intake.taken == []
        await wire.close()


async def test_line_ends_are_normalised_where_the_credential_says_so() -> None:
    async with Box(directory=trusting(credential(normalise_line_ends=True))) as box:
        wire = await box.ready()
        assert (await wire.ask(b"NOOP\n")).startswith("250")
        assert (await wire.message(b"Subject: hi\n\nbare\rends\n\r\n")).startswith("250")
        assert box.intake.taken[0].data == b"Subject: hi\r\n\r\nbare\r\nends\r\n\r\n"
        await wire.close()


async def test_commands_behind_starttls_are_refused() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        wire.send(b"STARTTLS\r\nMAIL FROM:<evil@good.test>\r\n")
        assert (await wire.reply()).startswith("521 5.5.1")
        assert await wire.is_closed()
        await wire.close()


async def test_commands_sent_before_the_handshake_never_run() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        assert (await wire.ask("STARTTLS")).startswith("220")
        wire.send(b"MAIL FROM:<evil@good.test>\r\nRCPT TO:<b@good.test>\r\nNOOP\r\n")
        heard = await wire.reader.read()
        assert b"250" not in heard
        assert box.seen.handshakes == ["failed"]
        assert box.sessions.open == 0
        await wire.close()


async def test_nothing_said_before_tls_counts_after_it() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        await wire.begin()
        await wire.ask("STARTTLS")
        await wire.start_tls()
        assert (await wire.ask("RCPT TO:<b@example.net>")).startswith("503")
        assert (await wire.ask("MAIL FROM:<a@shop.example>")).startswith("503 5.5.1 say EHLO")
        await wire.close()


async def pour(wire: Wire, octets: int) -> None:
    """Send junk without a line end, for as long as the server takes it."""
    piece = b"x" * 65536
    try:
        for _ in range(octets // len(piece)):
            wire.send(piece)
            await wire.writer.drain()
    except ConnectionError:
        return


async def test_a_line_of_64_mib_is_refused_in_flat_memory() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        tracemalloc.start()
        try:
            await pour(wire, 64 * MIB)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 4 * MIB
        assert (await wire.reply()).startswith("521 5.5.2")
        await wire.close()


async def test_a_message_over_the_limit_is_drained_told_and_the_session_goes_on() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        await wire.begin()
        await wire.ask("DATA")
        wire.send((b"x" * 76 + b"\r\n") * 20_000 + b".\r\n")
        assert (await wire.reply()).startswith("552 5.3.4")
        assert box.room.used == 0
        assert (await wire.message()).startswith("250")
        assert len(box.intake.taken) == 1
        await wire.close()


async def test_a_message_that_lies_about_its_size_is_cut_in_flat_memory() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        await wire.ask("MAIL FROM:<a@shop.example> SIZE=10")
        await wire.ask("RCPT TO:<b@example.net>")
        await wire.ask("DATA")
        tracemalloc.start()
        try:
            await pour(wire, 64 * MIB)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 6 * MIB  # the limit is 1 MiB
        assert (await wire.reply()).startswith("552 5.3.4")
        assert box.intake.taken == []
        await wire.close()


async def test_messages_that_do_not_fit_in_memory_together_hear_452() -> None:
    async with Box(directory=trusting(), memory=300_000) as box:
        one, two = await box.ready(), await box.ready()
        for wire in (one, two):
            await wire.begin()
            await wire.ask("DATA")
        one.send(b"x" * 200_000)
        await until(lambda: box.room.used >= 200_000)
        two.send(b"x" * 200_000 + b"\r\n.\r\n")
        assert (await two.reply()).startswith("452 4.3.1")
        one.send(b"\r\n.\r\n")
        assert (await one.reply()).startswith("250")
        assert (await two.message()).startswith("250")
        await one.close()
        await two.close()


async def test_a_client_that_floods_and_reads_nothing_is_held_back() -> None:
    limits = replace(LIMITS, max_commands_per_minute=10**9)
    async with Box(directory=trusting(), limits=limits) as box:
        wire = await box.ready()
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
        tracemalloc.start()
        try:
            wire.send(b"NOOP\r\n" * 2_000_000)
            await asyncio.sleep(1)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert wire.writer.transport.get_write_buffer_size() > 0  # type: ignore[attr-defined]
        assert peak < 40 * MIB  # 12 MB of them are ours
        wire.writer.transport.abort()
        await wire.close()
