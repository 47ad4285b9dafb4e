"""A crowd, a flood, a slow loris, an endless line, no memory: bounded, and the others are served."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from appliance.core.free_memory import available
from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Script
from tests.support.box import HOSTNAME, running_box
from tests.support.crowd import Served, crowd, flood, guest, many_files, open_files, pss
from tests.support.way import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.box import RunningBox

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
MIB = 1 << 20
IDLE = 5000
ALONE = pytest.mark.alone


@contextlib.asynccontextmanager
async def box_of(
    path: Path,
    spool: dict[str, Any] | None = None,
    inbound: dict[str, Any] | None = None,
    **submission: Any,
) -> AsyncIterator[RunningBox]:
    trust = [{"network": "127.0.0.0/8", "tenant": "acme"}]
    async with LabDns(ZONE) as dns, Receiver(Script(keep=False)) as mx:
        async with running_box(
            path,
            dns,
            mx.port,
            spool={"processes": 1, **(spool or {})},
            wrap=("env",),  # what is measured shares nothing with the tests
            submission={"trusted_networks": trust, **submission},
            inbound=inbound or {},
        ) as box:
            yield box


def anything() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@ALONE
async def test_five_thousand_idle_connections_take_little_and_others_are_served(tmp_path):
    with many_files(IDLE + 500):
        async with box_of(tmp_path) as box:
            pid = box.pids()["mta-0"]
            first = await guest(box.submission, "127.0.0.2")
            await first.message("u@good.test")
            first.leave()
            before = pss(pid)
            guests = await crowd(box.submission, IDLE)
            each = (pss(pid) - before) / IDLE
            async with Served(box.submission, "127.0.0.2") as served:
                await until(lambda: served.count >= 50, seconds=60)
            assert served.refused == []
            still = [one for one in guests[::50] if (await one.ask("NOOP")).startswith("250")]
            assert len(still) == IDLE / 50
            for one in guests:
                one.leave()
            await until(lambda: open_files(pid) < 500, seconds=30)
    print(f"{each / 1024:.1f} KB an idle connection")
    assert each <= 64 * 1024


@ALONE
async def test_idle_connections_under_tls_take_little_too(tmp_path):
    async with box_of(tmp_path) as box:
        pid = box.pids()["mta-0"]
        (await crowd(box.places["submissions"], 1, anything()))[0].leave()
        before = pss(pid)
        guests = await crowd(box.places["submissions"], 300, anything())
        each = (pss(pid) - before) / len(guests)
        for one in guests:
            one.leave()
    print(f"{each / 1024:.1f} KB an idle connection under TLS")
    assert each <= 100 * 1024


async def test_a_slow_loris_in_every_phase_is_cut_and_others_are_served(tmp_path):
    async with box_of(tmp_path, idle_timeout=4.0, session_timeout=20.0) as box:
        place, implicit = box.submission, box.places["submissions"]
        sources = [f"127.0.8.{number}" for number in range(1, 21)]
        answers: dict[str, list[str]] = {}

        async def silent(source: str) -> str:
            return await (await guest(place, source, hello=False)).last()

        async def command(source: str) -> str:
            return await (await guest(place, source)).drip(b"NOOP ", 0.1)

        async def envelope(source: str) -> str:
            one = await guest(place, source)
            await one.ask("MAIL FROM:<orders@shop.test>")
            return await one.drip(b"RCPT TO:<", 0.1)

        async def data(source: str) -> str:
            one = await guest(place, source)
            await one.ask("MAIL FROM:<orders@shop.test>")
            await one.ask("RCPT TO:<u@good.test>")
            await one.ask("DATA")
            return await one.drip(b"Subject: hello\r\n", 0.1)

        async def login(source: str) -> str:
            one = await guest(implicit, source, anything())
            await one.ask("AUTH LOGIN")
            return await one.drip(b"c2hv", 0.1)

        async def handshake(source: str) -> str:
            """Its time is fixed (20 s), and the session is cut without a word."""
            reader, writer = await asyncio.open_connection(*implicit, local_addr=(source, 0))
            writer.write(b"\x16\x03\x01")
            async with asyncio.timeout(40):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read(10) == b""
            writer.close()
            return "cut"

        async def phase(name: str, one: Any) -> None:
            answers[name] = await asyncio.gather(*map(one, sources))

        async with Served(place, "127.0.0.2") as served:
            phases = (silent, command, envelope, data, login, handshake)
            await asyncio.gather(*(phase(each.__name__, each) for each in phases))
        assert served.refused == []
        assert served.count > 20
        for name, heard in answers.items():
            wanted = "cut" if name == "handshake" else "421 4.4.2"
            assert {answer[: len(wanted)] for answer in heard} == {wanted}, name


@ALONE
@pytest.mark.parametrize(
    ("door", "process", "to"),
    [("submission", "mta-0", "u@good.test"), ("inbound", "inbound", f"postmaster@{HOSTNAME}")],
)
async def test_a_flood_from_one_address_leaves_others_served_and_memory_flat(
    tmp_path, door, process, to
):
    """100,000 connections a minute are 1,667 a second; bench/idle_connections.py does a whole minute."""
    many = {"max_barren_connections_per_minute": 1000}
    notices = {**many, "max_messages_per_minute_per_address": 60_000}
    async with box_of(tmp_path, inbound=notices, **many) as box:
        pid, place = box.pids()[process], box.places[door]
        await flood(place, "127.0.0.3", 500)
        before, files = pss(pid), open_files(pid)
        async with Served(place, "127.0.0.2", to) as served:
            met = await flood(place, "127.0.0.3", 12_000)
        grown, more = pss(pid) - before, open_files(pid) - files
        log = box.log.read_text()
    print(
        f"{12_000 / met.seconds:.0f} connections/s, {met}; the others' slowest {served.slowest:.2f} s"
    )
    assert served.refused == []
    assert served.count > 10
    assert met.refused > 5000
    assert grown < 16 * MIB
    assert more < 100
    assert log.count("bring nothing") <= 5


@ALONE
@pytest.mark.parametrize(
    ("door", "phase"),
    [("submission", "command"), ("submission", "data"), ("inbound", "command")],
)
async def test_a_line_of_64_mb_is_refused_in_bounded_memory(tmp_path, door, phase):
    async with box_of(tmp_path, max_message_bytes=8 * MIB) as box:
        pid = box.pids()["inbound" if door == "inbound" else "mta-0"]
        one = await guest(box.places[door], "127.0.0.3")
        if phase == "data":
            await one.ask("MAIL FROM:<orders@shop.test>")
            await one.ask("RCPT TO:<u@good.test>")
            await one.ask("DATA")
        before = peak = pss(pid)
        heard = asyncio.ensure_future(one.reply())
        async with Served(box.submission, "127.0.0.2") as served:
            with contextlib.suppress(ConnectionError):
                for _ in range(64):
                    one.writer.write(b"x" * MIB)
                    await one.writer.drain()
                    peak = max(peak, pss(pid))
            await until(lambda: served.count > 3, seconds=30)
        assert (await heard)[:9] in ("552 5.3.4", "521 5.5.2", "")
        one.leave()
        assert served.refused == []
        assert peak - before < 32 * MIB


@ALONE
async def test_too_little_memory_is_452_until_it_is_back(tmp_path):
    floor = available() - 1024 * MIB
    if floor < 1536 * MIB:
        pytest.skip("needs 2.5 GB of free memory")
    async with box_of(tmp_path, spool={"min_free_memory_bytes": floor}) as box:
        pid = box.pids()["mta-0"]
        one = await guest(box.submission, "127.0.0.2")
        assert (await one.message("u0@good.test")).startswith("250")
        program = f"x = b'x' * {2048 * MIB}; print(len(x), flush=True); input()"
        ballast = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert ballast.stdout is not None
            await ballast.stdout.readline()

            async def refused() -> bool:
                answer = await one.ask("MAIL FROM:<orders@shop.test>")
                await one.ask("RSET")
                return answer.startswith("452 4.3.1")

            await until(refused, seconds=20)
            assert not await box.healthy()
        finally:
            ballast.kill()
            await ballast.communicate()

        async def taken() -> bool:
            await one.ask("RSET")
            return (await one.message("u1@good.test")).startswith("250")

        await until(taken, seconds=20)
        await until(box.healthy, seconds=20)
        one.leave()
        assert box.pids()["mta-0"] == pid
