"""Child: a process of the harness that answers questions, a line of JSON each, until its parent ends.

The receivers and the clients are such processes, so that neither shares an event loop or a lock with
anybody. Standard input ending, by a close or by death, ends the child. Fails as BenchError, with the
child's words.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from relay.base import BenchError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_WIDEST = 1 << 24  # octets of a line


class Child:
    """A running child, seen from its parent."""

    def __init__(self, program: Path, *words: str) -> None:
        self._name = program.stem
        self._process = subprocess.Popen(
            [sys.executable, program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, do: str, **facts: Any) -> Any:
        """The child's answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **facts}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise BenchError(f"{self._name} ended before it was asked to {do}") from error
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"{self._name} ended while it was asked to {do}")
        answer = json.loads(line)
        if "error" in answer:
            raise BenchError(f"{do}: {answer['error']}")
        return answer["answer"]

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


async def answer(handle: Callable[[dict[str, Any]], Awaitable[Any]]) -> None:
    """Be the child: answer until standard input ends."""
    reader = asyncio.StreamReader(limit=_WIDEST)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            told: dict[str, Any] = {"answer": await handle(json.loads(line))}
        except Exception as error:  # noqa: BLE001 - the parent shows it and ends
            told = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
