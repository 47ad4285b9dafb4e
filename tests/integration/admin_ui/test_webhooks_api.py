"""Webhooks over HTTP: made, tried out, changed and replayed; another tenant finds nothing of it."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from standardwebhooks import Webhook

from admin_ui.rooms import Rooms
from appliance.core.scope import Scope
from appliance.history import EventFilters, LogReader, LogWriter, write_partitions
from appliance.jobs import Jobs
from appliance.rights import Actor, ActorKind, Right
from appliance.tenancy import AuditLog, Tenants
from appliance.webhooks import SenderStore, Trials, WebhookClient, Webhooks
from mta.status import EventKind
from tests.support.apps import lent_app
from tests.support.history import KEEP_DAYS, Outbox
from tests.support.webhooks import FAST, KEYS, LOOPBACK, NoNames, receiver, ship

SYSTEM = Scope.system(by="test")
RIGHTS = frozenset({Right.WEBHOOKS_READ, Right.WEBHOOKS_MANAGE})


class Book:
    """Knows a key of each tenant by its name."""

    def __init__(self, scopes: dict[str, Scope]) -> None:
        self._scopes = scopes

    def find(self, token: str, _address: str) -> tuple[Actor, None]:
        rights = RIGHTS if token in self._scopes else frozenset[Right]()
        scope = self._scopes.get(token, SYSTEM)
        return Actor(kind=ActorKind.KEY, id=1, name=token, scope=scope, rights=rights), None


@pytest.fixture
def control_location(migrated_file, tmp_path):
    """One database does: the room behind is tried on both."""
    return Path(shutil.copy(migrated_file, tmp_path / "control.db"))


@pytest.fixture
async def tenants(engine):
    room = Tenants(engine)
    return room, {name: (await room.create(SYSTEM, name=name)).id for name in ("acme", "beta")}


@pytest.fixture
def log(tmp_path, now, tenants):
    """One delivery of acme's."""
    folder = tmp_path / "log"
    folder.mkdir()
    outbox = Outbox(now)
    message = outbox.accept("ann@b.example", tenant=tenants[1]["acme"])
    outbox.tried(message, 0, "delivered", "ann@b.example", tenant=tenants[1]["acme"])
    writer = LogWriter(write_partitions(folder), keep_days=KEEP_DAYS, now=now)
    writer.open()
    ship(writer, outbox)
    writer.close()
    opened = LogReader(folder)
    yield opened
    opened.close()


@pytest.fixture
async def asking(engine, tenants, log):
    room, ids = tenants
    client = WebhookClient(NoNames(), LOOPBACK)
    webhooks = Webhooks(engine, KEYS, FAST, LOOPBACK)
    behind: dict[str, Any] = {field.name: None for field in fields(Rooms)}
    behind |= {
        "audit": AuditLog(engine),
        "book": Book({name: Scope.tenant(one, by=name) for name, one in ids.items()}),
        "jobs": Jobs(engine),
        "log": log,
        "tenants": room,
        "webhook_trials": Trials(webhooks, SenderStore(engine, KEYS), client),
        "webhooks": webhooks,
    }
    with lent_app(None, Rooms(**behind)) as app:
        transport = httpx.ASGITransport(app=cast("Any", app))
        async with httpx.AsyncClient(transport=transport, base_url="http://box/api/v1") as http:

            async def ask(method: str, path: str, key: str = "acme", **more: Any) -> httpx.Response:
                return await http.request(
                    method, path, headers={"Authorization": f"Bearer {key}"}, **more
                )

            yield ask
    client.close()


