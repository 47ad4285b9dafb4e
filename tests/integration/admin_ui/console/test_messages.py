"""The lists of messages and of what failed, over a real log and real counts."""

from __future__ import annotations

import pytest
import pytest_asyncio

from admin_ui.console.mail import recent
from appliance.core.scope import Scope
from appliance.history import walk
from tests.support.api import open_api
from tests.support.console import visitor
from tests.support.mailroom import HOSTILE, Mailroom, shop_day

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-messages")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    path = tmp_path_factory.mktemp("box")
    async with open_api(path, "acme", "globex") as opened:
        room = Mailroom(path)
        opened.ids = shop_day(room, opened.tenants["acme"])
        other = room.accept(opened.tenants["globex"], "cyd@other.example", subject="Of another")
        room.told(
            opened.tenants["globex"], other, 0, "delivered", "cyd@other.example", reply="250 ok"
        )
        room.ship()
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


async def found(ada, query):
    return (await ada.get(f"/messages?{query}")).texts("td.title")


async def test_the_list_has_the_newest_first_with_states_and_last_words(ada):
    page = await ada.get("/messages")
    assert page.texts("td.title")[:2] == ["billing@globex.example", "archive@northwind.example"]
    assert page.texts("td.state")[:2] == ["Waiting", "Bounced, user unknown"]
    assert page.texts("td.wide")[1].startswith("550 5.1.1 The email account")
    assert "cyd@other.example" not in page.html


async def test_one_box_finds_by_what_was_typed(ada, api):
    assert await found(ada, "q=dana@northwind.example") == ["dana@northwind.example"]
    assert await found(ada, "q=hello") == ["hello@orchard.example"]
    assert await found(ada, "q=lumen.example") == ["j.old@lumen.example"]
    assert len(await found(ada, f"q={api.ids['three']}")) == 3
    assert await found(ada, "q=nobody@nowhere.example") == []


async def test_filters_narrow_the_list(ada):
    assert await found(ada, "state=suppressed") == ["stock@delta-freight.example"]
    assert await found(ada, "state=complained") == ["office@harbor-books.example"]
    assert len(await found(ada, "tag=shipped")) == 3
    assert await found(ada, "sender=nobody@acme.example") == []
    assert await found(ada, "since=2030-01-01T10:00") == []
    assert await found(ada, "until=2020-01-01") == []


async def test_what_no_index_knows_is_found_among_the_newest(ada, monkeypatch):
    three = ["billing@globex.example", "archive@northwind.example", "dana@northwind.example"]
    assert await found(ada, "q=order+shipped") == three
    assert await found(ada, "credential=1&traffic_class=transactional") == three
    assert await found(ada, "sender_domain=Acme.example&domain=globex.example") == three[:1]
    assert await found(ada, "traffic_class=bulk") == []
    monkeypatch.setattr(walk, "LOOKED_AT", 3)
    page = await ada.get("/messages?subject=password&state=bounced")
    assert page.text(".empty p") == "None of the newest 3 messages fits all of this."
    while not page.all("td.title"):
        (on,) = [one for one in page.all(".empty a") if "further" in one.text_content()]
        page = await ada.get(on.get("href"))
    assert page.texts("td.title") == ["j.old@lumen.example"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("subject=a+b+c+d+e+f", "at most 5 words"),
        ("credential=mine", "no whole number"),
        ("since=yesterday", "no such time"),
        ("since=2026-01-02&until=2026-01-01", "not after the beginning"),
        ("q=ab", "at least 3 characters"),
        ("cursor=odd", "is no cursor"),
    ],
)
async def test_what_cannot_be_searched_for_says_why(ada, query, words):
    page = await ada.get(f"/messages?{query}", expect=422)
    assert words in page.text("#found .empty")


async def test_the_list_follows_until_it_is_paused_and_new_rows_flash_once(ada):
    page = await ada.get("/messages")
    (region,) = page.all("#found")
    assert "live:messages" in region.get("hx-trigger")
    assert not (await ada.get(region.get("hx-get"))).all("tr.new")  # all of it was seen
    older = page.all("#found tr[id]")[-1].get("id")
    fresh = (await ada.get(f"/messages?seen={older}")).all("tr.new")
    assert len(fresh) == len(page.all("#found tbody tr")) - 1
    paused = await ada.get("/messages?live=0")
    assert paused.all("#found")[0].get("hx-get") is None
    assert "Follow" in paused.text("#found .card-foot")


async def test_what_strangers_wrote_is_text(ada):
    for path in ("/messages", "/messages/failed", "/bounces"):
        page = await ada.get(path)
        assert HOSTILE in page.texts("td.subject")
        assert not page.all("main img, main script")


async def test_a_list_is_written_out_as_a_job(ada, api):
    answer = await ada.submit("/messages/export", {"state": "bounced", "q": "lumen.example"})
    job = await api.rooms.jobs.get(Scope.tenant(api.tenants["acme"]), int(answer.location[6:]))
    assert job.asked["what"] == "messages"
    assert job.asked["filters"] == {"domain": "lumen.example", "status": "bounced"}
    assert job.tenant_id == api.tenants["acme"]


async def test_what_failed_is_shown_by_reason(ada):
    page = await ada.get("/messages/failed")
    assert page.texts("table.reasons td.title") == ["User unknown", "Policy"]
    assert page.texts("table.reasons td.right") == ["2", "1"]
    assert page.texts("#found td.title") == [
        "archive@northwind.example",
        "j.old@lumen.example",
        "eve@evil.example",
    ]
    page = await ada.get("/messages/failed?reason=policy")
    assert page.texts("#found td.title") == ["eve@evil.example"]
    assert (await ada.get("/messages/failed?state=expired")).texts("#found td.title") == []


async def test_bounces_are_counted_by_day_and_reason(ada):
    page = await ada.get("/bounces?days=7")
    assert page.texts(".stat .figure") == ["2", "1", "1", "1"]
    assert len(page.all("figure.chart g.column")) == 7
    assert page.text('figure.chart svg[role="img"] ~ details caption').startswith(
        "Bounces in 7 days"
    )
    assert page.texts("table.reasons td:last-child")[0] == "Suppressed at once"
    assert len((await ada.get("/bounces?days=9999")).all("figure.chart g.column")) == 14


async def test_the_whole_box_says_whose_each_is_and_narrows_to_one(api):
    root = await visitor(api, "admin")
    page = await root.get("/messages")
    assert page.texts("tbody td[data-label=Tenant]")[:2] == ["globex", "acme"]
    page = await root.get("/messages?tenant=globex")
    assert page.texts("td.title") == ["cyd@other.example"]
    page = await root.get("/messages?tenant=nobody", expect=422)
    assert page.text("#f-tenant-note")


async def test_a_tenant_names_no_other_tenant(ada):
    await ada.get("/messages?tenant=globex", expect=422)


async def test_the_newest_are_there_for_other_pages(api):
    rows = await recent(api.rooms, Scope.tenant(api.tenants["acme"]), 2)
    assert [row.address for row in rows] == ["billing@globex.example", "archive@northwind.example"]
