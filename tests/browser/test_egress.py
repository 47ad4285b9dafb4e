"""Addresses, warmups, shaping and blocklists in a browser."""

from __future__ import annotations

import pytest
import pytest_asyncio

from mta.warmup.model import WarmupState
from tests.support.api import SYSTEM, open_api
from tests.support.chromium import profile
from tests.support.console import visitor
from tests.support.looking import enter, look, opened
from tests.support.served import served
from tests.support.warming import addresses, listed, slowed, warm_up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme") as api, served(api.app) as url:
        await addresses(api)
        await warm_up(api)
        await slowed(api, "421 4.7.0 [TSS04] Messages from 198.51.100.23 temporarily deferred")
        await listed(api, "https://check.example/query/ip/198.51.100.23")
        yield url, await visitor(api)


async def test_a_warmup_held_and_stepped_back_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/warmup/out2", "warmup")


async def test_the_list_of_warmups_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/warmup", "warmups")


async def test_addresses_and_pools_look_as_they_should(chromium, box):
    await look(chromium, *box, "/egress", "egress")
    await look(chromium, *box, "/egress/out3", "egress-out3")


async def test_what_slows_mail_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/shaping", "shaping")


async def test_a_listing_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/blocklists", "blocklists")


async def test_a_warmup_is_stepped_back_and_held_by_hand_and_every_chart_says_so(chromium, box):
    """Two receivers were held by their answers; a third is stepped back by somebody, then paused."""
    url, ann = box
    async with profile(chromium, base_url=url) as watched:
        await enter(watched, url, ann)
        page, other = await watched.page(), await watched.page()
        for one in (page, other):
            await one.goto("/warmup/out2")
            await one.locator("html[data-stream='on']").wait_for()
        await _judged(page)
        before = (await _google(ann)).limit
        await _act(page, "Step back", "too many complaints")
        after = await _google(ann)
        assert after.limit < before
        for one in (page, other):
            await _chart(one, "Google").get_by_label(f"of {after.limit:,} sent today").wait_for()
        await _act(page, "Pause warmup", "their postmaster asked")
        assert (await _google(ann)).state is WarmupState.PAUSED
        for one in (page, other):
            await _chart(one, "Google").get_by_label("paused").first.wait_for()
            await one.get_by_text("their postmaster asked").first.wait_for()
        await _act(page, "Resume")
        again = await _google(ann)
        assert (again.state, again.limit) == (WarmupState.WARMING, after.limit)


def _chart(page, receiver):
    return page.get_by_role("region", name=receiver)


async def _judged(page):
    """What the loop of the worker has decided stands in the chart, as a drawing and as a table."""
    card = _chart(page, "Microsoft consumer")
    assert await card.get_by_label("after a setback").count() == 1
    await card.get_by_text("Show as table").click()
    rows = " ".join(await card.get_by_role("row").all_inner_texts())
    assert "stepped back" in rows
    assert "held" in rows


async def _act(page, button, why=""):
    """For Google alone."""
    wanted = page.get_by_role("button", name=button).first
    if not await wanted.is_visible():
        await page.locator("summary", has_text="More").click()
    await wanted.click()
    dialog = page.get_by_role("dialog")
    for tick in await dialog.get_by_role("checkbox").all():
        await tick.set_checked("Google" in await tick.evaluate("one => one.labels[0].innerText"))
    if why:
        await dialog.get_by_label("Why").fill(why)
    await dialog.get_by_role("button", name=button).click()
    await dialog.wait_for(state="detached")


async def _google(ann):
    found = await ann.api.rooms.warmups.list(SYSTEM, "out2")
    return next(one for one in found if one.provider == "google")


async def test_adding_an_address_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/egress", "egress-add", opened("add"))


async def test_a_pool_and_its_shares_look_as_they_should(chromium, box):
    await look(chromium, *box, "/egress", "pool-change", opened("change-shared"))


async def test_skipping_a_day_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/warmup/out2", "warmup-skip", opened("skip"))


async def test_a_step_back_looks_as_it_should(chromium, box):
    step_back = opened("step-back", menu=".page-head .menu > summary")
    await look(chromium, *box, "/warmup/out2", "warmup-step-back", step_back)


async def test_holding_a_warmup_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/warmup/out2", "warmup-pause", opened("pause"))


async def test_lifting_a_throttle_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/shaping", "throttle-lift", opened("lift-1"))
