"""MTA-1, MTA-3: time-outs, limits of sessions and commands, proxies, and the end of a process."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import struct
import weakref
from asyncio import selector_events, sslproto
from dataclasses import replace

import pytest

from appliance.core import memory
from mta.submission.listener import drain
from mta.submission.service import TlsMode
from tests.support import tls
from tests.support.smtp_box import LIMITS, Box, Wire, credential, directory, trusting, until

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 25\r\n"
V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    + bytes([203, 0, 113, 9, 192, 0, 2, 1])
    + struct.pack("!HH", 4711, 25)
)


async def trickle(wire: Wire, octets: bytes, pause: float, times: int = 1) -> None:
    try:
        for at in range(len(octets)):
            wire.send(octets[at : at + 1] * times)
            await asyncio.sleep(pause)
    except ConnectionError:
        return


async def test_a_silent_session_hears_421() -> None:
    async with Box(directory=trusting(), limits=replace(LIMITS, idle_timeout=0.2)) as box:
        wire = await box.ready()
        for _ in range(4):  # one that talks is left alone
            await asyncio.sleep(0.1)
            assert (await wire.ask("NOOP")).startswith("250")
        assert (await wire.reply()).startswith("421 4.4.2")
        assert await wire.is_closed()
        await wire.close()


async def test_a_session_lasts_only_so_long() -> None:
    limits = replace(LIMITS, idle_timeout=5, session_timeout=0.3)
    async with Box(directory=trusting(), limits=limits) as box:
        wire = await box.ready()
        answer = ""
        for _ in range(20):
            await asyncio.sleep(0.05)
            answer = await wire.ask("NOOP")
            if not answer.startswith("250"):
                break
        assert answer.startswith("421 4.4.2")
        await wire.close()


@pytest.mark.parametrize("stage", ["command", "data", "login"])
async def test_a_slow_loris_hears_421(stage: str) -> None:
    async with Box(directory=trusting(), limits=replace(LIMITS, idle_timeout=0.3)) as box:
        wire = await box.secure()
        if stage == "data":
            await wire.begin()
            await wire.ask("DATA")
        elif stage == "login":
            await wire.ask("AUTH LOGIN")
        drip = asyncio.ensure_future(trickle(wire, b"x" * 500, 0.02))
        assert (await wire.reply()).startswith("421 4.4.2")
        drip.cancel()
        assert await wire.is_closed()
        assert (box.intake.taken, box.room.used) == ([], 0)
        await wire.close()


async def test_a_message_that_comes_too_slowly_hears_421() -> None:
    """It shows a sign of life in time, again and again; but so it could hold its place for an hour."""
    limits = replace(LIMITS, idle_timeout=0.5, min_rate=1_000_000)
    async with Box(directory=trusting(), limits=limits) as box:
        wire = await box.ready()
        await wire.begin()
        await wire.ask("DATA")
        drip = asyncio.ensure_future(trickle(wire, b"x" * 500, 0.02, times=1024))
        assert (await wire.reply()).startswith("421 4.4.2 time-out: the message comes too slowly")
        drip.cancel()
        assert (box.intake.taken, box.room.used) == ([], 0)
        await wire.close()


async def test_a_client_that_says_quit_and_reads_nothing_is_cut() -> None:
    """Closing waits until everything was sent: that must not keep the place for ever."""
    limits = replace(LIMITS, max_commands_per_minute=10**9)
    async with Box(directory=trusting(), limits=limits) as box:
        wire = await box.ready()
        session = next(iter(box.sessions._open))
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
        # As when the client has let the replies before fill all buffers on the way.
        session.transport.write(b"250 ok\r\n" * 3_000_000)  # type: ignore[attr-defined]
        session._may_write = True  # type: ignore[attr-defined]
        session.transport.resume_reading()  # type: ignore[attr-defined]
        wire.send(b"QUIT\r\n")
        await until(lambda: not box.sessions.open)
        wire.writer.transport.abort()  # type: ignore[attr-defined]
        await wire.close()


async def test_silent_sessions_are_given_up_sooner_when_most_places_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mta.submission.connection.CROWDED_IDLE", 0.3)
    async with Box(directory=trusting(), sessions=(5, 100)) as box:
        silent = [await box.ready() for _ in range(4)]
        await asyncio.sleep(0.5)
        assert box.sessions.open == 4
        busy = await box.ready()
        for wire in silent:
            assert (await wire.reply()).startswith("421 4.4.2")
        assert (await busy.message()).startswith("250")
        for wire in (*silent, busy):
            await wire.close()


async def test_connections_that_bring_nothing_are_turned_away() -> None:
    async with Box(directory=trusting(), barren=3) as box:
        for _ in range(3):
            wire = await box.connect()
            await wire.close()
        wire = await box.connect()
        assert wire.greeting.startswith("421 4.7.0 too many connections from 127.0.0.1")
        assert await wire.is_closed()
        await wire.close()
        assert box.seen.refusals == [wire.greeting]


async def test_connections_that_log_in_or_send_are_not_counted() -> None:
    async with Box(directory=trusting(), barren=3) as box:
        for _ in range(10):
            wire = await box.ready()
            assert (await wire.message()).startswith("250")
            assert (await wire.message()).startswith("250")
            await wire.close()
    async with Box(directory=directory(credential()), barren=3) as box:
        for _ in range(10):
            wire = await box.secure()
            assert (await wire.ask("AUTH PLAIN AHNob3AAY29ycmVjdCBob3JzZQ==")).startswith("235")
            await wire.close()


async def test_who_is_turned_away_is_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    async with Box(directory=trusting(), barren=1) as box:
        with caplog.at_level(logging.INFO):
            for _ in range(20):
                await (await box.connect()).close()
        assert len(box.seen.refusals) == 19
        assert sum("bring nothing" in record.getMessage() for record in caplog.records) == 1


async def test_clients_of_one_ipv6_network_are_one_client() -> None:
    headers = [f"PROXY TCP6 2001:db8::{n} 2001:db8::ff 4711 25\r\n".encode() for n in (1, 2, 3)]
    async with Box(directory=directory(), proxies=LOOPBACK, sessions=(100, 2)) as box:
        wires = []
        for header in headers:
            wires.append(await box.connect(greeted=False))
            wires[-1].send(header)
        greetings = [await wire.reply() for wire in wires]
        assert sorted(greeting[:3] for greeting in greetings) == ["220", "220", "421"]
        assert box.sessions.open_from("2001:db8::9") == 2
        for wire in wires:
            await wire.close()


async def test_a_tls_connection_keeps_a_small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio has no setting for it: this fails when the names it goes by have changed."""
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", sslproto.SSLProtocol.max_size)
    memory.slim_tls()
    async with Box(directory=trusting(), mode=TlsMode.IMPLICIT) as box:
        wire = await box.connect_tls()
        session = next(iter(box.sessions._open))
        kept = session.transport._ssl_protocol._ssl_buffer  # type: ignore[attr-defined]
        assert len(kept) == memory.TLS_BUFFER
        await wire.ask("EHLO app.example")
        long = b"Subject: hi\r\n\r\n" + (b"x" * 76 + b"\r\n") * 5000
        assert (await wire.message(long)).startswith("250")
        assert box.intake.taken[0].data == long
        await wire.close()


