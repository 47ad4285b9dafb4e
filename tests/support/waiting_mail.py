"""Mail that waits for outlook.com, as the mta's processes tell of it: the pages of a destination and of pauses.

await wait(api, "acme")     of open_api(path, "acme")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appliance.core import clock
from appliance.core.scope import Scope
from appliance.operations import Target

if TYPE_CHECKING:
    from tests.support.api import Api

PEOPLE = (
    (
        "billing@globex.example",
        "slowed",
        "451 4.7.500 Server busy. Please try again later (S77719)",
    ),
    ("office@harbor-books.example", "warmup", "No try yet. Today's 4,000 are spread over the day"),
    ("j.old@lumen.example", "held", "held by support@relay.example: wrong link in the campaign"),
)
BUSY = "451 4.7.500 Server busy, 3 times within 10 minutes"


async def wait(api: Api, tenant: str) -> None:
    """Three recipients, two pauses, and how mail goes there."""
    for _ in PEOPLE:
        api.owners.add(api.tenants[tenant])
    plain = api.owners._row

    def row(number: int) -> dict[str, Any]:
        place = sorted(api.owners.messages).index(number)
        address, kind, words = PEOPLE[place % len(PEOPLE)]
        status, next_at = "held" if kind == "held" else "deferred", clock.now_ms() + clock.HOUR
        said = {"address": address, "kind": kind, "words": words, "status": status}
        return plain(number) | said | {"next": next_at, "attempts": place + 1}

    api.owners._row = row  # type: ignore[method-assign]
    api.owners._explain = explain  # type: ignore[method-assign]
    by = Scope.system(by="support@relay.example")
    operations, until = api.rooms.operations, clock.now_ms() + clock.DAY
    await operations.pause(by, Target(domain="outlook.com"), reason="wrong link in the campaign")
    wanted = Target(tenant_id=api.tenants[tenant], tag="newsletter")
    await operations.pause(by, wanted, reason="the customer asked for a day", expires_at=until)


def explain(asked: dict[str, Any]) -> dict[str, Any]:
    """How mail goes to any domain."""
    now = clock.now_ms()
    slowed = {"in_force": 3, "state": "slowed", "why": BUSY, "next_at": now + clock.HOUR}
    limits = {"connections": 20, "messages_per_connection": 100, "message_rate": "600/min"}
    warmup = {"used": 2_712, "limit": 4_000, "state": "warming"}
    return {
        "domain": asked["domain"],
        "route": "",
        "hosts": ["outlook-com.olc.protection.outlook.com"],
        "tls_policy": "",
        "provider": "microsoft",
        "title": "Microsoft consumer",
        "limits": limits | {"tls": "opportunistic"},
        "egresses": [
            _egress("out1", "198.51.100.21", connections=12),
            _egress("out2", "198.51.100.22", throttles=[slowed], warmup=warmup),
            _egress("out3", "198.51.100.23", unreachable="Connection to port 25 timed out after 30 s"),
        ],
    }  # fmt: skip


def _egress(name: str, address: str, **words: Any) -> dict[str, Any]:
    plain = {"connections": 0, "unreachable": "", "warmup": None, "throttles": []}
    return {"name": name, "address": address, "state": "enabled", **plain, **words}
