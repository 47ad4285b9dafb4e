"""The command line for tests: run in this process, on a home of its own, with what it said.

shell("tenant", "list", expect=0).out        shell.json("tenant", "create", "acme")
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from appliance.core.home import Home
from appliance.core.rpc import RpcServer
from appliance.run.cli import main

if TYPE_CHECKING:
    from pathlib import Path

HOSTNAME = "box.test"


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


class Shell:
    """Runs commands on one home."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def __call__(
        self, *words: str, expect: int = 0, typed: bytes = b"", terminal: bool = False
    ) -> Said:
        said = run("--home", str(self.home.path), *words, typed=typed, terminal=terminal)
        assert said.code == expect, f"{words}: {said}"
        return said

    def json(self, *words: str, expect: int = 0, typed: bytes = b"") -> Any:
        said = self(*words, "--json", expect=expect, typed=typed)
        return json.loads(said.out)

    def error(self, *words: str, expect: int) -> str:
        """The words of an error, which --json wraps and nothing else goes with."""
        said = self(*words, "--json", expect=expect)
        assert said.out == "", said.out
        error = json.loads(said.err)
        assert list(error) == ["error"]
        return error["error"]


class _Typed(io.TextIOWrapper):
    """Standard input, from a person or a pipe."""

    def __init__(self, typed: bytes, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(typed), "utf-8")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def run(*words: str, typed: bytes = b"", terminal: bool = False) -> Said:
    """One command line."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    stdin, sys.stdin = sys.stdin, _Typed(typed, terminal=terminal)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    finally:
        sys.stdin = stdin
    return Said(code, _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined] # a BytesIO


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as `init` makes it; making its keys takes half a second."""
    path = tmp_path_factory.mktemp("made") / "home"
    assert run("--home", str(path), "init", "--hostname", HOSTNAME).code == 0
    config = path / "pillarbox.toml"
    # One owner, however many cores the machine has; DNS that nobody answers.
    text = config.read_text().replace("#processes = 0", "processes = 1")
    text = text.replace("#nameservers = []", 'nameservers = ["127.0.0.1:9"]')
    config.write_text(text.replace("#timeout = 10", "timeout = 0.2"))
    return path


@pytest.fixture
def shell(made_home: Path, tmp_path: Path) -> Shell:
    """A box of the test's own, which does not run."""
    shutil.copytree(made_home, tmp_path / "home")
    return Shell(Home(tmp_path / "home"))


class Owner:
    """Answers like an mta process, from tables; keeps what it was asked."""

    def __init__(self, home: Home, name: str = "mta-0") -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {"shards": [0]}
        self._server = RpcServer(home.socket(name), _Handlers(self))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._do(self._server.start())

    def stop(self) -> None:
        self._do(self._server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def calls(self, method: str) -> list[Any]:
        return [payload for name, payload in self.asked if name == method]

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(5)


class _Handlers(dict[str, Any]):
    def __init__(self, owner: Owner) -> None:
        super().__init__()
        self._owner = owner

    def get(self, method: str, default: Any = None) -> Any:
        if method not in self._owner.answers:
            return default

        async def handler(payload: Any) -> Any:
            self._owner.asked.append((method, payload))
            answer = self._owner.answers[method]
            return answer(payload) if callable(answer) else answer

        return handler


@pytest.fixture
def owner(shell: Shell):
    """The owner of shard 0 of the test's box."""
    started = Owner(shell.home)
    started.start()
    yield started
    started.stop()
