"""People: the tenants of a box, their logins and sending domains.

Each tenant has its share of credentials, with a limit an hour, and of verified domains with RSA-2048 and
Ed25519 keys that sign. All is made through the rooms, but only the first domain: its rows are the
pattern of the others, whose keys are the same numbers, yet each encrypted, stored and loaded by itself.
Ten thousand pairs of keys would take minutes, and nothing here depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from appliance.core import clock
from appliance.core.database import open_engine, sqlite_connect
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials, Policy
from appliance.domains import Domains, store
from appliance.run.directory import box_names, queue_life_ms
from appliance.tenancy import Tenants

if TYPE_CHECKING:
    from appliance.core.home import Home
    from appliance.core.settings import Settings

SCOPE: Final = Scope.system(by="bench")
_PER_HOUR: Final = 1_000_000
_AGE: Final = 30 * clock.DAY
"""Of the domains: their records were looked at just now, and will be tomorrow, as most are at any time."""

Person = tuple[str, str, str]
"""User name, password, sender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """How many."""

    tenants: int
    credentials: int
    domains: int

    def __str__(self) -> str:
        return f"{self.tenants:,} / {self.credentials:,} / {self.domains:,}"


async def fill(home: Home, settings: Settings, crowd: Crowd) -> list[Person]:
    """Make them all; each credential sends from a domain of its tenant."""
    engine = open_engine(home.control_db)
    keys = MasterKeys.load(home.keys_file)
    life = queue_life_ms(settings)
    domains = Domains(engine, keys, box_names(settings), queue_life=life)
    credentials = Credentials(engine, keys)
    policy = Policy(recipients_per_hour=_PER_HOUR)
    people: list[Person] = []
    try:
        tenants = [
            await Tenants(engine).create(SCOPE, name=f"tenant-{number:04}")
            for number in range(crowd.tenants)
        ]
        await domains.create(
            SCOPE, tenant_id=tenants[0].id, name=domain_name(0), assume_verified=True
        )
        _copy_domain(home, keys, crowd, [tenant.id for tenant in tenants])
        for number in range(crowd.credentials):
            tenant = tenants[number % crowd.tenants]
            login = await credentials.create(SCOPE, tenant, name=f"app-{number}", policy=policy)
            sender = f"news@{domain_name(number % crowd.domains)}"
            people.append((login.username, login.password, sender))
    finally:
        await engine.dispose()
    return people


def domain_name(number: int) -> str:
    """Of the sending domains; number n belongs to tenant n modulo their number."""
    return f"s{number:05}.example"


def _copy_domain(home: Home, keys: MasterKeys, crowd: Crowd, tenants: list[int]) -> None:
    """Domain 0, as often as wanted, under other names; its keys sealed anew for each."""
    control = sqlite_connect(home.control_db)
    try:
        (domain,) = _rows(control, "SELECT * FROM domain WHERE name = ?", domain_name(0))
        pair = _rows(control, "SELECT * FROM domain_key WHERE domain_id = ?", domain["id"])
        opened = [keys.decrypt(key["private_key"], bound_to=_place(key)) for key in pair]
        control.execute("BEGIN IMMEDIATE")
        for number in range(1, crowd.domains):
            made = {"id": domain["id"] + number, "tenant_id": tenants[number % len(tenants)]}
            is_first = number < len(tenants)
            name = {"name": domain_name(number), "is_default": is_first}
            _insert(control, "domain", {**domain, **made, **name})
            for key, private in zip(pair, opened, strict=True):
                copy = {**key, "domain_id": made["id"], "tenant_id": made["tenant_id"]}
                del copy["id"]
                copy["private_key"] = keys.encrypt(private, bound_to=_place(copy))
                _insert(control, "domain_key", copy)
        now = clock.now_ms()
        control.execute("UPDATE domain SET created_at = ?, checked_at = ?", (now - _AGE, now))
        control.execute("UPDATE generation SET value = value + 1 WHERE part = 'domains'")
        control.execute("COMMIT")
    finally:
        control.close()


def _place(key: dict[str, Any]) -> str:
    return store.bound_to(key["domain_id"], key["selector"])


def _rows(control: Any, query: str, value: object) -> list[dict[str, Any]]:
    found = control.execute(query, (value,))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _insert(control: Any, table: str, row: dict[str, Any]) -> None:
    marks = ", ".join("?" * len(row))
    control.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
