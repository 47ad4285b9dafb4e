"""A whole box in processes of its own, on loopback, with a laboratory world inside the test.

async with running_box(tmp_path, world) as box: ... box.submission (address, port), box.cli("queue", "list")
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from appliance.core.database import open_engine
from appliance.core.home import Home
from appliance.core.scope import Scope
from appliance.core.settings import Settings
from appliance.core.settings_reference import to_toml
from appliance.credentials import Credentials, IssuedLogin, Policy
from appliance.domains import Domains
from appliance.lab.dns_server import LabDns
from appliance.lab.world import add_records
from appliance.run.directory import box_names, queue_life_ms
from appliance.tenancy import Tenants
from tests.support.cli import Said, run
from tests.support.homes import initialised
from tests.support.nursery import Nursling, start

SCOPE = Scope.system(by="test")
TENANT, DOMAIN, HOSTNAME = "acme", "shop.test", "box.test"
PILLARBOX = [sys.executable, "-m", "appliance.run.cli"]
ROOT = Path(__file__).parents[2]


@dataclass
class RunningBox:
    """A box that serves."""

    home: Home
    process: asyncio.subprocess.Process | Nursling
    login: IssuedLogin
    dns: LabDns
    tenant_id: int = 0
    log: Path = Path()
    places: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def submission(self) -> tuple[str, int]:
        return self.places["submission"]

    @property
    def inbound(self) -> tuple[str, int]:
        return self.places["inbound"]

    @property
    def web(self) -> str:
        address, port = self.places["web"]
        return f"http://{address}:{port}"

    def pids(self) -> dict[str, int]:
        """Pids of the processes, by name, from the log of the supervisor."""
        found: dict[str, int] = {}
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError, KeyError):
                words = json.loads(line).get("text", "").split()
                if len(words) == 5 and words[1:4] == ["runs", "with", "pid"]:
                    found[words[0]] = int(words[4])
        return {name: pid for name, pid in found.items() if _alive(pid)}

    async def cli(self, *words: str, expect: int = 0) -> Any:
        """Run a command with --json; its answer. Within this process, which saves its start."""
        return _answer(words, await asyncio.to_thread(_run_here, self._line(words)), expect)

    async def command(self, *words: str, expect: int = 0) -> Any:
        """The same in a process of its own, as a shell runs it."""
        process = await asyncio.create_subprocess_exec(
            *PILLARBOX,
            *self._line(words),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        said = Said(process.returncode or 0, out.decode(), err.decode())
        return _answer(words, said, expect)

    def _line(self, words: tuple[str, ...]) -> list[str]:
        return ["--home", str(self.home.path), *words, "--json"]

    async def healthy(self) -> bool:
        try:
            # Reading the machine's certificates costs more than the question, which needs none.
            async with httpx.AsyncClient(verify=False, trust_env=False) as client:
                return (await client.get(f"{self.web}/health", timeout=5)).status_code == 200
        except httpx.HTTPError:
            return False

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 60)


_ONE_AT_A_TIME = threading.Lock()  # a command says what it says on the output of the process


def _run_here(line: list[str]) -> Said:
    with _ONE_AT_A_TIME:
        return run(*line)


def _answer(words: tuple[str, ...], said: Said, expect: int) -> Any:
    assert said.code == expect, f"{words}: {said}"
    text = said.out.strip() or said.err.strip()
    return json.loads(text) if text else None


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def make_home(
    path: Path, dns: LabDns, remote_port: int, **changes: Any
) -> tuple[Home, IssuedLogin, int]:
    """A home with one tenant, one verified domain whose records are published, and one login."""
    home = Home(path)
    policy = changes.pop("policy", None) or Policy()
    settings = box_settings(dns.address, remote_port, changes)
    home.create()
    home.config_file.write_text(to_toml(settings), encoding="utf-8")
    made = await initialised(home, settings)
    engine = open_engine(home.control_location(settings))
    try:
        tenant = await Tenants(engine).create(SCOPE, name=TENANT)
        domains = Domains(
            engine, made.keys, box_names(settings), queue_life=queue_life_ms(settings)
        )
        domain = await domains.create(SCOPE, tenant_id=tenant.id, name=DOMAIN, assume_verified=True)
        add_records(dns.zone, domains.records(made.box_domain))
        add_records(dns.zone, domains.records(domain))
        login = await Credentials(engine, made.keys).create(
            SCOPE, tenant, name="app", policy=policy
        )
    finally:
        await engine.dispose()
    return home, login, tenant.id


def box_settings(nameserver: str, remote_port: int, changes: dict[str, Any]) -> Settings:
    """Loopback, ports given by the system, short waits."""
    place = {"address": "127.0.0.1", "port": 0}
    values: dict[str, Any] = {
        "box": {"hostname": HOSTNAME},
        "listeners": {
            "submission": {**place, "tls": "starttls"},
            "submissions": {**place, "tls": "implicit"},
            "inbound": {**place, "tls": "starttls"},
            "web": {**place, "tls": "none"},
        },
        "dns": {"nameservers": [nameserver], "timeout": 2.0, "min_ttl": 1},
        "delivery": {"remote_port": remote_port, "allow_private_addresses": True},
        "spool": {"processes": 1},
        "queue": {"retry": [0.5, 1.0], "lifetime": 600.0, "jitter": 0.0},
        "processes": {"drain_timeout": 5.0},
        "shaping": {"file": str(ROOT / "tests/data/shaping/fast.toml")},
    }
    for name, section in changes.items():
        values[name] = {**values.get(name, {}), **section}
    return msgspec.convert(values, Settings)


@contextlib.asynccontextmanager
async def running_box(
    path: Path, dns: LabDns, remote_port: int, *, wrap: tuple[str, ...] = (), **changes: Any
) -> AsyncIterator[RunningBox]:
    """Start a box and wait until it is healthy; stop it at the end."""
    home, login, tenant_id = await make_home(path / "home", dns, remote_port, **changes)
    async with serving(home, login, dns, tenant_id, path / "box.log", wrap=wrap) as box:
        yield box


@contextlib.asynccontextmanager
async def serving(
    home: Home,
    login: IssuedLogin,
    dns: LabDns,
    tenant_id: int,
    log: Path,
    *,
    wrap: tuple[str, ...] = (),
) -> AsyncIterator[RunningBox]:
    """`pillarbox serve` on a home that exists; behind `wrap` as a program that starts from nothing."""
    line = ["--home", str(home.path), "serve"]
    process: asyncio.subprocess.Process | Nursling
    if wrap:
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *wrap, *PILLARBOX, *line, cwd=ROOT, stdout=output, stderr=output
            )
    else:
        process = await asyncio.to_thread(start, line, log)
    box = RunningBox(home, process, login, dns, tenant_id, log)
    try:
        await _until_healthy(box)
        yield box
    finally:
        try:
            await box.stop()
        except TimeoutError:
            for pid in [*box.pids().values(), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise


async def _until_healthy(box: RunningBox, seconds: float = 60) -> None:
    end = asyncio.get_running_loop().time() + seconds
    listeners = box.home.run_dir / "listeners.json"
    while asyncio.get_running_loop().time() < end:
        assert box.process.returncode is None, f"the box ended: {box.log.read_text()[-4000:]}"
        if listeners.exists():
            found = json.loads(listeners.read_bytes() or b"{}")
            box.places = {name: (place[0], place[1]) for name, place in found.items()}
            if box.places and await box.healthy():
                return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the box is not healthy: {box.log.read_text()[-4000:]}")
