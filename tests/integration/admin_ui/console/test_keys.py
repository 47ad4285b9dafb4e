"""The page of API keys, over real rooms."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.core import clock
from appliance.core.scope import Scope
from appliance.keys import Wish
from appliance.rights import GRANTS, Right, Role
from tests.support.api import ALL, SYSTEM, open_api
from tests.support.console import visitor

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-keys")]

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme", "globex") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def root(api):
    return await visitor(api, "admin")


async def test_an_empty_list_says_what_a_key_is_for(ada):
    page = await ada.get("/keys")
    assert page.text("h1") == "API keys"
    assert "No API key yet" in page.text(".empty")


async def test_a_key_is_shown_once_works_and_is_revoked(api, ada):
    wanted = {"name": "billing", "rights": ["messages.send", "domains.read"], "expires_at": ""}
    page = await ada.submit("/keys", wanted, expect=200)
    token = page.text("#token")
    assert token.startswith("pbk_")
    assert token in page.text("#curl")
    assert page.answer.headers["cache-control"] == "no-store"
    (key,) = await api.rooms.keys.list(Scope.tenant(api.tenants["acme"]))
    assert key.rights == {Right.MESSAGES_SEND, Right.DOMAINS_READ}
    assert key.by == "owner@acme.test"
    listed = await ada.get("/keys")
    assert token not in listed.html
    assert "billing" in listed.text("tbody td.title")
    page = await ada.follow(await ada.submit(f"/keys/{key.id}/revoke"))
    assert page.text(".toast b") == "Revoked"
    assert "Revoked" in page.text("tbody td.state")
    assert (await api.rooms.keys.get(SYSTEM, key.id)).revoked_at
    assert (await ada.get("/keys?show=valid")).texts("tbody tr") == []
    assert len((await ada.get("/keys?show=ended")).texts("tbody tr")) == 1


async def test_a_key_takes_what_a_role_may(api, ada):
    await ada.submit(
        "/keys", {"name": "as sender", "role": "sender", "sandboxed": "yes"}, expect=200
    )
    key = (await api.rooms.keys.list(Scope.tenant(api.tenants["acme"])))[-1]
    assert key.rights == GRANTS[Role.SENDER]
    assert key.sandboxed
    page = await ada.get("/keys")
    assert "As sender" in page.texts("tbody summary")


async def test_what_is_wrong_stands_in_the_open_dialog_and_what_was_typed_stays(ada):
    page = await ada.submit("/keys", {"name": "x" * 81, "rights": "messages.send"}, expect=422)
    assert page.all("dialog#add[data-open]")
    assert "1 to 80" in page.text("#name-note")
    assert page.all('input[value="messages.send"][checked]')
    page = await ada.submit("/keys", {"name": "none"}, expect=422)
    assert "give one at least" in page.text("#rights-note")
    page = await ada.submit("/keys", {"name": "odd", "rights": "box.rule"}, expect=422)
    assert "is no right" in page.text("#rights-note")
    page = await ada.submit(
        "/keys", {"name": "old", "rights": "jobs.read", "expires_at": "2020-01-01"}, expect=422
    )
    assert "lies ahead" in page.text("#expires_at-note")


async def test_nobody_hands_on_a_right_that_they_do_not_have(api):
    max_ = await visitor(api, "manager", "acme", "max@acme.test")
    page = await max_.submit("/keys", {"name": "up", "rights": "people.manage"}, expect=422)
    assert "cannot give what you do not have" in page.text("#rights-note")
    assert not page.all('input[value="people.manage"]')


async def test_a_key_of_another_tenant_is_not_there(api, ada):
    made = await api.rooms.keys.create(
        SYSTEM,
        Wish(name="theirs", rights=frozenset({Right.JOBS_READ})),
        held=ALL,
        tenant_id=api.tenants["globex"],
    )
    page = await ada.submit(f"/keys/{made.key.id}/revoke", back="/keys")
    assert "No key has the number" in (await ada.follow(page)).text(".toast")
    assert not (await api.rooms.keys.get(SYSTEM, made.key.id)).revoked_at
    assert "theirs" not in (await ada.get("/keys")).html


async def test_who_may_only_look_sees_no_button_and_is_refused(api):
    sam = await visitor(api, "support")
    page = await sam.get("/keys")
    assert not page.all('[commandfor="add"]')
    await sam.submit("/keys", {"name": "x", "rights": "jobs.read"}, expect=403)
    vic = await visitor(api, "viewer", "acme")
    await vic.get("/keys", expect=403)


async def test_the_box_makes_keys_of_its_own_and_of_a_tenant(api, root):
    globex = str(api.tenants["globex"])
    await root.submit(
        "/keys", {"name": "for globex", "role": "owner", "tenant": globex}, expect=200
    )
    await root.submit("/keys", {"name": "for ops", "role": "admin"}, expect=200)
    made = {key.name: key for key in await api.rooms.keys.list(SYSTEM)}
    assert made["for globex"].tenant_id == api.tenants["globex"]
    assert made["for ops"].tenant_id == 0
    assert Right.MESSAGES_SEND not in made["for ops"].rights
    rows = [row for row in (await root.get("/keys")).texts("tbody tr") if "for " in row]
    assert any("globex" in row for row in rows)
    assert any("The box" in row for row in rows)


async def test_names_and_addresses_are_text_and_nothing_else(api, ada):
    await api.rooms.keys.create(
        Scope.tenant(api.tenants["acme"], by=EVIL),
        Wish(name=EVIL, rights=frozenset({Right.JOBS_READ}), expires_at=clock.now_ms() + clock.DAY),
        held=ALL,
    )
    page = await ada.get("/keys")
    assert "<script>alert" not in page.html
    assert "<img src=x" not in page.html
    assert EVIL in page.text("tbody tr:last-child td.title")
    assert "Expires soon" in page.texts("tbody td.state")
    assert page.texts(".stat .figure")[1] == "1"