@pytest.mark.parametrize("mode", [TlsMode.STARTTLS, TlsMode.IMPLICIT])
async def test_a_connection_that_has_ended_takes_no_memory(mode: TlsMode) -> None:
    """Without the help of the garbage collector, which looks at what is old only now and then."""
    async with Box(directory=trusting(), mode=mode) as box:
        wire = await (box.connect_tls() if mode is TlsMode.IMPLICIT else box.connect())
        await wire.ask("EHLO app.example")
        assert (await wire.message()).startswith("250")
        session = weakref.ref(next(iter(box.sessions._open)))
        gc.disable()
        try:
            await wire.close()
            await until(lambda: session() is None)
        finally:
            gc.enable()


async def test_no_room_is_told_before_the_message_is_sent() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        box.room.adapt(0, "too little memory: 1 MB are missing")
        assert (await wire.ask("MAIL FROM:<a@shop.example>")).startswith("452 4.3.1 no room")
        box.room.adapt(10_000, "")
        answer = await wire.ask("MAIL FROM:<a@shop.example> SIZE=10001")
        assert answer.startswith("452 4.3.1 too many")
        assert (await wire.message()).startswith("250")
        await wire.close()


async def test_a_message_under_way_is_refused_when_memory_runs_out() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        await wire.begin()
        await wire.ask("DATA")
        wire.send(b"x" * 500)
        await until(lambda: box.room.used > 500)
        box.room.adapt(-1, "too little memory: 1 MB are missing")
        wire.send(b"x" * 500 + b"\r\n.\r\n")
        assert (await wire.reply()).startswith("452 4.3.1")
        assert (box.room.used, box.intake.taken) == (0, [])
        await wire.close()


