"""The first page of a tenant and of the box, and the usage, over real rooms with mail of two days."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.core import clock
from appliance.core.errors import NotRunningError
from appliance.core.scope import Scope
from appliance.notices import Notices
from mta.shaping.throttle import Fault, Subject, Throttle
from tests.support.api import open_api
from tests.support.busy_box import Reports, fill
from tests.support.console import visitor
from tests.support.published import publish

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-home")]
SYSTEM = Scope.system(by="test")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    path = tmp_path_factory.mktemp("box")
    names = ("acme", "delta-freight", "harbor-books", "quiet")
    async with open_api(path, *names, processes=Reports()) as opened:
        await fill(opened, path)
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ann(api):
    return await visitor(api)


def _is_clean(page):
    """Nothing that came by mail or from a remote is markup."""
    return not page.all("img[src=x]") and not [
        one for one in page.all("script") if "alert" in (one.text or "")
    ]


async def test_what_needs_doing_comes_worst_first_and_is_said_in_numbers(ada):
    page = await ada.get("/")
    titles = page.texts(".todo b")
    assert titles[0] == "The DKIM record of mail.acme.example does not match"
    assert "“legacy-erp” was refused" in titles
    assert "acme has sent to 171 of 200 recipients a day" in titles
    assert page.text(".page-head p").endswith("One thing is broken and one needs a look.")
    assert [one.get("class") for one in page.all(".todo > li")] == ["bad", "look", "way"]
    assert len(page.all(".todo .button.primary")) == 1


async def test_the_day_is_drawn_and_summed_up(ada):
    page = await ada.get("/")
    labels = page.texts("#today .strip .label")
    assert labels == ["Accepted", "Delivered", "Waiting", "Bounced, suppressed", "Complaints"]
    assert page.text("#today .strip div:nth-child(3) .figure") == "31 oldest 5 h 20 m"
    assert page.all("#today figure.chart g.column rect.tone-done")
    assert page.all("#today path.dashed")


async def test_sender_health_and_the_newest_messages_are_the_tenants_own(ada):
    page = await ada.get("/")
    assert page.texts("#health td.title")[0] == "mail.acme.example"
    assert "Fix DKIM" in page.texts("#health td.state")[0]
    assert page.texts("#recent td.title")[0] == "dana@northwind.example"
    assert "lumen.example" not in " ".join(page.texts("#health td"))


async def test_hostile_words_stay_words(ada, ann):
    for who, path in ((ada, "/"), (ada, "/usage"), (ann, "/"), (ann, "/usage")):
        page = await who.get(path)
        assert _is_clean(page), path
        if path == "/":
            assert "alert(1)" in page.tree.text_content()


async def test_a_test_message_is_offered_to_who_may_send(api, ada):
    (button,) = [
        one for one in (await ada.get("/")).all("form") if "/test" in one.get("action", "")
    ]
    assert button.get("action").startswith("/domains/")
    viewer = await visitor(api, "viewer", "acme")
    page = await viewer.get("/")
    assert not [one for one in page.all("form") if one.get("action", "").endswith("/test")]
    assert "legacy-erp" not in page.html  # credentials are not theirs to see


async def test_another_tenant_sees_nothing_of_it(api):
    bob = await visitor(api, "owner", "quiet")
    page = await bob.get("/")
    assert page.texts(".todo b") == ["Set up: step 1 of 4, your organisation"]
    assert "acme" not in page.html
    assert page.text("#recent .empty h2") == "No messages yet"
    assert "acme" not in (await bob.get("/usage")).html


async def test_the_box_shows_its_mail_who_is_at_risk_its_addresses_and_its_processes(ann):
    page = await ann.get("/")
    assert page.texts(".stat .label") == ["Accepted", "Delivered", "Waiting", "Bounced, last hour"]
    assert page.texts(".stat .figure")[2] == "48,216"
    assert page.texts(".shares .dot")[:2] == ["Slowed by the remote", "Waits for warmup"]
    assert page.texts("#risks td.title") == ["delta-freight", "harbor-books", "acme"]
    assert "9,120 messages are held" in page.texts("#risks td.whole")[0]
    assert page.texts("#risks span.bad")[0] == "11.7 %"
    states = dict(
        zip(page.texts("#egress td.title b"), page.texts("#egress td.state"), strict=True)
    )
    assert states["198.51.100.24"] == "Draining"
    assert states["198.51.100.23"].startswith("Warmup held")
    assert page.texts("#services .dot")[0] == "Background work"  # what is not well comes first
    assert page.text("#services .badge") == "1 is not well"
    assert page.texts(".todo b") == ["198.51.100.23 (out3) is on zen.example"]


async def test_a_silent_queue_is_said_and_the_rest_stands(api, ada, ann, monkeypatch):
    async def silent(*_):
        raise NotRunningError("mta-0 does not answer")

    monkeypatch.setattr(api.owners, "everybody", silent)
    page = await ann.get("/")
    assert page.text("#mail .note b") == "The queue does not answer"
    assert page.texts("#risks td.title") == ["harbor-books", "delta-freight", "acme"]
    assert page.all("#egress tbody tr")
    page = await ada.get("/")
    assert "The queue does not answer" in page.text("#today .strip")
    assert page.texts("#recent td.title")


async def test_usage_shows_limits_what_happens_at_them_and_what_was_sent(ada):
    page = await ada.get("/usage?period=7")
    assert page.text("h1") == "Plan and usage"
    assert "of 200 recipients today" in page.text("#limits b")
    assert "450" in page.text("#limits p.muted")
    assert page.texts("#limits td.title") == ["legacy-erp"]
    assert "0 of 500" in page.texts("#limits td")[2]
    assert page.texts("#sent h2")[1:] == ["By domain of the sender", "By receiver", "By tag"]
    assert page.text('.chip[aria-current="true"]') == "7 days"
    assert {"order", "invoice"} <= set(page.texts("#sent td.title"))


async def test_an_unknown_period_is_this_month_and_the_box_sees_all_tenants(ann):
    page = await ann.get("/usage?period=%3Cscript%3E")
    assert page.text("h1") == "Statistics"
    assert page.text('.chip[aria-current="true"]') == "This month"
    assert page.texts("#sent h2")[1] == "By tenant"
    assert page.texts("#sent td.title")[:2] == ["acme", "delta-freight"]
    assert not page.all("#limits")


async def test_what_was_mended_is_gone(api, ada):
    notices: Notices = api.rooms.notifications._notices
    await publish(api.rooms, "mail.acme.example")
    await notices.resolve(SYSTEM, "quota", "80 %", tenant_id=api.tenants["acme"])
    page = await ada.get("/")
    assert page.texts(".todo b") == ["“legacy-erp” was refused"]
    assert page.text(".page-head p").endswith("One thing needs a look.")
    assert "Fix DKIM" not in page.text("#health")


async def test_a_suspended_tenant_reads_why(api, ada):
    await api.rooms.tenants.suspend(SYSTEM, "acme", reason="too many <b>complaints</b>")
    page = await ada.get("/")
    await api.rooms.tenants.resume(SYSTEM, "acme")
    assert page.texts(".todo b")[0] == "Your sending is suspended"
    assert "too many <b>complaints</b>" in page.text(".todo p")


async def test_a_fresh_box_says_where_to_begin(tmp_path):
    async with open_api(tmp_path) as fresh:
        ann = await visitor(fresh)
        page = await ann.get("/")
        assert page.text("main .button.primary") == "Create the first tenant"
        assert not page.all("#mail")
        assert not page.all("#risks")


async def test_what_is_suspended_at_a_receiver_is_said_at_its_address(api, ann):
    now = clock.now_ms()
    fault = Fault("yahoo-blocked", "553 5.7.1 [BL21]", "mx.yahoo.example", now)
    one = Throttle(subject=Subject("out1", "yahoo"), suspended_until=now + clock.HOUR, fault=fault)
    over = Throttle(subject=Subject("out2", "gmx"), suspended_until=now - clock.HOUR, fault=fault)
    await api.rooms.throttles.save([one, over])
    page = await ann.get("/")
    states = dict(
        zip(page.texts("#egress td.title b"), page.texts("#egress td.state"), strict=True)
    )
    assert states["198.51.100.21"] == "Suspended at Yahoo and AOL"
    assert [found.subject for found in await api.rooms.throttles.suspended(SYSTEM)] == [one.subject]
