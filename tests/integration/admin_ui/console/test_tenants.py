"""The pages of tenants, over real rooms."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.egress import EgressRequest, PoolChange
from mta.egress import Member
from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("console-tenants"),
]

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme", "globex") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def root(api):
    return await visitor(api, "admin")


async def test_tenants_are_listed_searched_and_paged(root, monkeypatch):
    page = await root.get("/tenants")
    assert page.texts("tbody td.title") == ["acme", "globex"]
    assert page.texts(".stat .figure")[0] == "2"
    assert (await root.get("/tenants?q=glo")).texts("tbody td.title") == ["globex"]
    assert "Nothing found" in (await root.get("/tenants?q=%25")).text(".empty")
    monkeypatch.setattr("admin_ui.console.tenants.PAGE", 1)
    page = await root.get("/tenants")
    (after,) = [one.get("href") for one in page.all(".card-foot a")]
    assert (await root.get(after)).texts("tbody td.title") == ["globex"]


async def test_a_tenant_is_added(api, root):
    wanted = {"name": "Initech", "weight": "3", "recipients_per_day": "5,000"}
    page = await root.follow(await root.submit("/tenants", wanted))
    assert page.text("h1").startswith("initech")
    made = await api.rooms.tenants.get(SYSTEM, "initech")
    assert (made.weight, made.recipients_per_day) == (3, 5000)


@pytest.mark.parametrize(
    ("fields", "note", "words"),
    [
        ({"name": "acme"}, "#name-note", "exists already"),
        ({"name": EVIL}, "#name-note", "cannot name a tenant"),
        ({"name": ""}, "#name-note", "fill it in"),
        ({"name": "x", "weight": "0"}, "#weight-note", "not between 1 and 1,000"),
        ({"name": "x", "recipients_per_day": "-1"}, "#recipients_per_day-note", "no whole number"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(root, fields, note, words):
    page = await root.submit("/tenants", fields, expect=422)
    assert page.all("dialog#add[data-open]")
    assert words in page.text(note)
    assert "<script>alert" not in page.html


async def test_limits_are_changed(api, root):
    here = f"/tenants/{api.tenants['acme']}"
    wanted = {"weight": "7", "recipients_per_day": "100", "sandboxed": "yes"}
    page = await root.follow(await root.submit(f"{here}/limits", wanted))
    assert "In the sandbox" in page.text(".note")
    acme = await api.rooms.tenants.get(SYSTEM, "acme")
    assert (acme.weight, acme.recipients_per_day, acme.sandboxed) == (7, 100, True)
    page = await root.submit(f"{here}/limits", {"weight": "many"}, expect=422)
    assert page.all("dialog#limits[data-open]")
    assert "no whole number" in page.text("#weight-note")


async def test_pools_are_chosen_among_those_it_may_use(api, root):
    here = f"/tenants/{api.tenants['acme']}"
    for number in (1, 2):
        wanted = EgressRequest(name=f"out{number}", address=f"198.51.100.2{number}")
        await api.rooms.egresses.create(SYSTEM, wanted)
    shared, theirs = (Member(egress="out1"),), (Member(egress="out2"),)
    await api.rooms.pools.set(SYSTEM, "fast", PoolChange(members=shared))
    globex = api.tenants["globex"]
    await api.rooms.pools.set(SYSTEM, "theirs", PoolChange(members=theirs, tenant_id=globex))
    page = await root.get(here)
    offered = [one.get("value") for one in page.all("#pool option")]
    assert offered == ["", "fast"]
    await root.submit(f"{here}/pools", {"pool": "fast"})
    acme = await api.rooms.tenants.get(SYSTEM, "acme")
    assert (acme.pool, acme.bulk_pool) == ("fast", "")
    page = await root.submit(f"{here}/pools", {"bulk_pool": "theirs"}, expect=422)
    assert "open to this tenant" in page.text("#bulk_pool-note")


async def test_it_is_suspended_with_a_reason_and_reactivated(api, root):
    here = f"/tenants/{api.tenants['globex']}"
    page = await root.submit(f"{here}/suspend", {"reason": " "}, expect=422)
    assert page.all("dialog#suspend[data-open]")
    assert page.text("#reason-note")
    page = await root.follow(await root.submit(f"{here}/suspend", {"reason": EVIL}))
    assert EVIL in page.text(".note")
    assert "<script>alert" not in page.html
    assert (await api.rooms.tenants.get(SYSTEM, "globex")).suspended
    page = await root.follow(await root.submit(f"{here}/resume"))
    assert "Active" in page.text("h1 .badge")
    assert not (await api.rooms.tenants.get(SYSTEM, "globex")).suspended


async def test_the_record_says_who_is_there_and_what_it_has(api, root):
    await visitor(api, "owner", "acme", "ada@acme.test")
    acme = api.tenants["acme"]
    await api.rooms.domains.create(SYSTEM, tenant_id=acme, name="acme.example")
    record = await api.rooms.tenants.get(SYSTEM, "acme")
    await api.rooms.credentials.create(SYSTEM, record, name="app")
    page = await root.get(f"/tenants/{acme}")
    assert any("ada@acme.test" in row and "Owner" in row for row in page.texts("tbody tr"))
    rows = page.texts(".has-list li")
    assert any("Domains" in row and "0 verified" in row and row.endswith("1") for row in rows)
    assert any("Credentials" in row and row.endswith("1") for row in rows)
    assert [one for one in page.all("main form") if one.get("action") == "/view"]
    entered = await root.submit("/view", {"tenant": str(acme)})
    assert entered.location == "/"


async def test_a_name_is_never_reused_for_an_attack(api, root):
    await api.rooms.tenants.set_profile(
        SYSTEM,
        api.tenants["acme"],
        organisation=EVIL,
        country="DE",
        postal_address=f"{EVIL}\nBerlin",
    )
    root = await visitor(api, "admin", name="second@box.test")
    for path in ("/tenants", f"/tenants/{api.tenants['acme']}"):
        page = await root.get(path)
        assert "<script>alert" not in page.html
        assert "<img src=x" not in page.html
        assert EVIL in page.text("main")


async def test_a_tenant_has_none_of_these_pages(api):
    ada = await visitor(api, "owner", "acme", "bea@acme.test")
    for tenant_id in api.tenants.values():
        await ada.get(f"/tenants/{tenant_id}", expect=404)
        for what in ("limits", "pools", "suspend", "resume"):
            await ada.submit(f"/tenants/{tenant_id}/{what}", {"reason": "x"}, expect=403)
    await ada.get("/tenants", expect=404)
    assert not (await api.rooms.tenants.get(SYSTEM, "globex")).suspended


async def test_support_looks_and_changes_nothing(api):
    sam = await visitor(api, "support")
    page = await sam.get(f"/tenants/{api.tenants['acme']}")
    assert not page.all("dialog#suspend")
    await sam.submit(f"/tenants/{api.tenants['acme']}/suspend", {"reason": "x"}, expect=403)