async def test_a_slow_message_that_moves_is_taken() -> None:
    async with Box(directory=trusting(), limits=replace(LIMITS, idle_timeout=0.2)) as box:
        wire = await box.ready()
        await wire.begin()
        await wire.ask("DATA")
        for _ in range(6):
            wire.send(b"x" * 1022 + b"\r\n")
            await asyncio.sleep(0.08)
        assert (await wire.ask(b".\r\n")).startswith("250")
        await wire.close()


async def test_a_slow_intake_is_no_time_out() -> None:
    async with Box(directory=trusting(), limits=replace(LIMITS, idle_timeout=0.1)) as box:
        box.intake.hold = asyncio.Event()
        wire = await box.ready()
        await wire.begin()
        await wire.ask("DATA")
        wire.send(b"hi\r\n.\r\n")
        await asyncio.sleep(0.3)
        box.intake.hold.set()
        assert (await wire.reply()).startswith("250")
        await wire.close()


async def test_too_many_commands_a_minute_are_421() -> None:
    async with Box(directory=trusting(), limits=replace(LIMITS, max_commands_per_minute=5)) as box:
        wire = await box.ready()
        wire.send(b"NOOP\r\n" * 10)
        replies = [reply async for reply in wire.rest()]
        assert [reply[:3] for reply in replies] == ["250"] * 4 + ["421"]
        assert "4.7.0" in replies[-1]
        await wire.close()


@pytest.mark.parametrize("sessions", [(2, 100), (100, 2)])
async def test_too_many_sessions_are_greeted_with_421(sessions: tuple[int, int]) -> None:
    async with Box(directory=trusting(), sessions=sessions) as box:
        one, two = await box.ready(), await box.ready()
        three = await box.connect()
        assert three.greeting.startswith("421 4.7.0 too many sessions")
        assert await three.is_closed()
        assert (box.sessions.open, box.sessions.refused) == (2, 1)
        await one.close()
        await until(lambda: box.sessions.open == 1)
        four = await box.connect()
        assert four.greeting.startswith("220")
        for wire in (two, three, four):
            await wire.close()


async def test_a_session_over_the_limit_gets_no_handshake() -> None:
    async with Box(directory=trusting(), mode=TlsMode.IMPLICIT, sessions=(1, 1)) as box:
        one = await box.connect_tls()
        with pytest.raises(ConnectionError):
            await box.connect_tls()
        assert box.seen.handshakes == ["TLSv1.3"]
        await one.close()


async def test_a_handshake_that_never_comes_leaves_nothing() -> None:
    async with Box(directory=trusting(), mode=TlsMode.IMPLICIT) as box:
        wire = await box.connect(greeted=False)
        await until(lambda: box.sessions.open)
        await wire.close()
        await until(lambda: not box.sessions.open)


# -- PROXY ---------------------------------------------------------------------------------------


async def test_the_header_is_not_read_as_mail_by_the_python_of_debian_12(monkeypatch) -> None:
    def add_reader(self, fd, callback, *args):  # as 3.11.2 has it: whether or not it is paused
        if not self._closing:
            self._loop._add_reader(fd, callback, *args)

    monkeypatch.setattr(selector_events._SelectorTransport, "_add_reader", add_reader)
    async with Box(directory=directory(), proxies=LOOPBACK) as box:
        wire = await box.connect(greeted=False)
        wire.send(V2)
        assert (await wire.reply()).startswith("220")
        assert box.sessions.open_from("203.0.113.9") == 1


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_listed_proxy_names_the_client(header: bytes, pieces: int) -> None:
    async with Box(directory=directory(), proxies=LOOPBACK) as box:
        wire = await box.connect(greeted=False)
        size = len(header) // pieces + 1
        for at in range(0, len(header), size):
            wire.send(header[at : at + size])
            await asyncio.sleep(0.02)
        assert (await wire.reply()).startswith("220")
        assert box.sessions.open_from("203.0.113.9") == 1
        assert box.sessions.open_from("127.0.0.1") == 0
        box.change(trusted=((LOOPBACK[0], credential()),))  # the proxy is, its clients are not
        await wire.ask("EHLO x")
        assert (await wire.ask("MAIL FROM:<a@b.example>")).startswith("530")
        await wire.close()


