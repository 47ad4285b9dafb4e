"""A box with mail of two days, for the pages that count it: a shop that does well in most things, and its queue.

await fill(api, path)      of open_api(path, "acme", "delta-freight", "harbor-books")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appliance.core import clock
from appliance.core.scope import Scope
from appliance.credentials import Policy, Try
from appliance.egress import EgressRequest, PoolChange
from appliance.notices import Finding, Notices, Severity
from mta.egress import Member
from mta.scheduling.why import Why
from tests.support.mailroom import BUSY, GOOGLE, HOSTILE, MICROSOFT, OK, UNKNOWN, Mailroom
from tests.support.published import publish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.api import Api

SYSTEM = Scope.system(by="test")
SHAPE = (1, 1, 0, 0, 1, 2, 4, 8, 11, 12, 12, 11, 10, 11, 12, 10, 9, 8, 6, 5, 4, 3, 2, 1)
"""Messages an hour of a day."""

DOMAINS = ("acme.example", "mail.acme.example", "news.acme.example", "acme-parts.example")
RECENT = (
    ("hello@orchard.example", "Your receipt from Acme Store", "delivered", "250 ok dirdel"),
    ("j.old@lumen.example", "Reset your password", "bounced", UNKNOWN),
    ("office@harbor-books.example", "Invoice 2026-11-0480", "delivered", OK),
    ("eve@evil.example", HOSTILE, "bounced", f"550 5.7.1 {HOSTILE}"),
    ("billing@globex.example", "Invoice 2026-11-0481", "deferred", BUSY),
    ("dana@northwind.example", "Your order 10-48213 has shipped", "delivered", OK),
)
QUEUE = (
    (Why.SLOWED, 23_950, 9, "Microsoft", 21_904),
    (Why.WARMUP, 12_480, 1, "gmail.com", 12_480),
    (Why.SUSPENDED, 6_212, 1, "yahoo.com", 6_212),
    (Why.OUR_LIMIT, 3_118, 12, "gmx.de", 900),
    (Why.CANNOT_CONNECT, 1_976, 94, "lumen.example", 120),
    (Why.HELD, 480, 1, "orchard.example", 480),
)


async def fill(api: Api, path: Path) -> None:
    """All of it."""
    await _domains(api)
    await _credentials(api)
    await _egress(api)
    send(api, path)
    await _notices(api)
    api.owners._summary = summary  # type: ignore[method-assign]
    api.owners._minutes = minutes  # type: ignore[method-assign]


async def _domains(api: Api) -> None:
    tenant = api.tenants["acme"]
    for name in DOMAINS:
        await api.rooms.domains.create(SYSTEM, tenant_id=tenant, name=name)
        found = await publish(api.rooms, name)
    broken = await publish(api.rooms, "mail.acme.example", cut="k=rsa")
    assert not broken.is_right
    assert found.is_right


async def _credentials(api: Api) -> None:
    policy = Policy(recipients_per_day=500, recipients_per_hour=100)
    tenant = await api.rooms.tenants.get(SYSTEM, "acme")
    made = await api.rooms.credentials.create(SYSTEM, tenant, name="legacy-erp", policy=policy)
    words = f"550 5.7.1 shop@acme-store.example is not of a domain of yours {HOSTILE}"
    now = clock.now_ms()
    number = made.credential.id
    await api.rooms.tries.note_mail({number: (now - 9000, 7)}, {number: (now - 8000, 7)})
    refused = Try(
        credential_id=number, at=now - 3000, sender=f"shop@acme-store.example{HOSTILE}", words=words
    )
    await api.rooms.tries.note_tries([refused])
    await api.rooms.tenants.set_limits(SYSTEM, "acme", recipients_per_day=200)


async def _egress(api: Api) -> None:
    for number in (1, 2, 3, 4):
        wanted = EgressRequest(name=f"out{number}", address=f"198.51.100.2{number}")
        await api.rooms.egresses.create(SYSTEM, wanted)
    await api.rooms.egresses.drain(SYSTEM, "out4", why="moves")
    members = tuple(Member(egress=f"out{number}") for number in (1, 2))
    await api.rooms.pools.set(SYSTEM, "shared", PoolChange(members=members))
    schedule = (await api.rooms.files.schedules())["standard"]
    await api.rooms.warmups.start(SYSTEM, "out2", schedule)
    await api.rooms.warmups.start(SYSTEM, "out3", schedule)
    await api.rooms.warmups.pause(SYSTEM, "out3", ["google"], reason="many complaints")


def send(api: Api, path: Path) -> None:
    """Yesterday and today up to now, and what is newest."""
    now = clock.now_ms()
    hour = (now // clock.HOUR - 40) * clock.HOUR
    room = Mailroom(path, ago=now - hour)
    tenant = api.tenants["acme"]
    while hour < now - clock.HOUR:
        room.now.at = hour
        for number in range(SHAPE[hour // clock.HOUR % 24] * 2):
            _one(room, tenant, number, DOMAINS[number % 3])
        hour += clock.HOUR
    room.now.at = now - 3 * clock.MINUTE
    for number in range(12):
        _one(room, tenant, number, "acme.example")
    for address, subject, kind, reply in RECENT:
        _tell(room, tenant, address, kind, reply, subject=subject)
    for number in range(120):
        kind = "bounced" if number % 9 == 0 else "delivered"
        to = f"n{number}@lumen.example"
        _tell(room, api.tenants["delta-freight"], to, kind, UNKNOWN if kind == "bounced" else OK)
    room.ship()


def _one(room: Mailroom, tenant: int, number: int, domain: str) -> None:
    kind, reply = ("bounced", UNKNOWN) if number % 23 == 22 else ("delivered", OK)
    words: dict[str, Any] = {"from": f"shop@{domain}", "signing_domain": domain}
    words |= {"tags": ["order" if number % 3 else "invoice"], "subject": "Your order"}
    _tell(room, tenant, f"p{number}@northwind.example", kind, reply, **words)


def _tell(room: Mailroom, tenant: int, address: str, kind: str, reply: str, **words: Any) -> None:
    message = room.accept(tenant, address, **words)
    through = (MICROSOFT if "globex" in address else GOOGLE) | {"reply": reply}
    if kind == "bounced":
        through |= {"category": "user_unknown", "scope": "recipient"}
    room.told(tenant, message, 0, kind, address, **through)


async def _notices(api: Api) -> None:
    notices: Notices = api.rooms.notifications._notices
    acme, delta, harbor = (api.tenants[name] for name in ("acme", "delta-freight", "harbor-books"))
    record = "the DKIM record pb1._domainkey.mail.acme.example of mail.acme.example was right and is different now"
    found = [
        Finding(kind="domain-record", subject="mail.acme.example: dkim pb1._domainkey.mail.acme.example", text=record, next_step="publish it", tenant_id=acme),
        Finding(kind="quota", subject="80 %", text="acme has sent to 171 of 200 recipients a day", next_step="send less", severity=Severity.INFO, tenant_id=acme),
        Finding(kind="bounces", subject="delta-freight", text="14 of 120 recipients of delta-freight bounced today (11.7 %)", next_step="look", tenant_id=delta),
        Finding(kind="complaints", subject="harbor-books", text=f"3 of 900 recipients of harbor-books complained today (0.33 %) {HOSTILE}", next_step="look", severity=Severity.CRITICAL, tenant_id=harbor),
        Finding(kind="blocklist", subject="out3", text="198.51.100.23 (out3) is on zen.example", next_step="look"),
    ]  # fmt: skip
    for one in found:
        await notices.raise_(SYSTEM, one)


def summary(asked: dict[str, Any]) -> dict[str, Any]:
    """What waits, as the mta's processes count it; of a tenant less."""
    now, is_box = clock.now_ms(), not asked["tenant_id"]
    reasons = [
        {"kind": why.value, "recipients": count, "destinations": places, "example": example, "most": most}
        for why, count, places, example, most in QUEUE
    ]  # fmt: skip
    group = {
        "name": "delta-freight",
        "provider": "",
        "status": "held",
        "count": 9_120,
        "oldest": now,
    }
    group |= {
        "next": now,
        "until": 0,
        "due_soon": 0,
        "kind": "surge",
        "reason": "",
        "words": "",
        "egress": "",
    }
    whole = {"by": asked["by"], "at": now, "total": 1, "due_soon": 3}
    whole |= {"counts": {"deferred": 47_736, "held": 480} if is_box else {"deferred": 31}}
    times = {"oldest": now - 20 * clock.HOUR, "oldest_waiting": now - 320 * clock.MINUTE}
    groups = [group] if is_box and asked.get("kind") == "surge" else []
    return whole | times | {"groups": groups, "reasons": reasons}


def minutes(_: None) -> list[list[Any]]:
    """An hour and more of traffic."""
    began = clock.now_ms() // clock.MINUTE * clock.MINUTE - 71 * clock.MINUTE
    return [
        [n, began + n * clock.MINUTE, {
            "accepted": 60 * (340 + 40 * ((n * 7) % 5) // 2),
            "delivered": 60 * (310 + 40 * ((n * 7) % 5) // 2),
            "deferred": 60 * (20 + (n * 3) % 7 + max(0, n - 55) * 4),
            "bounced": 60 * 2,
        }]
        for n in range(70)
    ]  # fmt: skip


class Reports:
    """admin_ui.processes.Processes of a box of four, one of which is not well."""

    async def health(self) -> dict[str, dict[str, Any]]:
        began = clock.now_ms() - 3 * clock.DAY
        good = {"ok": True, "started_at": began, "checks": {"loop": {"ok": True, "words": "well"}}}
        bad = {
            "ok": False,
            "started_at": began,
            "checks": {"disk": {"ok": False, "words": f"81 % full {HOSTILE}"}},
        }
        return {"inbound": good, "mta-0": good, "web": good, "worker": bad}

    async def metrics(self) -> bytes:
        return b""
