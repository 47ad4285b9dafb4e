"""`make run`: the laboratory sends one message through and tells its story; Ctrl-C leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.box import PILLARBOX, ROOT


async def _first_story(home: Path) -> tuple[str, float, int]:
    """What is printed until the message was delivered and seen; how long that took; the exit code."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    process = await asyncio.create_subprocess_exec(
        *PILLARBOX,
        "--home",
        str(home),
        "lab",
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    text = ""
    try:
        async with asyncio.timeout(60):
            while "Now it is your turn" not in text:
                line = await process.stdout.readline()
                assert line, text
                text += line.decode()
        took = loop.time() - started
    finally:
        os.killpg(process.pid, signal.SIGINT)
    async with asyncio.timeout(30):
        await process.communicate()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    return text, took, process.returncode


async def test_the_laboratory_shows_a_message_all_the_way_twice(tmp_path):
    home = tmp_path / "lab"
    for attempt in range(2):
        text, took, _ = await _first_story(home)
        for words in ("swaks --server", "accepted", "signed", "queued", "delivered", "seen"):
            assert words in text, text
        assert "pass rsa-sha256 d=shop.test, pass ed25519-sha256 d=shop.test" in text
        assert "Traceback" not in text, text[text.index("Traceback") - 300 :][:3000]
        assert re.search(r"admin +http://localhost:\d+/welcome/\S{43}  \(works once\)", text), text
        print(f"start {attempt + 1}: {took:.1f} s to the first delivered message")
    with contextlib.suppress(FileNotFoundError):
        assert not (home / "run" / "listeners.json").exists()
