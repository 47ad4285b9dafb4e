"""Messages, events and statistics over HTTP: what a tenant finds, pages through, and cannot see."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from admin_ui.rooms import Rooms
from appliance.core import clock, ids
from appliance.core.clock import SECOND
from appliance.core.scope import Scope
from appliance.history import LogReader, LogWriter, write_partitions
from appliance.rights import Actor, ActorKind, Right
from appliance.statistics import Counter, Store, opened
from appliance.tenancy import AuditLog, Tenants
from tests.support.apps import lent_app
from tests.support.history import KEEP_DAYS, Outbox
from tests.support.statistics import ship

READER = frozenset({Right.MESSAGES_READ, Right.STATISTICS_READ})
SYSTEM = Scope.system(by="test")


class Book:
    """Knows three keys by their bare names."""

    def __init__(self, scopes: dict[str, Scope]) -> None:
        self._scopes = scopes

    def find(self, token: str, _address: str) -> tuple[Actor, None]:
        rights = READER if token != "powerless" else frozenset[Right]()
        scope = self._scopes.get(token, SYSTEM)
        actor = Actor(kind=ActorKind.KEY, id=1, name=token, scope=scope, rights=rights)
        return actor, None


@pytest.fixture
def control_location(migrated_file, tmp_path):
    """One database does: the rooms behind are tried on both."""
    return Path(shutil.copy(migrated_file, tmp_path / "control.db"))


@pytest.fixture
async def tenants(engine):
    room = Tenants(engine)
    return room, {name: (await room.create(SYSTEM, name=name)).id for name in ("acme", "beta")}


@pytest.fixture
def mail(tmp_path, now, tenants):
    """Three messages of acme and one of beta, counted; the ids of all."""
    _, found = tenants
    folder = tmp_path / "log"
    folder.mkdir()
    outbox, messages = Outbox(now), []
    for tenant, who in ((found["acme"], "ann"), (found["acme"], "bob"), (found["beta"], "cyd")):
        now.move(SECOND)
        message_id = outbox.accept(f"{who}@Example.net", tenant=tenant, tags=[who])
        now.move(SECOND)
        outbox.tried(message_id, 0, "delivered", f"{who}@example.net", tenant=tenant)
        messages.append(ids.to_text(message_id))
    outbox.tell(message_id, 0, "complained", "cyd@example.net", tenant=found["beta"])
    writer = LogWriter(write_partitions(folder), keep_days=KEEP_DAYS, now=now)
    writer.open()
    ship(writer, outbox)
    writer.close()
    return folder, messages


@pytest.fixture
async def ask(tmp_path, engine, mail, tenants, now):
    folder, _ = mail
    room, found = tenants
    log, store = LogReader(folder), Store(tmp_path / "statistics.db", now)
    store.open()
    Counter(store, log).step()
    store.close()
    async with opened(tmp_path / "statistics.db") as statistics:
        scopes = {name: Scope.tenant(one, by=name) for name, one in found.items()}
        given = {
            "audit": AuditLog(engine),
            "log": log,
            "statistics": statistics,
            "tenants": room,
            "book": Book(scopes),
        }
        every: dict[str, Any] = {one.name: None for one in fields(Rooms)} | given
        with lent_app(None, Rooms(**every)) as app:
            transport = httpx.ASGITransport(cast("Any", app))
            async with httpx.AsyncClient(transport=transport, base_url="http://box") as client:

                async def get(
                    path: str, key: str = "acme", expect: int = 200, **params: Any
                ) -> Any:
                    headers = {"Authorization": f"Bearer {key}"}
                    answer = await client.get(f"/api/v1{path}", params=params, headers=headers)
                    assert answer.status_code == expect, answer.text
                    return answer.json()

                yield get
    log.close()


async def test_a_tenant_finds_its_own_messages_newest_first_in_pages(ask, mail):
    _, (first, second, _) = mail
    page = await ask("/messages", limit=1)
    assert [row["id"] for row in page["items"]] == [second]
    rest = await ask("/messages", limit=1, cursor=page["cursor"])
    assert ([row["id"] for row in rest["items"]], rest["cursor"]) == ([first], "")
    row = rest["items"][0]
    assert (row["recipient"], row["status"], row["class"]) == (
        "ann@Example.net",
        "delivered",
        "transactional",
    )
    assert row["from"] == "Shop@sender.example"


FILTERED = [
    ({"recipient": "ANN@example.net"}, 1),
    ({"recipient": "an*"}, 400),
    ({"recipient": "ann*"}, 1),
    ({"tag": "bob"}, 1),
    ({"tag": "cyd"}, 0),
    ({"status": "delivered", "domain": "example.net"}, 2),
    ({"status": "bounced"}, 0),
    ({"flag": "complained"}, 0),
    ({"sender": "shop@sender.example"}, 2),
    ({"since": "2030-01-01T00:00:00Z"}, 0),
    ({"status": "no such"}, 400),
    ({"flag": "no such"}, 400),
    ({"since": "2030-01-01T00:00:00"}, 400),
    ({"cursor": "no such"}, 400),
    ({"limit": 101}, 400),
    ({"limit": 0}, 400),
]


async def test_filters_narrow_down_and_nonsense_is_refused(ask):
    for filters, count in FILTERED:
        if count == 400:
            await ask("/messages", expect=400, **filters)
        else:
            assert len((await ask("/messages", **filters))["items"]) == count, filters


async def test_the_box_sees_everybody_and_one_tenant_when_it_asks(ask):
    assert len((await ask("/messages", key="box"))["items"]) == 3
    assert len((await ask("/messages", key="box", tenant="beta"))["items"]) == 1
    assert len((await ask("/messages", key="box", flag="complained"))["items"]) == 1
    await ask("/messages", key="acme", tenant="beta", expect=404)


async def test_one_message_with_its_story_and_another_tenants_is_not_there(ask, mail):
    _, (first, _, third) = mail
    found = await ask(f"/messages/{first}")
    assert [event["kind"] for event in found["events"]] == ["accepted", "delivered"]
    assert found["events"][1]["data"]["host"] == "mx1.receiver.example"
    assert "tenant" not in found["events"][1]["data"]
    assert found["recipients"][0]["tags"] == ["ann"]
    await ask(f"/messages/{third}", expect=404)
    await ask("/messages/%00nonsense", expect=404)


async def test_events_are_followed_behind_a_cursor(ask):
    kinds, cursor, more = [], "", True
    while more:
        page = await ask("/events", limit=3, cursor=cursor)
        kinds += [event["kind"] for event in page["items"]]
        cursor, more = page["cursor"], page["more"]
    assert kinds == ["accepted", "delivered"] * 2
    assert (await ask("/events", cursor=cursor))["items"] == []
    await ask("/events", cursor="-1", expect=400)
    await ask("/events", message="nonsense!", expect=400)


async def test_events_of_a_kind_a_recipient_and_a_time(ask):
    async def count(**filters: Any) -> int:
        return len((await ask("/events", key="box", **filters))["items"])

    assert await count(kind=["complained", "delivered"]) == 4
    assert await count(kind="complained") == 1
    assert await count(recipient="ann@example.net") == 2
    assert await count(since="2040-01-01T00:00:00Z") == 0


async def test_statistics_over_time_and_ranked(ask, now):
    around = {
        "since": clock.iso(now() - clock.HOUR),
        "until": clock.iso(now() + clock.HOUR),
    }
    found = await ask("/statistics", **around)
    assert (found["total"]["accepted"], found["total"]["delivered"]) == (2, 2)
    assert sum(item["counts"]["accepted"] for item in found["items"]) == 2
    assert found["counted_to"]
    one = await ask("/statistics", by="tag", value="ann", step="hour", **around)
    assert one["total"]["accepted"] == 1
    ranked = await ask("/statistics/top", key="box", by="tenant", **around)
    assert [item["counts"]["complained"] for item in ranked["items"]] == [0, 1]
    ours = await ask("/statistics/top", by="tag", **around)
    assert {item["value"] for item in ours["items"]} == {"ann", "bob"}
    await ask("/statistics/top", by="tenant", expect=400, **around)
    await ask("/statistics", step="hour", since="2000-01-01T00:00:00Z", expect=400)
    await ask("/statistics", tenant="beta", expect=404)


async def test_without_the_right_nothing_is_told(ask):
    for path in ("/messages", "/events", "/statistics", "/messages/1k3fq9x2mz0a"):
        await ask(path, key="powerless", expect=403)
