"""The pages of warmup, over real rooms and days that the worker's own loop has judged."""

from __future__ import annotations

import pytest
import pytest_asyncio

from mta.warmup.model import WarmupState
from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor
from tests.support.warming import addresses, warm_up

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("console-egress"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme") as opened:
        await addresses(opened)
        await warm_up(opened)
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ann(api):
    return await visitor(api)


async def standing(api, egress="out2"):
    return {one.provider: one for one in await api.rooms.warmups.list(SYSTEM, egress)}


async def test_the_list_says_where_each_address_is_held(ann):
    page = await ann.get("/warmup")
    (row,) = page.texts("#list tbody tr")
    assert "198.51.100.22" in row
    assert "held at 2 of 4" in row
    assert "Microsoft consumer: held, day 3" in row


async def test_what_yesterday_holds_is_told_as_held_everywhere(ann):
    figures = {one.get("data-count"): one for one in (await ann.get("/counts")).all("[data-count]")}
    assert figures["warmup"].text_content() == "1 held"
    home = await ann.get("/")
    (row,) = [one for one in home.texts("tbody tr") if "198.51.100.22" in one]
    assert "Warmup held at 2" in row


async def test_an_address_tells_why_it_is_held_and_what_was_decided(api, ann):
    page = await ann.get("/warmup/out2")
    assert page.text("h1").startswith("198.51.100.22 Day 12 of 29, held at 2 of 4")
    notes = page.texts("#warmup .note")
    assert any(
        "Held at Microsoft" in one and "deferred" in one and "10.00 %" in one for one in notes
    )
    assert any("Held at Yahoo" in one and "complained about" in one for one in notes)
    assert len(page.all("figure.chart")) == 4
    assert page.all("figure.chart rect.tone-failed")
    assert page.all("figure.chart rect.tone-waiting")
    badges = page.texts("#warmup table.cards td.state")
    assert {"Held", "Moved on"} <= set(badges)
    everything = await ann.get("/warmup/out2?days=all")
    assert "Stepped back" in everything.texts("#warmup table.cards td.state")
    limit = (await standing(api))["google"].limit
    assert f"of {limit:,} today" in page.html or f"of {limit:,}" in page.text("section.way")


async def test_what_is_wrong_with_a_start_stands_beside_its_field(ann):
    path = "/warmup"
    for fields, where in (
        ({"egress": "nobody", "schedule": "standard"}, "egress"),
        ({"egress": "out3", "schedule": "nobody"}, "schedule"),
        ({"egress": "out3", "schedule": "by-provider"}, "target"),
        ({"egress": "out3", "schedule": "standard", "target": "5"}, "target"),
    ):
        page = await ann.submit(path, fields, expect=422)
        assert page.all("dialog#start[data-open]")
        assert page.text(f"#{where}-note"), fields
    page = await ann.submit(path, {"egress": "out2", "schedule": "standard"}, expect=422)
    assert "already" in page.text("dialog#start .note")


async def test_a_warmup_is_started_paused_resumed_skipped_stepped_back_finished_begun_anew(
    api, ann
):
    page = await ann.submit(
        "/warmup", {"egress": "out3", "schedule": "standard", "provider": ["google", "other"]}
    )
    assert (await ann.follow(page)).text("h1").startswith("198.51.100.23")
    google = {"provider": "google"}
    words = "<img src=x onerror=alert(1)>"
    await ann.submit("/warmup/out3/pause", google | {"reason": words})
    page = await ann.get("/warmup/out3")
    assert "<img" not in page.html.replace("&lt;img", "")
    assert words in page.text("#warmup .note")
    stands = await standing(api, "out3")
    assert [stands[one].state for one in ("google", "other")] == [
        WarmupState.PAUSED,
        WarmupState.WARMING,
    ]
    await ann.submit("/warmup/out3/resume", google)
    await ann.submit("/warmup/out3/skip", google)
    assert (await standing(api, "out3"))["google"].stage == 1
    await ann.submit("/warmup/out3/step-back", google | {"reason": "many deferrals"})
    assert (await standing(api, "out3"))["google"].stage == 0
    await ann.submit("/warmup/out3/finish", google)
    assert (await standing(api, "out3"))["google"].state is WarmupState.WARM
    await ann.submit("/warmup/out3/restart", {"provider": ["google", "other"]})
    assert (await standing(api, "out3"))["google"].state is WarmupState.WARMING


async def test_a_move_needs_a_reason_a_receiver_and_sense(ann):
    page = await ann.submit("/warmup/out2/pause", {"provider": "google"}, expect=422)
    assert page.all("dialog#pause[data-open]")
    assert page.text("#pause-reason-note")
    page = await ann.submit("/warmup/out2/skip", {}, expect=422)
    assert "tick at least one" in page.text("dialog#skip .error")
    page = await ann.submit("/warmup/out2/resume", {"provider": "google"}, expect=422)
    await ann.submit("/warmup/nobody/skip", {"provider": "google"})
    await ann.get("/warmup/nobody", expect=404)


async def test_who_may_only_look_sees_no_button_and_changes_nothing(api, ann):
    support = await visitor(api, "support")
    page = await support.get("/warmup/out2")
    assert page.all("dialog#pause") == []
    await support.submit("/warmup/out2/skip", {"provider": "google"}, expect=403)
    owner = await visitor(api, "owner", "acme")
    await owner.get("/warmup", expect=403)
