"""Lab: the whole box on loopback with high ports, and a small world to send to.

It sets itself up (home, tenant, domain with keys, a fresh login), publishes the domain's records in
its own DNS, starts the box, sends one message through and prints what happens to it as it happens.
Ctrl-C stops all. Nothing leaves the machine: every name resolves to loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from appliance.core import clock, tasks
from appliance.core import log as logs
from appliance.core.database import open_engine
from appliance.core.dns import Resolver
from appliance.core.errors import ConfigError, ConflictError, NotFoundError, NotRunningError
from appliance.core.home import Home
from appliance.core.scope import Scope
from appliance.core.settings import Settings
from appliance.core.settings_reference import to_toml
from appliance.credentials import Credentials, Policy
from appliance.domains import Domains
from appliance.lab.world import BOX_ADDRESS, HOSTS, World, add_records, base_zone
from appliance.run.demo import Demo
from appliance.run.directory import box_names, queue_life_ms
from appliance.run.initialise import initialise
from appliance.run.one_box import claim
from appliance.run.people import welcome_link
from appliance.run.plans import plans
from appliance.run.process import fork
from appliance.run.sockets import published
from appliance.run.supervisor import Supervisor
from appliance.suppressions import SuppressionList
from appliance.tenancy import Tenants

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.credentials import IssuedLogin
    from appliance.lab.dns_server import Zone

HOSTNAME: Final = "box.test"
TENANT: Final = "lab"
DOMAIN: Final = "shop.test"
_SCOPE: Final = Scope.system(by="lab")
_PREFERRED: Final = {
    "submission": 2587,
    "submissions": 2465,
    "inbound": 2525,
    "web": 8025,
    "dns": 5353,
    "world": 2526,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A laboratory that is ready to start."""

    home: Home
    settings: Settings
    login: IssuedLogin
    welcome: str  # the first admin's one-time link; "" once there is an admin
    zone: Zone
    dns_port: int
    world_port: int


def run_lab(home_path: Path, *, quiet: bool = False) -> int:
    """Set up, start, show one message, and run until Ctrl-C. Returns the exit code."""
    logs.setup("lab", "warning")
    started = clock.monotonic()
    lab = asyncio.run(prepare(Home(home_path)))
    logs.setup("supervisor", lab.settings.logging.level)
    claim(lab.home)
    pid = _start_world(lab, started, quiet=quiet)
    try:
        return Supervisor(lab.home, lab.settings, plans(lab.home, lab.settings)).run()
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


async def prepare(home: Home) -> Lab:
    """The home with a tenant, a domain and a fresh login, and the zone that the world serves."""
    ports = choose_ports()
    settings = lab_settings(ports)
    home.create()
    home.config_file.write_text(to_toml(settings), encoding="utf-8")
    engine = open_engine(home.control_db)
    try:
        made = await initialise(home, settings, engine)
        tenants, credentials = Tenants(engine), Credentials(engine, made.keys)
        domains = Domains(
            engine, made.keys, box_names(settings), queue_life=queue_life_ms(settings)
        )
        try:
            tenant = await tenants.get(_SCOPE, TENANT)
        except NotFoundError:
            tenant = await tenants.create(_SCOPE, name=TENANT)
        try:
            domain = await domains.create(_SCOPE, tenant_id=tenant.id, name=DOMAIN)
        except ConflictError:
            domain = await domains.get(_SCOPE, DOMAIN, tenant_id=tenant.id)
        login = await credentials.create(
            _SCOPE, tenant, name=f"lab-{clock.now_ms()}", policy=Policy()
        )
        suppressions = SuppressionList(engine)
        for entry in await suppressions.list(Scope.tenant(tenant.id)):
            # What bounced in an earlier run is to bounce again, not to be suppressed.
            await suppressions.remove(_SCOPE, entry.target, tenant_id=tenant.id)
        welcome = await welcome_link(settings, engine)
        zone = base_zone()
        zone[HOSTNAME] = {"A": [BOX_ADDRESS]}
        add_records(zone, domains.records(made.box_domain))
        add_records(zone, domains.records(domain))
    finally:
        await engine.dispose()
    return Lab(
        home=home,
        settings=settings,
        login=login,
        welcome=welcome,
        zone=zone,
        dns_port=ports["dns"],
        world_port=ports["world"],
    )


