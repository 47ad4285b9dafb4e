"""A box in which every text that people, programs and remotes may write is an attack on whoever reads it.

marks = await sow(api, path)      words that stand before each attack: each must be found on a page, or nothing was tried

What a room refuses to take (the name of a tenant, a domain, a credential, an address) is written into its table
by hand: a page does not rely on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from appliance.core import clock, ids
from appliance.core.database import transaction
from appliance.core.scope import Scope
from appliance.credentials import Try, Use
from appliance.jobs import Order
from appliance.keys import Wish
from appliance.notices import Finding, Severity
from appliance.operations import Target
from appliance.people import Client
from appliance.rights import Right
from appliance.webhooks import Delivery, Outcome
from mta.scheduling.why import Why
from tests.support.api import ALL, SYSTEM
from tests.support.console import HERE, PASSWORD
from tests.support.mailroom import GOOGLE, Mailroom
from tests.support.warming import addresses, listed, slowed, warm_up

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.api import Api

ATTACK = "'\"></title><x-x></x-x><img src=x onerror=boom()><script>boom()</script>"


class Sower:
    """Makes attacks, and remembers the marks."""

    def __init__(self) -> None:
        self.marks: set[str] = set()

    def __call__(self, mark: str) -> str:
        self.marks.add(f"m-{mark}")
        return f"m-{mark}{ATTACK}"


async def sow(api: Api, path: Path) -> tuple[set[str], dict[str, str]]:
    """Everything; the marks, and what stands in the paths of pages."""
    bad = Sower()
    owner = api.tenants["acme"]
    scope = Scope.tenant(owner, by=bad("by"))
    made = {"tenant_id": owner, "name": "out2", "egress": "out2", "domain": "evil.test"}
    made |= await _set_up(api, scope, bad) | await _people(api, bad)
    made |= await _operated(api, scope, bad)
    await _sending(api, bad)
    made["message"] = ids.to_text(_mail(api, path, owner, bad))
    await _by_hand(api, bad)
    return bad.marks, {name: str(value) for name, value in made.items()}


async def _set_up(api: Api, scope: Scope, bad: Sower) -> dict[str, int]:
    rooms, owner = api.rooms, scope.tenant_id or 0
    record = await rooms.tenants.by_id(SYSTEM, owner)
    issued = await rooms.credentials.create(SYSTEM, record, name="app")
    number = issued.credential.id
    now = clock.now_ms()
    await rooms.credentials.note_uses([Use(credential_id=number, at=now, address=bad("peer"))])
    tried = {"credential_id": number, "address": bad("try-address"), "tls": bad("try-tls")}
    refused = {"sender": bad("try-sender"), "words": bad("try-words")}
    await rooms.tries.note_tries([Try(at=now, **tried), Try(at=now + 1, **tried, **refused)])
    domain = await rooms.domains.create(SYSTEM, tenant_id=owner, name="acme.test")
    wish = Wish(name=bad("key"), rights=frozenset({Right.KEYS_READ}))
    key = await rooms.keys.create(scope, wish, held=ALL)
    words = {"organisation": bad("organisation"), "postal_address": bad("postal")}
    await rooms.tenants.set_profile(SYSTEM, owner, country="DE", **words)
    hook = await _webhook(api, scope, bad)
    suppressed = await rooms.suppressions.add(scope, "eve@evil.test")
    return {
        "credential_id": number,
        "domain_id": domain.id,
        "key_id": key.key.id,
        "webhook_id": hook,
        "suppression_id": suppressed.id,
    }


async def _webhook(api: Api, scope: Scope, bad: Sower) -> int:
    url = "https://hooks.test/in?<x-x>"
    made = await api.rooms.webhooks.create(
        scope, url=url, types=["message.bounced"], description=bad("hook")
    )
    number = made.endpoint.id
    delivery: dict[str, Any] = {"webhook_id": number, "tenant_id": scope.tenant_id or 0}
    delivery |= {"event": "msg_1", "type": "message.bounced", "message_id": 1, "at": clock.now_ms()}
    delivery |= {"attempt": 1, "outcome": Outcome.FAILED, "status": 503, "took": 9}
    await api.rooms.webhooks.note_delivery(scope, Delivery(**delivery, answer=bad("answer")))
    await api.rooms.webhooks.disable(scope, number, reason=bad("hook-off"))
    return number


async def _people(api: Api, bad: Sower) -> dict[str, int]:
    desk = api.rooms.people.invitations
    owner = api.tenants["acme"]
    _, url = await desk.link(SYSTEM, email="jo@x.test", role="viewer", tenant_id=owner)
    token = url.rpartition("/")[2]
    assert await desk.accept(token, HERE, name=bad("person"), password=PASSWORD)
    asked, _ = await desk.link(SYSTEM, email="ada@x.test", role="viewer", tenant_id=owner)
    users = await api.rooms.people.users.list(Scope.tenant(owner))
    (jo,) = [one for one in users if one.email == "jo@x.test"]
    elsewhere = Client(address="192.0.2.8", agent=bad("agent"))
    await api.rooms.people.sign_in.with_password("admin@box.test", PASSWORD, elsewhere)
    return {"user_id": jo.id, "invitation_id": asked.id}


async def _operated(api: Api, scope: Scope, bad: Sower) -> dict[str, int]:
    """What somebody has done, and why, in their own words."""
    rooms, owner = api.rooms, scope.tenant_id or 0
    pause = await rooms.operations.pause(scope, Target(tag=bad("tag")), reason=bad("pause"))
    job = await rooms.jobs.order(
        scope, Order(kind=bad("job"), tenant_id=owner, asked={"what": bad("asked")})
    )
    taken = await rooms.jobs.take("worker")
    assert taken is not None
    await rooms.jobs.fail(taken, "worker", bad("job-error"))
    await rooms.tenants.suspend(SYSTEM, "beta", reason=bad("suspended"))
    for number, one in enumerate((0, owner)):
        found = Finding(
            kind="bounces", subject=f"{number}{ATTACK}", text=bad(f"notice-{number}"),
            next_step=ATTACK, severity=Severity.CRITICAL, tenant_id=one,
        )  # fmt: skip
        await rooms.notifications._notices.raise_(SYSTEM, found)
    await rooms.operations.kill(Scope.system(by=bad("stopper")), reason=bad("stop"))
    return {"pause_id": pause.id, "job_id": job.id}


async def _sending(api: Api, bad: Sower) -> None:
    await addresses(api)
    await warm_up(api, days=3)
    await api.rooms.warmups.pause(SYSTEM, "out2", ["google"], reason=bad("warmup"))
    await api.rooms.egresses.drain(SYSTEM, "out4", why=bad("drain"))
    await slowed(api, bad("slowed"))
    await listed(api, bad("listed"))


def _mail(api: Api, path: Path, owner: int, bad: Sower) -> int:
    room = Mailroom(path)
    words = {"subject": bad("mail"), "from": f"a@acme.test {bad('from')}", "sender": bad("sender")}
    words |= {"tags": [bad("mail-tag")], "metadata": f'{{"{"order"}": "m-metadata<x-x>"}}'}
    words |= {"client": bad("client"), "message_id": bad("message-id"), "signed": [bad("selector")]}
    bad.marks.add("m-metadata")
    number = room.accept(owner, "eve@evil.test", **words)
    told = GOOGLE | {"reply": f"550 5.7.1 {bad('reply')}", "category": "policy", "hard": True}
    told |= {"host": bad("host"), "tls": bad("tls"), "address": bad("address")}
    told["steps"] = [[0, bad("command"), bad("step")]]
    room.told(owner, number, 0, "bounced", "eve@evil.test", **told)
    room.told(
        owner, number, 0, "complained", "eve@evil.test", feedback="abuse", reporter=bad("reporter")
    )
    room.ship()
    api.owners.messages[number] = owner
    api.owners.content[number] = f"From: {bad('header')}\r\n\r\n{bad('body')}\r\n".encode()
    _queue(api, bad)
    return number


def _queue(api: Api, bad: Sower) -> None:
    now = clock.now_ms()
    group = {"name": bad("place"), "provider": bad("provider"), "status": "deferred", "count": 7}
    group |= {"oldest": now, "next": now, "until": 0, "due_soon": 7, "kind": Why.SLOWED.value}
    group |= {"reason": ATTACK, "words": bad("words"), "egress": bad("egress")}
    reason = {"kind": Why.SLOWED.value, "recipients": 7, "destinations": 1, "most": 7}
    whole = {"by": "domain", "at": now, "total": 1, "due_soon": 7, "counts": {"deferred": 7}}
    whole |= {"oldest": now, "oldest_waiting": now, "groups": [group]}
    whole["reasons"] = [reason | {"example": bad("example")}]
    api.owners._summary = lambda _: whole  # type: ignore[method-assign]
    row = api.owners._row
    api.owners._row = lambda number: (
        row(number) | {"reason": bad("row"), "host": ATTACK, "egress": ATTACK, "pool": ATTACK}
    )  # type: ignore[method-assign]


BY_HAND = (
    ("tenant", "name", "name = 'acme'"),
    ("domain", "name", "name = 'acme.test'"),
    ("credential", "name", "name = 'app'"),
)


async def _by_hand(api: Api, bad: Sower) -> None:
    async with transaction(api.rooms.warmups._engine) as connection:
        for table, column, which in BY_HAND:
            await connection.execute(
                text(f"UPDATE {table} SET {column} = :words WHERE {which}"), {"words": bad(table)}
            )
