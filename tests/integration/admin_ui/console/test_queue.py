"""The pages of the queue and of the kill switch, over real rooms and an mta with given rows."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.core.errors import NotRunningError
from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("console-queue"),
]
HOSTILE = '"><script>alert(1)</script>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme", "globex") as opened:
        for tenant in ("acme", "acme", "globex"):
            opened.owners.add(opened.tenants[tenant])
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ann(api):
    return await visitor(api, "admin")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sue(api):
    return await visitor(api, "support")


async def test_the_box_sees_all_that_waits_and_how_fast_it_leaves(ann):
    page = await ann.get("/queue")
    assert page.text("h1") == "Queue"
    assert page.texts(".stat .figure")[0] == "3"
    assert "2.5" in page.texts(".stat .figure")[2]
    assert page.texts("tbody td.title a") == ["good.test"]
    assert page.texts("tbody .badge") == ["Refused for now"]
    assert page.texts(".chip") == ["All 1", "Refused for now 1"]


async def test_a_tenant_sees_its_own_and_no_rates_of_the_box(ada):
    page = await ada.get("/queue?by=egress")
    assert page.texts(".stat .figure")[0] == "2"
    assert not any("Leaving" in one for one in page.texts(".stat .label"))
    assert "Grouped by destination" in page.text(".page-head p")


@pytest.mark.parametrize("by", ["provider", "tenant", "egress"])
async def test_the_box_groups_in_other_ways(api, ann, by):
    page = await ann.get(f"/queue?by={by}")
    assert page.texts("tbody td.title") == ["acme" if by == "tenant" else "good.test"]
    assert ("queue_summary", by) in [(m, (p or {}).get("by")) for m, p in api.owners.asked]


@pytest.mark.parametrize("path", ["/queue", "/queue/good.test", "/queue/found"])
async def test_a_silent_queue_is_not_taken_for_an_empty_one(api, ann, ada, monkeypatch, path):
    async def silent(*_):
        raise NotRunningError("mta-0 does not answer")

    monkeypatch.setattr(api.owners, "call", silent)
    for who in (ann, ada):
        page = await who.get(path)
        assert "The queue does not answer" in page.html
        assert "Nothing waits" not in page.html
        assert "mta-0" not in page.html


async def test_no_page_waits_for_long_for_a_process_that_hangs(api, ann, monkeypatch):
    waits = []

    async def hanging(_method, _payload, timeout):
        waits.append(timeout)
        raise NotRunningError("mta-0 does not answer")

    monkeypatch.setattr(api.owners, "everybody", hanging)
    for path in ("/", "/queue", "/queue/good.test", "/queue/found"):
        await ann.get(path)
    assert waits
    assert max(waits) <= 15


async def test_search_leads_to_a_domain_a_message_or_a_tenant(api, ann):
    async def place(q):
        return (await ann.http.get("/queue", params={"q": q})).headers.get("location", "")

    assert await place("Outlook.com") == "/queue/outlook.com"
    assert await place("acme") == "/queue?tenant=acme"
    one = api.owners.add(api.tenants["globex"])
    assert await place(one) == f"/messages/{one}"
    api.owners.messages.popitem()
    page = await ann.get("/queue?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in page.html


async def test_what_is_ticked_is_one_job(api, ann):
    picks = ["deferred good.test", "held outlook.com"]
    answer = await ann.submit("/queue/actions", {"by": "domain", "action": "retry", "pick": picks})
    job = await api.rooms.jobs.get(SYSTEM, int(answer.location.rpartition("/")[2]))
    assert job.asked["action"] == "retry"
    assert job.asked["parts"] == [
        {"domain": "good.test", "status": "deferred"},
        {"domain": "outlook.com", "status": "held"},
    ]
    page = await ann.follow(answer)
    assert page.text(".toast b") == "Tried again now"


async def test_a_tenants_job_stays_with_its_own_mail(api, ada):
    answer = await ada.submit("/queue/actions", {"by": "domain", "one": "hold deferred good.test"})
    job = await api.rooms.jobs.get(SYSTEM, int(answer.location.rpartition("/")[2]))
    assert job.tenant_id == api.tenants["acme"]
    assert job.asked["parts"][0]["tenant_id"] == api.tenants["acme"]
    page = await ada.follow(
        await ada.submit(
            "/queue/actions", {"by": "tenant", "one": "hold deferred globex"}, back="/queue"
        )
    )
    assert page.text(".toast b") == "Not done"


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "retry"},
        {"action": "explode", "pick": "deferred good.test"},
        {"action": "retry", "pick": "sending good.test"},
        {"action": "reroute", "pick": "deferred good.test", "pool": "nowhere"},
    ],
)
async def test_what_cannot_be_done_is_said(ann, fields):
    page = await ann.follow(
        await ann.submit("/queue/actions", {"by": "domain"} | fields, back="/queue")
    )
    assert page.text(".toast b") == "Not done"


async def test_who_only_reads_has_no_hands(sue):
    page = await sue.get("/queue")
    assert not page.all("[data-bulk]")
    await sue.submit("/queue/actions", {"by": "domain", "one": "hold deferred a.b"}, expect=403)
    await sue.get("/stop", expect=403)
    await sue.submit("/stop", {}, expect=403)


async def test_a_destination_says_why_and_who_waits(ann, ada):
    page = await ann.get("/queue/good.test")
    assert page.text("h1") == "good.test"
    assert "550 no such domain" in page.text(".note")
    assert len(page.texts("td.title a")) == 3
    page = await ada.get("/queue/good.test")
    assert len(page.texts("td.title a")) == 2
    assert "How mail goes there" not in page.html


async def test_a_message_is_acted_on_at_once_and_anothers_is_not_found(api, ada):
    mine, _, theirs = (await _ids(api))[:3]
    answer = await ada.submit(f"/queue/messages/{mine}/retry", {"place": "good.test"})
    assert answer.location == "/queue/good.test"
    page = await ada.follow(await ada.submit(f"/queue/messages/{theirs}/retry", back="/queue"))
    assert "No such message" in page.text(".toast")


async def test_more_filters_list_what_waits_and_act_on_all_of_it(api, ann, ada):
    more = "credential=5&sender_domain=Shop.example&hours=2&attempts=3&state=deferred"
    page = await ann.get(f"/queue/found?{more}&egress=out1&tenant=acme")
    assert page.texts("tbody td.title a") == ["jane@good.test"] * 2
    method, asked = api.owners.asked[-1]
    assert (method, asked["slices"]) == ("queue_look", 4)
    wanted = asked["filter"]
    assert 0 < wanted.pop("before") < 1 << 42
    assert wanted == {
        "credential_id": 5, "egress": "out1", "sender_domain": "shop.example", "status": "deferred",
        "attempts": 3, "tenant_id": api.tenants["acme"],
    }  # fmt: skip
    answer = await ada.submit("/queue/found/act", {"action": "hold", "attempts": "3"})
    job = await api.rooms.jobs.get(SYSTEM, int(answer.location.rpartition("/")[2]))
    assert job.asked["filter"] == {"attempts": 3, "tenant_id": api.tenants["acme"]}
    page = await ann.follow(await ann.submit("/queue/found/act", {"action": "cancel"}, back="/"))
    assert "this would be the whole queue" in page.text(".toast")
    page = await ann.get("/queue/found?attempts=many", expect=422)
    assert "no whole number" in page.text("#f-attempts-note")
    hostile = (await ann.http.get("/queue/found", params={"tag": HOSTILE, "egress": HOSTILE})).text
    assert HOSTILE not in hostile


async def test_what_waits_is_written_out_as_a_job(api, ada, sue):
    answer = await ada.submit("/queue/export", {"domain": "good.test"})
    job = await api.rooms.jobs.get(SYSTEM, int(answer.location.rpartition("/")[2]))
    assert job.asked == {"what": "queue", "filters": {"domain": "good.test"}}
    assert job.tenant_id == api.tenants["acme"]


async def _ids(api):
    from appliance.core import ids

    return [ids.to_text(one) for one in sorted(api.owners.messages)]


async def test_a_pause_is_made_shown_and_lifted(api, ada):
    fields = {"domain": "gmail.com", "reason": HOSTILE}
    page = await ada.follow(await ada.submit("/queue/pauses", fields))
    assert "to gmail.com" in page.text("td.title")
    assert HOSTILE not in page.html
    assert HOSTILE in page.text("td[data-label=Why]")
    (made,) = await api.rooms.operations.pauses(SYSTEM)
    assert made.tenant_id == api.tenants["acme"]
    other = await visitor(api, "owner", "globex")
    page = await other.follow(
        await other.submit(f"/queue/pauses/{made.id}/resume", back="/queue/pauses")
    )
    assert "No pause has the id" in page.text(".toast")
    assert len(await api.rooms.operations.pauses(SYSTEM)) == 1
    await ada.submit(f"/queue/pauses/{made.id}/resume")
    assert await api.rooms.operations.pauses(SYSTEM) == ()


async def test_a_credential_and_an_egress_are_paused_and_what_is_not_there_is_not(api, ann, ada):
    scope = SYSTEM.within(api.tenants["acme"])
    owner = await api.rooms.tenants.by_id(SYSTEM, api.tenants["acme"])
    made = (await api.rooms.credentials.create(scope, owner, name="shop")).credential
    place = f"/credentials/{made.id}"
    page = await ada.submit(f"{place}/pause", {"reason": ""}, expect=422)
    assert page.all("dialog#pause[data-open]")
    page = await ada.follow(await ada.submit(f"{place}/pause", {"reason": HOSTILE}))
    assert "paused by owner@acme.test" in page.text(".note")
    assert HOSTILE not in page.html
    assert not page.all("dialog#pause")
    page = await ada.get("/queue/pauses")
    assert "credential shop" in page.text("td.title")
    (pause,) = await api.rooms.operations.pauses(SYSTEM)
    assert (pause.tenant_id, pause.credential_id) == (api.tenants["acme"], made.id)
    answer = await ada.submit(f"/queue/pauses/{pause.id}/resume", back=place)
    assert answer.location.startswith(place)
    assert "paused by" not in (await ada.follow(answer)).html

    told = {"reason": "moved", "credential": "999"}
    assert (await ann.submit("/queue/pauses", told, expect=422)).text("#credential-note")
    told = {"reason": "moved", "egress": "nowhere"}
    assert (await ann.submit("/queue/pauses", told, expect=422)).text("#egress-note")
    await ann.submit("/queue/pauses", told | {"egress": "default"})
    (pause,) = await api.rooms.operations.pauses(SYSTEM)
    assert pause.egress == "default"
    await ann.submit(f"/queue/pauses/{pause.id}/resume")
    await ada.submit("/queue/pauses", told, expect=422)
    assert await api.rooms.operations.pauses(SYSTEM) == ()


async def test_a_pause_without_a_reason_opens_its_dialog_again(ada):
    page = await ada.submit("/queue/pauses", {"domain": "gmail.com"}, expect=422)
    assert page.all("dialog#pause[data-open]")
    assert page.text("#reason-note")


async def test_all_sending_stops_once_the_words_are_typed_and_goes_on_again(api, ann, ada):
    page = await ann.get("/stop")
    assert "3 recipients stay in the queue" in page.text("main")
    words = page.all("[data-confirm-words]")[0].get("data-confirm-words")
    fields = {"reason": "stolen " + HOSTILE, "confirm": "stop"}
    page = await ann.submit("/stop", fields, expect=422)
    assert not (await api.rooms.operations.kill_status()).is_on
    page = await ann.submit("/stop", {"confirm": words}, expect=422)
    assert page.text("#stop-reason-note")
    page = await ann.follow(await ann.submit("/stop", fields | {"confirm": words}))
    assert "stolen" in page.text(".stopped")
    assert "3 wait" in page.text(".stopped")
    assert HOSTILE not in page.html
    assert "On resume" in page.text("tbody")
    page = await ada.get("/queue")
    assert "paused by the operator" in page.text(".stopped")
    assert "stolen" not in page.html
    assert (await ann.get("/stop")).text("h1") == "Resume sending?"
    page = await ann.follow(await ann.submit("/stop/resume", {}))
    assert not page.all(".stopped")


async def test_the_palette_finds_pages_records_and_what_can_be_done(ann, ada, sue):
    page = await ann.get("/palette?q=good", **{"HX-Request": "true"})
    options = page.texts("[role=option]")
    assert options[0].startswith("good.test, 3 waiting")
    assert "Retry good.test now" in options
    assert "Retry good.test now" not in (await sue.get("/palette?q=good")).texts("main button")
    assert "globex" in " ".join((await ann.get("/palette?q=glob")).texts("main a"))
    assert "globex" not in " ".join((await ada.get("/palette?q=glob")).texts("main a"))
    assert "Nothing found" in (await ada.get("/palette?q=%3Cimg%20src%3Dx%3E")).text(".empty")


async def test_services_are_for_the_box_and_say_how_it_is(ann, ada):
    page = await ann.get("/services")
    assert page.text("h1").startswith("Services")
    assert "set backup.directory" in page.html
    await ada.get("/services", expect=403)
    await ann.submit("/services/doctor")


async def test_choices_of_notifications_are_kept(api, ann):
    page = await ann.get("/notifications")
    feed = [one.get("value") for one in page.all("[name=feed]")]
    answer = await ann.submit("/notifications/choices", {"feed": feed, "mail": feed[:1]})
    page = await ann.follow(answer)
    mail = [one for one in page.all("[name=mail]") if one.get("checked") is not None]
    assert [one.get("value") for one in mail] == feed[:1]
    await ann.submit("/notifications/seen", {"upto": "0"})


async def test_all_components_stand_on_one_page_of_the_box(ann, ada):
    page = await ann.get("/components")
    assert {"Atoms", "Molecules", "Organisms"} <= set(page.texts("h2"))
    await ada.get("/components", expect=403)