def lab_settings(ports: dict[str, int]) -> Settings:
    """A box for loopback: high ports, the laboratory's DNS, short waits."""
    listeners = {
        name: {"address": "127.0.0.1", "port": ports[name], "tls": tls}
        for name, tls in [
            ("submission", "starttls"),
            ("submissions", "implicit"),
            ("inbound", "starttls"),
            ("web", "none"),
        ]
    }
    return msgspec.convert(
        {
            "box": {"hostname": HOSTNAME, "postmaster": f"postmaster@{DOMAIN}"},
            "listeners": listeners,
            "dns": {"nameservers": [f"127.0.0.1:{ports['dns']}"], "timeout": 3.0, "min_ttl": 1},
            "delivery": {
                "remote_port": ports["world"],
                "allow_private_addresses": True,
            },
            "queue": {"retry": [2.0, 4.0, 8.0, 60.0], "lifetime": 600.0, "bulk_lifetime": 300.0},
            "logging": {"level": "warning"},
            "processes": {"drain_timeout": 5.0},
        },
        Settings,
    )


def choose_ports() -> dict[str, int]:
    """The usual port for each service, or a free one where another program has that."""
    ports: dict[str, int] = {}
    for name, preferred in _PREFERRED.items():
        addresses = tuple(HOSTS) if name == "world" else (BOX_ADDRESS,)
        for port in (preferred, *range(preferred + 1000, preferred + 1050)):
            if all(_is_free(address, port) for address in addresses):
                ports[name] = port
                break
        else:
            raise ConfigError(f"no free port for {name} near {preferred}: stop what listens there")
    return ports


def _is_free(address: str, port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def _start_world(lab: Lab, started: float, *, quiet: bool) -> int:
    """Fork the world before the supervisor starts; it ends with us."""

    def world() -> int:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        asyncio.run(_world(lab, started, quiet=quiet))
        return 0

    return fork(world)


async def _world(lab: Lab, started: float, *, quiet: bool) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    listener = lab.settings.listeners.inbound
    demo = Demo(lab.home, lab.settings, lab.login, started, welcome=lab.welcome, quiet=quiet)
    world = World(lab.zone, lab.home.path / "caught", (BOX_ADDRESS, listener.port), demo.caught)
    await world.start(dns_port=lab.dns_port, smtp_port=lab.world_port)
    await _check_domain(lab)
    await _until_ready(lab)
    show = tasks.spawn(demo.run(), name="the first message of the laboratory")
    await stop.wait()
    show.cancel()
    await world.stop()


async def _check_domain(lab: Lab) -> None:
    """Prove the domain as its owner would: by the records in DNS."""
    from appliance.core.secrets import MasterKeys  # noqa: PLC0415 - after the fork

    engine = open_engine(lab.home.control_db)
    try:
        keys = MasterKeys.load(lab.home.keys_file)
        domains = Domains(
            engine, keys, box_names(lab.settings), queue_life=queue_life_ms(lab.settings)
        )
        tenant = await Tenants(engine).get(_SCOPE, TENANT)
        await domains.check(_SCOPE, DOMAIN, Resolver(lab.settings.dns), tenant_id=tenant.id)
    finally:
        await engine.dispose()


async def _until_ready(lab: Lab) -> None:
    """Wait until the submission listener greets."""
    place = lab.settings.listeners.submission
    while True:
        try:
            published(lab.home)
            reader, writer = await asyncio.open_connection(place.address, place.port)
            await reader.readline()
            writer.close()
            return
        except (OSError, NotRunningError):
            await asyncio.sleep(0.05)
