"""Home: a box as an administrator would set it up, and the small world that it sends to.

    tenants    wait-000 .. wait-099, whose mail waits; live, urgent and flood, who send; a domain with
               RSA and Ed25519 keys each
    in         127.0.0.0/24 relays for live, 127.0.50.0/24 for urgent, without AUTH
    out        MX look-ups at a laboratory DNS server; all receivers on one port of loopback
    egress     127.0.0.11 .. 127.0.0.18 in one pool, the default of everybody
    all else   defaults; one mta process, whatever the machine has

Nothing is made but through the rooms, so that audit, counters and keys are as in production.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from appliance.core.database import open_engine
from appliance.core.home import Home
from appliance.core.scope import Scope
from appliance.core.settings import Settings
from appliance.core.settings_file import load
from appliance.core.settings_reference import to_toml
from appliance.credentials import Credentials
from appliance.domains import Domains
from appliance.egress import Egresses, EgressRequest, PoolChange, Pools
from appliance.lab.world import add_records
from appliance.operations import Operations
from appliance.operations.model import Target
from appliance.run.directory import box_names, queue_life_ms
from appliance.run.initialise import initialise
from appliance.tenancy import Tenants
from depth.sink import FAST_SITES, MUTE, SLOW_SITES
from mta.egress import Member

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.secrets import MasterKeys
    from appliance.lab.dns_server import Zone

ROOT: Final = Path(__file__).parents[2]
WAITERS: Final = tuple(f"wait-{number:03}" for number in range(100))
LIVE, URGENT, FLOOD = "live", "urgent", "flood"
SOURCES: Final = {LIVE: "127.0.0.1", URGENT: "127.0.50.1"}
EGRESS: Final = tuple(f"127.0.0.{number}" for number in range(11, 19))
_HOSTNAME: Final = "box.example"
_SCOPE: Final = Scope.system(by="bench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Of loopback."""

    dns: int
    sink: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A home that is ready to be copied, and what its DNS says."""

    home: Home
    zone: Zone
    tenants: dict[str, int]  # id by name


async def make(path: Path, ports: Ports) -> Made:
    """The home with everybody in it."""
    home, settings = Home(path), _settings(ports)
    home.create()
    home.config_file.write_text(to_toml(settings), encoding="utf-8")
    engine = open_engine(home.control_db)
    zone, tenants = _world(), dict[str, int]()
    try:
        made = await initialise(home, settings, engine)
        names, life = box_names(settings), queue_life_ms(settings)
        domains = Domains(engine, made.keys, names, queue_life=life)
        add_records(zone, domains.records(made.box_domain))
        for name in (*WAITERS, LIVE, URGENT, FLOOD):
            tenant = await Tenants(engine).create(_SCOPE, name=name)
            tenants[name] = tenant.id
            domain = await domains.create(
                _SCOPE, tenant_id=tenant.id, name=sending_domain(name), assume_verified=True
            )
            add_records(zone, domains.records(domain))
        await make_egress(engine, made.keys)
    finally:
        await engine.dispose()
    return Made(home=home, zone=zone, tenants=tenants)


async def make_egress(engine: AsyncEngine, keys: MasterKeys) -> None:
    """Eight addresses in a pool that is everybody's default. None of them is being warmed up."""
    egresses = Egresses(engine, hostname=_HOSTNAME)
    for number, address in enumerate(EGRESS):
        await egresses.create(_SCOPE, EgressRequest(name=f"out-{number}", address=address))
    members = tuple(Member(egress=f"out-{number}") for number in range(len(EGRESS)))
    pools = Pools(engine, Tenants(engine), Credentials(engine, keys))
    await pools.set(_SCOPE, "shared", PoolChange(members=members, is_default=True))


def sending_domain(tenant: str) -> str:
    """The domain a tenant sends from."""
    return f"{tenant}.example"


def pause(home: Home, target: Target) -> None:
    """Let matching mail wait."""
    _operate(home, lambda operations: operations.pause(_SCOPE, target, reason="measured"))


def pause_tenants(home: Home, tenants: list[int]) -> None:
    """A pause each."""

    async def work(operations: Operations) -> None:
        for tenant_id in tenants:
            await operations.pause(_SCOPE, Target(tenant_id=tenant_id), reason="measured")

    _operate(home, work)


def resume(home: Home, tenants: list[int]) -> None:
    """Let the tenants' mail go on."""

    async def work(operations: Operations) -> None:
        for tenant_id in tenants:
            found = await operations.find_pause(_SCOPE, Target(tenant_id=tenant_id))
            await operations.resume(_SCOPE, found.id)

    _operate(home, work)


def throttle(home: Home, rate: str) -> None:
    """Let the slow receivers be a provider that takes so much from each address."""
    book = (ROOT / "config" / "shaping.toml").read_text(encoding="utf-8")
    slow = f'[provider.slow]\ntitle = "Slow"\nmx = [".slow.test"]\nmessage_rate = "{rate}"\n'
    (home.path / "shaping.toml").write_text(f"{book}\n{slow}", encoding="utf-8")


def kill(home: Home, *, is_on: bool) -> None:
    """Move the kill switch."""

    async def work(operations: Operations) -> object:
        move = operations.kill if is_on else operations.revive
        return await move(_SCOPE, reason="measured")

    _operate(home, work)


def _operate(home: Home, work: Callable[[Operations], Awaitable[Any]]) -> None:
    async def in_a_loop() -> None:
        engine = open_engine(home.control_db)
        try:
            await work(Operations(engine))
        finally:
            await engine.dispose()

    asyncio.run(in_a_loop())


def settings_of(home: Home) -> Settings:
    """As its configuration file says."""
    return load(home.config_file, {})


def _settings(ports: Ports) -> Settings:
    def place(tls: str) -> dict[str, Any]:
        return {"address": "127.0.0.1", "port": 0, "tls": tls}

    trusted = [
        {"network": source.rpartition(".")[0] + ".0/24", "tenant": tenant}
        for tenant, source in SOURCES.items()
    ]
    return msgspec.convert(
        {
            "box": {"hostname": _HOSTNAME},
            "listeners": {
                "submission": place("starttls"),
                "submissions": place("implicit"),
                "inbound": place("starttls"),
                "web": place("none"),
            },
            "submission": {"trusted_networks": trusted},
            "dns": {"nameservers": [f"127.0.0.1:{ports.dns}"]},
            "delivery": {"remote_port": ports.sink, "allow_private_addresses": True},
            "spool": {"processes": 1},
        },
        Settings,
    )


def _world() -> Zone:
    zone: Zone = {_HOSTNAME: {"A": ["127.0.0.1"]}}
    for kind, sites, network in (
        ("fast", FAST_SITES, "127.1."),
        ("slow", SLOW_SITES, "127.2."),
    ):
        for number in range(1, sites + 1):
            zone[f"*.s{number}.{kind}.test"] = {"MX": [f"10 mx{number}.{kind}.test."]}
            host = f"{network}{number // 250}.{number % 250 + 1}"
            zone[f"mx{number}.{kind}.test"] = {"A": [host]}
    zone["*.wait.test"] = {"MX": ["10 mx1.fast.test."]}
    zone["*.dead.test"] = {"MX": ["10 mx.dead.test."]}
    zone["mx.dead.test"] = {"A": [MUTE]}
    return zone
