"""The page of suppressions, over real rooms."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.core import ids
from appliance.core.scope import Scope
from appliance.suppressions import Reason, SuppressionEvent
from tests.support.api import open_api
from tests.support.console import visitor
from tests.support.mailroom import UNKNOWN, Mailroom, shop_day

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("console-suppressions"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    path = tmp_path_factory.mktemp("box")
    async with open_api(path, "acme", "globex") as opened:
        room = Mailroom(path)
        opened.ids = shop_day(room, opened.tenants["acme"])
        room.ship()
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


async def test_an_empty_list_says_what_it_is_for(ada):
    page = await ada.get("/suppressions")
    assert page.text("h1") == "Suppressions"
    assert "Nobody is suppressed" in page.text(".empty")


async def test_an_address_is_added_found_and_removed(ada):
    answer = await ada.submit("/suppressions", {"target": "Bob@Example.net"})
    page = await ada.follow(answer)
    assert page.text(".toast b") == "Suppressed"
    assert page.texts("tbody td.title") == ["bob@example.net"]
    assert (await ada.get("/suppressions?q=zzz")).texts("tbody tr") == []
    (form,) = page.all('dialog[id^="remove-"] form')
    page = await ada.follow(await ada.submit(form.get("action")))
    assert page.texts("tbody td.title") == []


async def test_what_is_wrong_stands_beside_its_field_in_the_open_dialog(ada):
    page = await ada.submit("/suppressions", {"target": "no address"}, expect=422)
    assert page.all("dialog#add[data-open]")
    assert page.value("target") == "no address"
    assert page.text("#target-note")


async def test_a_row_says_what_happened_and_leads_to_the_message(ada, api):
    acme, globex = api.tenants["acme"], api.tenants["globex"]
    number, now = api.ids["bounced"], ids.time_of(ids.from_text(api.ids["bounced"]))
    await api.rooms.suppressions.apply_events(
        [
            SuppressionEvent(f"{number}.0.9", acme, "j.old@lumen.example", Reason.HARD_BOUNCE, now),
            SuppressionEvent(
                f"{api.ids['invoice']}.0 n1", acme, "o@x.example", Reason.COMPLAINT, now
            ),
            SuppressionEvent("odd", acme, "odd@x.example", Reason.UNSUBSCRIBE, now),
            SuppressionEvent(f"{number}.0.9x", globex, "g@x.example", Reason.HARD_BOUNCE, now),
        ]
    )
    page = await ada.get("/suppressions")
    assert page.texts("td.wide") == [UNKNOWN, "Reported as unwanted: “Invoice 2026-11-0480”", ""]
    assert page.all("td.wide a")[0].get("href") == f"/messages/{number}"
    assert page.texts(".stat .figure") == ["3", "1", "1", "1"]
    gus = await visitor(api, "owner", "globex")
    assert (await gus.get("/suppressions")).texts("td.wide") == [""]  # another tenant's message


async def test_rows_that_are_ticked_are_removed_and_nobody_elses(ada, api):
    scope = Scope.tenant(api.tenants["globex"], by="gus")
    other = await api.rooms.suppressions.add(scope, "keep@x.example")
    page = await ada.get("/suppressions")
    picks = [one.get("value") for one in page.all("input[name=pick]")]
    page = await ada.follow(
        await ada.submit("/suppressions/remove", {"pick": [*picks[:2], str(other.id)]})
    )
    assert page.text(".toast").startswith("Removed2 addresses")
    assert len(page.all("input[name=pick]")) == len(picks) - 2
    assert await api.rooms.suppressions.get(scope, other.id) == other


async def test_the_list_is_written_out_as_a_job(ada, api):
    answer = await ada.submit("/suppressions/export")
    job = await api.rooms.jobs.get(Scope.tenant(api.tenants["acme"]), int(answer.location[6:]))
    assert (job.asked["what"], job.tenant_id) == ("suppressions", api.tenants["acme"])


async def test_a_viewer_changes_nothing(api):
    vic = await visitor(api, "viewer", "acme")
    assert not (await vic.get("/suppressions")).all("input[name=pick], [commandfor=add]")
    for path in ("/suppressions", "/suppressions/remove", "/suppressions/import"):
        await vic.submit(path, {"pick": "1", "target": "a@b.example"}, expect=403)
