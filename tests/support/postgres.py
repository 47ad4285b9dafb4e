"""A throw-away PostgreSQL server for the tests: private directory, loopback, no fsync.

Uses Debian's binaries (apt-get install postgresql when root and they are missing). The server refuses
to run as root, so it runs as the user `postgres` or `nobody` then. It ends with the tests, by its pid.
Outside of CI a machine without it skips the PostgreSQL half, loudly; in CI that is a failure.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.apt import install
from tests.support.third_party import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 30
_ON = {True: "on", False: "off"}
_QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}


def find_binaries() -> Path | None:
    """The newest server's bin directory."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve().parent)
    return max(found, key=_version, default=None)


def _version(binaries: Path) -> float:
    with contextlib.suppress(ValueError):
        return float(binaries.parent.name)
    return 0.0


def provide_binaries() -> Path:
    """Find the server, install it if that is allowed, or end the test with words."""
    binaries = find_binaries()
    if binaries is None and install("postgresql"):
        binaries = find_binaries()
    return binaries or missing("PostgreSQL", "postgresql")


class Server:
    """One running server."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self._folder, self._process, self._port = folder, process, port

    @property
    def url(self) -> str:
        return f"postgresql://pillarbox@127.0.0.1:{self._port}/postgres"

    def create(self, name: str) -> str:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url.rpartition("/")[0] + f"/{name}"

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # fast shutdown: clients are cut off
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def start(*, durable: bool = False) -> Server:
    """Make a cluster and start its server; a second or two. `durable`: as in earnest, with fsync."""
    binaries = provide_binaries()
    folder = Path(tempfile.mkdtemp(prefix="pillarbox-pg-"))
    user = _server_user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    data, port = folder / "data", _free_port()
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        **dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), _ON[durable]),
        "max_connections": 100,
        "shared_buffers": "32MB",
        "autovacuum": _ON[durable],
        "jit": "off",
    }
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    make = [binaries / "initdb", "-D", data, "-U", "pillarbox", "-A", "trust", "-N", "-E", "UTF8"]
    subprocess.run([*make, "--locale=C"], check=True, cwd=folder, **_QUIET, **_as(user))
    with (folder / "log").open("wb") as log:
        run = [binaries / "postgres", "-D", data, *options]
        process = subprocess.Popen(
            run, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_as(user)
        )
    server = Server(folder, process, port)
    _wait_until_ready(server, process, folder / "log")
    return server


def _server_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("PostgreSQL will not run as root, and there is no user postgres or nobody")


def _as(user: pwd.struct_passwd | None) -> dict[str, object]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(server.url, connect_timeout=2).close()
            return
        time.sleep(0.05)
    words = log.read_text(errors="replace")[-2000:]
    server.stop()
    raise RuntimeError(f"PostgreSQL did not start:\n{words}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for all tests of this process; started when the first asks."""
    server = start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def scratch(postgres_server: Server) -> Iterator[Scratch]:
    """A database for tests that want an empty one."""
    url = postgres_server.create("scratch")
    with psycopg.connect(url, autocommit=True) as connection:
        yield Scratch(url, connection)


@dataclass
class Scratch:
    """One database and a connection that stays: what a new one has to learn takes 20 ms each time."""

    url: str
    connection: psycopg.Connection

    def emptied(self) -> str:
        """Emptied, not made anew: making one takes 300 ms."""
        cut_off_others(self.connection)
        self.connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return self.url


@pytest.fixture
def postgres_url(scratch: Scratch) -> str:
    """An empty database."""
    return scratch.emptied()


def cut_off_others(connection: psycopg.Connection) -> None:
    """End what an earlier test left connected to this database: it may hold locks."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