async def test_commands_behind_the_header_are_kept() -> None:
    async with Box(directory=trusting(), proxies=LOOPBACK) as box:
        wire = await box.connect(greeted=False)
        wire.send(V1 + b"EHLO x\r\nQUIT\r\n")
        assert [reply[:3] async for reply in wire.rest()] == ["220", "250", "221"]
        await wire.close()


async def test_a_proxy_may_stand_before_implicit_tls() -> None:
    async with Box(directory=trusting(), proxies=LOOPBACK, mode=TlsMode.IMPLICIT) as box:
        reader, writer = await asyncio.open_connection("127.0.0.1", box.port)
        writer.write(V2)
        await writer.start_tls(tls.contexts()[1])
        wire = Wire(reader, writer)
        assert (await wire.reply()).startswith("220")
        assert box.sessions.open_from("203.0.113.9") == 1
        await wire.close()


async def test_a_listed_proxy_that_says_no_header_is_cut() -> None:
    async with Box(directory=trusting(), proxies=LOOPBACK) as box:
        wire = await box.connect(greeted=False)
        wire.send(b"EHLO x\r\n")
        assert await wire.is_closed()
        await wire.close()


async def test_a_proxy_that_hangs_up_leaves_nothing() -> None:
    async with Box(directory=trusting(), proxies=LOOPBACK) as box:
        wire = await box.connect(greeted=False)
        wire.send(V1[:10])
        await asyncio.sleep(0.05)
        await wire.close()
        await asyncio.sleep(0.05)
        assert box.sessions.open == 0


async def test_a_header_from_others_is_junk() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.connect()
        assert (await wire.ask(V1)).startswith("500 5.5.1")
        wire.send(V2)
        assert (await wire.reply()).startswith(("500", "521"))
        assert box.sessions.open_from("127.0.0.1") == 1
        await wire.close()


# -- the end of a process ------------------------------------------------------------------------


async def test_draining_ends_idle_sessions_and_lets_messages_finish() -> None:
    async with Box(directory=trusting()) as box:
        box.intake.hold = asyncio.Event()
        idle, sending, storing = [await box.ready() for _ in range(3)]
        for wire in (sending, storing):
            await wire.begin()
            await wire.ask("DATA")
        storing.send(b"one\r\n.\r\n")
        await box.intake.entered.wait()
        draining = asyncio.ensure_future(drain([box.listener], box.sessions, 5))
        assert (await idle.reply()).startswith("421 4.3.2")
        assert await idle.is_closed()
        await idle.close()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", box.port)
        sending.send(b"two\r\n.\r\n")
        await asyncio.sleep(0.05)
        box.intake.hold.set()
        for wire in (sending, storing):
            assert (await wire.reply()).startswith("250")
            assert (await wire.reply()).startswith("421 4.3.2")
            await wire.close()
        assert await draining is True
        assert sorted(each.data for each in box.intake.taken) == [b"one\r\n", b"two\r\n"]


async def test_draining_cuts_what_is_left_at_the_deadline() -> None:
    async with Box(directory=trusting()) as box:
        wire = await box.ready()
        await wire.begin()
        await wire.ask("DATA")
        wire.send(b"never ending")
        await until(lambda: box.room.used)
        assert await drain([box.listener], box.sessions, 0.1) is False
        assert await wire.is_closed()
        assert (box.room.used, box.sessions.open, box.intake.taken) == (0, 0, [])
        await wire.close()


async def test_draining_with_nothing_open_is_quick() -> None:
    async with Box(directory=trusting()) as box:
        assert await drain([box.listener], box.sessions, 60) is True
