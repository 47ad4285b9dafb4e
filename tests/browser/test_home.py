"""The first page and the usage, in a browser."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.api import open_api
from tests.support.busy_box import Reports, fill
from tests.support.chromium import profile
from tests.support.console import visitor
from tests.support.looking import enter, look
from tests.support.served import served

SHIFTS = """window.shifted = 0; new PerformanceObserver(list => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) window.shifted += one.value;
}).observe({type: 'layout-shift', buffered: true});"""

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    path = tmp_path_factory.mktemp("box")
    async with (
        open_api(path, "acme", "delta-freight", "harbor-books", processes=Reports()) as api,
        served(api.app) as url,
    ):
        await fill(api, path)
        yield url, await visitor(api, "owner", "acme"), await visitor(api)


async def test_the_home_of_a_tenant_looks_as_it_should(chromium, box):
    url, ada, _ = box
    await look(chromium, url, ada, "/", "home")


async def test_the_home_of_the_box_looks_as_it_should(chromium, box):
    url, _, ann = box
    await look(chromium, url, ann, "/", "home-box")


async def test_the_usage_looks_as_it_should(chromium, box):
    url, ada, _ = box
    await look(chromium, url, ada, "/usage", "usage")


async def test_the_statistics_look_as_they_should(chromium, box):
    url, _, ann = box
    await look(chromium, url, ann, "/usage", "statistics")


async def test_the_services_look_as_they_should(chromium, box):
    url, _, ann = box
    await look(chromium, url, ann, "/services", "services")


async def test_the_notifications_look_as_they_should(chromium, box):
    url, _, ann = box
    await look(chromium, url, ann, "/notifications", "notifications-box")


@pytest.mark.parametrize("path", ["/", "/messages"])
async def test_nothing_moves_while_a_page_comes_for_the_first_time(chromium, box, path):
    url, ada, _ = box
    async with profile(chromium) as watched:
        await enter(watched, url, ada)
        await watched.context.add_init_script(SHIFTS)
        page = await watched.page()
        async with page.expect_response("**/counts"):  # the last that a page asks for
            await page.goto(f"{url}{path}")
        await page.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame))")
        assert await page.evaluate("window.shifted") <= 0.01
