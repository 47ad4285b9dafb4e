"""Ours: this box, set up and started as in production, with nothing switched off but the pace of one receiver.

    home        made by `initialise`; tenant, sending domain with RSA-2048 and Ed25519 keys, both of which
                sign every message (the peer signs once, with RSA-2048)
    in          127.0.0.0/8 may relay for the tenant without AUTH: smtp-source knows none; and a login
                of the tenant for those who say STARTTLS
    out         MX look-ups at a resolver in a process of its own (resolver.py), port of the sink
    shaping     the shipped file; only how fast a receiver without a name is written to is raised, since one sink
                stands for all of them
    all else    defaults: fsync before 250, VERP for each recipient, events and history, the log at
                `info` into a file, default limits, `pillarbox serve` with all its processes

The log is kept in the work directory and shown when the box does not start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from appliance.core.database import open_engine
from appliance.core.errors import NotRunningError
from appliance.core.home import Home
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.core.settings import Settings
from appliance.core.settings_reference import to_toml
from appliance.credentials import Credentials
from appliance.domains import Domains
from appliance.lab.world import add_records
from appliance.run.directory import box_names, queue_life_ms
from appliance.run.initialise import initialise
from appliance.run.sockets import published
from appliance.tenancy import Tenants
from relay import resolver
from relay.base import (
    SENDER,
    SENDING_DOMAIN,
    BenchError,
    Door,
    free_port,
    tail,
    wait_for_port,
)

if TYPE_CHECKING:
    from appliance.lab.dns_server import Zone

TENANT: Final = "bench"
HOSTNAME: Final = "box.example"
_SCOPE: Final = Scope.system(by="bench")
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 60.0


class Pillarbox:
    """One box in a home of its own."""

    name = "pillarbox"
    aftercare = 7.0  # finished messages are purged five seconds after they are done

    def __init__(self, work: Path, *, processes: int = 0, dns_delay: float = 0.0) -> None:
        self.port, self.sink_port = 0, free_port()
        self.door = Door(port=0)
        self.dns: dict[str, str] = {}
        self.home = Home(work / "home")
        self._log, self._dns_port = work / "pillarbox.log", free_port()
        self._mta_processes, self._dns_delay = processes, dns_delay
        self._server: subprocess.Popen[bytes] | None = None
        self._box: subprocess.Popen[bytes] | None = None
        self._read, self._pids = 0, dict[str, int]()

    def start(self) -> None:
        """Make the home, serve DNS, serve the box."""
        zone, people = asyncio.run(self.make())
        self.dns = {name: types["TXT"][0] for name, types in zone.items() if "TXT" in types}
        self._server = resolver.start(zone, ("127.0.0.1", self._dns_port), self._dns_delay)
        self._box = self._serve()
        self.port = self._submission_port()
        self.door = Door(port=self.port, people=people)
        wait_for_port(self.port, self._box, self._log)

    async def make(self) -> tuple[Zone, tuple[tuple[str, str, str], ...]]:
        """The home; what its DNS has to say, and who sends over TLS: user name, password, sender."""
        settings = self.settings()
        zone = await make_home(self.home, settings)
        return zone, (await make_login(self.home, settings),)

    def stop(self) -> None:
        """The box drains; what does not end in time is killed with its children."""
        if self._box is not None and self._box.poll() is None:
            self._box.terminate()
            try:
                self._box.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._box.kill()  # its children see its pipe close, and drain
                self._box.wait()
        if self._server is not None:
            resolver.stop(self._server)

    def roots(self) -> tuple[int, ...]:
        """The supervisor."""
        assert self._box is not None
        return (self._box.pid,)

    def parts(self) -> dict[str, int]:
        """The processes of the box, as the supervisor's log names them."""
        with self._log.open("rb") as file:
            file.seek(self._read)
            for line in file:
                self._read += len(line)
                self._note(line)
        return dict(self._pids)

    def waiting(self) -> int:
        """Not asked: asking is a process of its own. What came out is counted at the sink."""
        return 0

    def complaints(self) -> list[str]:
        """What its log says in warnings and errors, each text once, with how often."""
        found = Counter[str]()
        for line in self._log.read_bytes().splitlines():
            with contextlib.suppress(ValueError):  # a line for people
                entry = json.loads(line)
                if entry["level"] not in ("info", "debug"):
                    found[f"{entry['level']} of {entry['process']}: {entry['text']}"] += 1
        return [f"{count} x {words}" for words, count in found.most_common(20)]

    def _note(self, line: bytes) -> None:
        """ "mta-0 runs with pid 4711" """
        if b" runs with pid " in line:
            name, *_, pid = json.loads(line)["text"].split()
            self._pids[name] = int(pid)

    def _serve(self) -> subprocess.Popen[bytes]:
        program = Path(sys.executable).with_name("pillarbox")
        command = [program, "--home", self.home.path, "serve"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PILLARBOX_")}
        with self._log.open("ab") as out:
            return subprocess.Popen(command, stdout=out, stderr=out, env=environment)

    def _submission_port(self) -> int:
        assert self._box is not None
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._box.poll() is None:
            try:
                return published(self.home)["submission"][1]
            except NotRunningError:
                time.sleep(0.05)
        raise BenchError(f"the box does not start:\n{tail(self._log)}")

    def settings(self) -> Settings:
        """As its configuration file says."""

        def place(tls: str) -> dict[str, Any]:
            return {"address": "127.0.0.1", "port": 0, "tls": tls}

        trusted = {"network": "127.0.0.0/8", "tenant": TENANT}
        return msgspec.convert(
            {
                "box": {"hostname": HOSTNAME},
                "listeners": {
                    "submission": place("starttls"),
                    "submissions": place("implicit"),
                    "inbound": place("starttls"),
                    "web": place("none"),
                },
                "submission": {"trusted_networks": [trusted]},
                "dns": {"nameservers": [f"127.0.0.1:{self._dns_port}"]},
                "delivery": {"remote_port": self.sink_port, "allow_private_addresses": True},
                "spool": {"processes": self._mta_processes},
            },
            Settings,
        )


_PACE: Final = {'connection_rate = "100/min"': "1000000/min", 'message_rate = "100/s"': "1000000/s"}


def shaping() -> str:
    """The file as it is shipped, but for the pace of receivers without a name: one sink stands for all of them.

    So every rule is asked and every rate is kept count of, as in production, and none of them is reached.
    """
    text = (Path(__file__).parents[2] / "config" / "shaping.toml").read_text(encoding="utf-8")
    for line, rate in _PACE.items():
        if text.count(f"\n{line}\n") != 1:
            raise BenchError(f"config/shaping.toml has not the one line {line}")
        text = text.replace(line, f'{line.partition(" ")[0]} = "{rate}"')
    return text


async def make_home(home: Home, settings: Settings) -> Zone:
    """A box with one tenant and one verified domain; returns what its DNS has to say."""
    home.create()
    home.config_file.write_text(to_toml(settings), encoding="utf-8")
    (home.path / "shaping.toml").write_text(shaping(), encoding="utf-8")
    engine = open_engine(home.control_db)
    try:
        made = await initialise(home, settings, engine)
        tenant = await Tenants(engine).create(_SCOPE, name=TENANT)
        domains = Domains(
            engine, made.keys, box_names(settings), queue_life=queue_life_ms(settings)
        )
        domain = await domains.create(
            _SCOPE, tenant_id=tenant.id, name=SENDING_DOMAIN, assume_verified=True
        )
        zone: Zone = {
            HOSTNAME: {"A": ["127.0.0.1"]},
            "dst.example": {"MX": ["10 mx.dst.example."]},
            "mx.dst.example": {"A": ["127.0.0.1"]},
        }
        add_records(zone, domains.records(made.box_domain))
        add_records(zone, domains.records(domain))
    finally:
        await engine.dispose()
    return zone


async def make_login(home: Home, settings: Settings) -> tuple[str, str, str]:
    """A login of the tenant: user name, password, sender."""
    engine = open_engine(home.control_location(settings))
    try:
        tenant = await Tenants(engine).get(_SCOPE, TENANT)
        credentials = Credentials(engine, MasterKeys.load(home.keys_file))
        made = await credentials.create(_SCOPE, tenant, name="app")
    finally:
        await engine.dispose()
    return made.username, made.password, SENDER
