"""The console by keyboard alone: signing in, going through a list, dialogs, menus, tabs, the palette, the stop.

Every step of Tab is looked at: what has the focus is on the page, and shows it.
"""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.api import SYSTEM, open_api
from tests.support.chromium import profile
from tests.support.console import PASSWORD, visitor
from tests.support.served import served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]
STEPS = 150  # of Tab: nothing of a page is further away
FOCUSED = """(wanted) => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  const around = one.parentElement ? getComputedStyle(one.parentElement) : style;
  const isRinged = [style, around].some((s) => s.outlineStyle !== "none" || s.boxShadow !== "none");
  const isThere = box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight;
  const open = document.querySelector("dialog:modal");
  return {
    isWanted: one === wanted, isPage: one === document.body, isRinged, isThere,
    isTrapped: !open || open.contains(one), what: one.outerHTML.slice(0, 200),
  };
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme") as api, served(api.app) as url:
        await visitor(api, "admin", name="ann@relay.example")
        for number in range(52):
            await api.rooms.suppressions.add(SYSTEM, f"p{number:02}@lumen.example", tenant_id=1)
        tenant = await api.rooms.tenants.get(SYSTEM, "acme")
        await api.rooms.credentials.create(SYSTEM, tenant, name="web-shop")
        yield api, url


async def test_everything_is_done_by_keyboard_alone(chromium, box):
    api, url = box
    async with profile(chromium, base_url=url) as watched:
        page = await watched.page()
        await _sign_in(page)
        await _side_bar(page)
        await _list(page)
        await _dialog(page)
        await _menu_and_tabs(page)
        await _palette(page)
        await _stop(page, api)


async def reach(page, wanted, key="Tab"):
    """Press Tab until it has the focus."""
    for _ in range(STEPS):
        await page.keyboard.press(key)
        found = await wanted.evaluate(
            FOCUSED
        )  # looked up each time: a live part may have come anew
        assert found["isPage"] or (found["isRinged"] and found["isThere"]), found["what"]
        assert found["isPage"] or found["isTrapped"], found
        if found["isWanted"]:
            return
    raise AssertionError(f"{wanted} is not reached")


async def press(page, wanted, key="Tab"):
    """Go there and press it."""
    await reach(page, wanted, key)
    await page.keyboard.press("Enter")


async def skip(page):
    """The first stop of Tab leads past the side bar."""
    await press(page, page.get_by_role("link", name="Skip to the page"))
    await _is_focused(page.get_by_role("main"))


async def _is_focused(wanted):
    await wanted.page.wait_for_function(
        "one => one === document.activeElement", arg=await wanted.element_handle()
    )


async def _sign_in(page):
    await page.goto("/suppressions")
    await reach(page, page.get_by_label("E-mail address"))
    await page.keyboard.type("ann@relay.example")
    await reach(page, page.get_by_label("Password"))
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Suppressions").wait_for()


async def _side_bar(page):
    await page.goto("/")
    await press(page, page.get_by_label("Pages").get_by_role("link", name="Suppressions"))
    await page.wait_for_url("**/suppressions")


async def _list(page):
    """A filter, the next page, a search."""
    rows = page.get_by_role("main").get_by_role("row")
    await skip(page)
    await press(page, page.get_by_label("Reasons").get_by_role("link").nth(1))
    await page.wait_for_url("**reason=*")
    await page.go_back()
    await press(page, page.get_by_role("link", name="Next"), "Shift+Tab")
    await page.wait_for_url("**cursor=*")
    assert 1 < await rows.count() < 50
    await skip(page)
    await reach(page, page.get_by_role("searchbox", name="Address or domain"))
    await page.keyboard.type("p42")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**q=p42*")
    assert await rows.count() == 2
    await skip(page)
    await reach(page, page.get_by_label("Tick p42@lumen.example"))
    await page.keyboard.press("Space")
    await page.get_by_text("1 ticked").wait_for()
    await page.keyboard.press("Space")


async def _dialog(page):
    """Opened, walked around in, left by Escape, opened again, sent; another that asks before it removes."""
    await page.goto("/suppressions?q=new")
    add = page.get_by_role("button", name="Suppress an address")
    await skip(page)
    await press(page, add)
    dialog = page.get_by_role("dialog", name="Suppress an address")
    await dialog.wait_for()
    for key in ("Tab", "Shift+Tab"):
        await reach(page, dialog.get_by_role("button", name="Close"), key)
        await reach(page, dialog.get_by_role("button", name="Cancel"), key)
    await page.keyboard.press("Escape")
    await _is_focused(add)
    await page.keyboard.press("Enter")
    await reach(page, dialog.get_by_label("Address or domain"))
    await page.keyboard.type("new@lumen.example")
    await page.keyboard.press("Enter")
    await page.get_by_label("What has happened").get_by_text("new@lumen.example").wait_for()
    await page.goto("/suppressions?q=new")
    await skip(page)
    await press(page, page.get_by_role("button", name="Remove new@lumen.example"))
    asked = page.get_by_role("dialog", name="Write to new@lumen.example again?")
    await press(page, asked.get_by_role("button", name="Remove", exact=True))
    await page.get_by_role("cell", name="new@lumen.example", exact=True).wait_for(state="detached")


async def _menu_and_tabs(page):
    menu = page.locator("summary[aria-label='Your account']")
    await press(page, menu)
    await reach(page, page.get_by_role("link", name="Your account"))
    await page.keyboard.press("Escape")
    await _is_focused(menu)
    await page.goto("/credentials/1")
    await skip(page)
    await reach(page, page.get_by_role("radio", checked=True))
    await page.keyboard.press("ArrowRight")
    chosen = page.get_by_role("radio", checked=True)
    await _is_focused(chosen)
    await page.locator(f"[data-program='{await chosen.get_attribute('value')}']").wait_for()


async def _palette(page):
    """Opened over something, which has the focus again once it is closed; opened again to go somewhere."""
    before = page.get_by_role("radio", checked=True)
    await page.keyboard.press("Control+k")
    await page.get_by_role("combobox").wait_for()
    await page.keyboard.press("Escape")
    await _is_focused(before)
    await page.keyboard.press("/")
    await page.keyboard.type("warm")
    await page.keyboard.press("Enter")  # faster than the answer
    await page.wait_for_url("**/warmup")


async def _stop(page, api):
    stop = page.get_by_role("link", name="Stop sending")
    dialog = page.get_by_role("dialog", name="Stop all sending?")
    await press(page, stop)
    await dialog.wait_for()
    await page.keyboard.press("Escape")
    await dialog.wait_for(state="hidden")
    await _is_focused(stop)
    await page.keyboard.press("Enter")
    await reach(page, dialog.get_by_label("Why"))
    await page.keyboard.type("stolen password")
    await reach(page, dialog.get_by_label("to confirm"))
    await page.keyboard.type("stop box.test")
    await press(page, dialog.get_by_role("button", name="Stop all sending"))
    await page.get_by_role("alert").wait_for()
    assert (await api.rooms.operations.kill_status()).is_on
    await press(page, page.get_by_role("link", name="Resume sending"))
    await page.wait_for_url("**/stop")
    await skip(page)
    await press(page, page.get_by_role("button", name="Resume sending"))
    await page.get_by_role("alert").wait_for(state="detached")
    assert not (await api.rooms.operations.kill_status()).is_on