async def test_an_endpoint_is_made_tried_out_changed_and_deleted(asking):
    async with receiver() as shop:
        made = (await asking("POST", "/webhooks", json={"url": shop.url})).json()
        one = f"/webhooks/{made['endpoint']['id']}"
        tried = (await asking("POST", f"{one}/test")).json()
        (got,) = shop.got
        assert Webhook(made["secret"]).verify(got.body, got.headers)["type"] == "webhook.test"
        assert (tried["outcome"], tried["status"], tried["event"]) == ("taken", 200, got.name)
    (seen,) = (await asking("GET", f"{one}/deliveries")).json()["items"]
    assert seen == tried | {"id": seen["id"]}
    changed = await asking("PATCH", one, json={"types": ["message.bounced"]})
    assert changed.json()["types"] == ["message.bounced"]
    rotated = (await asking("POST", f"{one}/secret")).json()
    assert rotated["endpoint"]["old_secret_until"]
    off = (await asking("POST", f"{one}/disable", json={"reason": "repairs"})).json()
    assert (off["enabled"], off["disabled_by"], off["disabled_reason"]) == (
        False,
        "acme",
        "repairs",
    )
    assert (await asking("POST", f"{one}/disable", json={})).status_code == 409
    assert (await asking("POST", f"{one}/enable", json={"skip": True})).json()["enabled"]
    assert (await asking("GET", one)).json()["standing"]["last"]["event"] == seen["event"]
    assert (await asking("DELETE", one)).status_code == 200
    assert (await asking("GET", "/webhooks")).json() == {"items": []}


async def test_events_are_sent_again_one_by_one_or_all(asking, log):
    made = (await asking("POST", "/webhooks", json={"url": "http://127.0.0.1:9/"})).json()
    one = f"/webhooks/{made['endpoint']['id']}"
    (event,) = [
        each.id
        for each in log.events(SYSTEM, EventFilters()).events
        if each.kind is EventKind.DELIVERED
    ]
    one_event = {"what": "event", "event": event}
    assert (await asking("POST", f"{one}/replay", json=one_event)).json()["replayed"] == 1
    assert (await asking("GET", one)).json()["standing"]["waiting"] == 1
    for unknown, status in ((event[:-1] + "9", 404), ("nothing", 400), ("0" * 13 + ".1", 404)):
        refused = await asking("POST", f"{one}/replay", json=one_event | {"event": unknown})
        assert refused.status_code == status, unknown
    again = await asking("POST", f"{one}/replay", json={"what": "failed"})
    assert (again.status_code, again.json()) == (202, {"replayed": 0, "job": None})
    every = {"what": "all", "since": "2026-01-01T00:00:00Z"}
    assert (await asking("POST", f"{one}/replay", json=every)).json()["job"]
    for wrong, field in (({"what": "all"}, "since"), ({"what": "event"}, "event")):
        refused = await asking("POST", f"{one}/replay", json=wrong)
        assert refused.status_code == 400
        assert field in refused.text


async def test_what_is_wrong_is_named(asking):
    for wrong, field in (
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://hooks.example/#x"}, "url"),
        ({"url": "https://hooks.example/", "types": ["message.nothing"]}, "types"),
        ({"url": "https://hooks.example/", "types": []}, "types"),
        ({"url": "https://hooks.example/", "secret": "mine"}, "secret"),
        ({}, "url"),
    ):
        refused = await asking("POST", "/webhooks", json=wrong)
        assert refused.status_code == 400, wrong
        assert field in refused.text, wrong
    assert (await asking("GET", f"/webhooks/{1 << 70}")).status_code == 400


async def test_another_tenant_and_one_without_rights_get_nowhere(asking):
    made = (await asking("POST", "/webhooks", json={"url": "https://hooks.example/"})).json()
    one = f"/webhooks/{made['endpoint']['id']}"
    routes = [
        ("GET", one, None),
        ("PATCH", one, {"description": "x"}),
        ("DELETE", one, None),
        ("POST", f"{one}/secret", None),
        ("POST", f"{one}/disable", {}),
        ("POST", f"{one}/enable", {}),
        ("POST", f"{one}/test", None),
        ("GET", f"{one}/deliveries", None),
        ("POST", f"{one}/replay", {"what": "failed"}),
        ("POST", f"{one}/replay", {"what": "all", "since": "2026-01-01T00:00:00Z"}),
    ]
    for method, path, body in routes:
        assert (await asking(method, path, "beta", json=body)).status_code == 404, path
        assert (await asking(method, path, "powerless", json=body)).status_code == 403, path
    assert (await asking("GET", "/webhooks", "beta")).json() == {"items": []}
    assert len((await asking("GET", "/webhooks")).json()["items"]) == 1
