"""`pillarbox top` of a running box: live in a terminal until q, one screen on a pipe, everything as JSON."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Point, Script
from tests.support.box import PILLARBOX, ROOT, running_box
from tests.support.letters import Letter, open_door, post
from tests.support.way import until

ZONE = {"later.test": {"MX": ["10 mx.later.test."]}, "mx.later.test": {"A": ["127.0.0.1"]}}
LATER = Script(always={Point.RCPT: "451 4.7.1 come back in an hour"})
ROWS, COLUMNS = 24, 80


async def test_top_shows_what_waits_and_leaves_the_terminal_as_it_was(tmp_path):
    async with LabDns(ZONE) as dns, Receiver(LATER) as mx:
        slow = {"retry": [300.0], "jitter": 0.0}
        async with running_box(tmp_path, dns, mx.port, queue=slow, **open_door()) as box:
            await post(box.submission, [Letter(to=f"u{n}@later.test") for n in range(5)])

            async def deferred():
                return (await box.cli("top"))["counts"] == {"deferred": 5}

            await until(deferred, seconds=20)
            await box.cli("queue", "pause", "--domain", "later.test", "--reason", "they asked")

            async def stopped():
                return (await box.cli("top"))["stops"]

            await until(stopped, seconds=20)
            found = await box.cli("top")
            assert found["destinations"][0]["domain"] == "later.test"
            assert "they asked" in found["stops"][0]
            assert {one["name"] for one in found["processes"]} >= {
                "mta-0",
                "worker",
                "web",
                "inbound",
            }
            command = [*PILLARBOX, "--home", str(box.home.path), "top"]
            once = await _piped(*command)
            assert "\x1b" not in once
            assert {"DESTINATION", "EGRESS"} <= set(once.split())
            code, seen = await asyncio.to_thread(_typed_q, command)
    assert code == 0
    assert _draws(seen) >= 2
    assert "later.test" in seen
    assert "\x1b[?1049h" in seen
    assert seen.rindex("\x1b[?1049l") > seen.rindex("later.test"), "the page before is back"
    assert "\x1b[?25h" in seen, "so is the cursor"


async def _piped(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


def _typed_q(command: list[str]) -> tuple[int, str]:
    """Watch it in a terminal for two redraws, type q; the exit code and everything it wrote."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm", "COLUMNS": "", "LINES": ""}
        os.chdir(ROOT)
        os.execv(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    seen, end = "", time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            seen += os.read(terminal, 65536).decode("utf-8", "replace")
        except OSError:
            break
        if _draws(seen) >= 2:
            os.write(terminal, b"q")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen


def _draws(seen: str) -> int:
    """How often the screen was drawn, by its first line."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen).count("pillarbox  box.test")
