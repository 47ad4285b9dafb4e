"""The islands, on a small page with the console's own policy and assets."""

from __future__ import annotations

import asyncio
import re

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.support.chromium import Watched, profile
from tests.support.island_page import IslandBox, island_box

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]
expect.set_options(timeout=30_000)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(chromium: Browser):
    async with island_box() as box, profile(chromium, base_url=box.url) as watched:
        yield box, watched


@pytest_asyncio.fixture(loop_scope="session")
async def box(house) -> IslandBox:
    house[0].forget()
    return house[0]


@pytest_asyncio.fixture(loop_scope="session")
async def tabs(house, box: IslandBox):
    watched: Watched = house[1]
    yield watched
    for page in watched.context.pages:
        await page.close()
    await watched.context.clear_cookies()
    await until(lambda: not box.streams)
    wrong, watched.wrong, watched.expected = watched.wrong, [], ()
    assert not wrong, "\n".join(wrong)


@pytest_asyncio.fixture(loop_scope="session")
async def page(tabs: Watched) -> Page:
    return await tab_of(tabs)


async def tab_of(tabs: Watched) -> Page:
    page = await tabs.page()
    await page.goto("/")
    return page


async def until(said) -> None:
    """Wait for what comes by itself."""
    async with asyncio.timeout(15):
        while not said():  # noqa: ASYNC110 - nothing tells a test
            await asyncio.sleep(0.02)


async def test_what_is_copied_is_the_text_and_the_button_says_so(tabs: Watched, page: Page):
    await tabs.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator("#copy")
    await button.click()
    await expect(button).to_have_text("Copied")
    await expect(page.locator("#announcer")).to_have_text("Copied")
    assert await page.evaluate("navigator.clipboard.readText()") == "v=DKIM1; k=rsa"
    await expect(button).to_have_text("Copy")


async def test_a_form_is_sent_once_and_says_that_it_is_under_way(box: IslandBox, page: Page):
    """All in one go: a browser answers nothing while it goes to another page."""
    busy, word, grown = await page.evaluate(
        """() => {
            const button = document.querySelector("#slow button"), width = button.offsetWidth;
            button.form.requestSubmit(button);
            button.form.requestSubmit(button);
            return [button.ariaBusy, button.textContent, button.offsetWidth - width];
        }"""
    )
    assert (busy, word) == ("true", "Checking")
    assert grown >= 0
    box.patience.set()
    await expect(page.locator("h1")).to_have_text("Done")
    assert box.posted == ["act=check"]


async def test_a_part_that_is_refused_is_shown_and_the_button_is_itself_again(box, page: Page):
    button = page.locator("#part button")
    await page.get_by_label("Name").fill("wrong")
    await button.click()
    await expect(button).to_have_text("Saving")
    box.patience.set()
    await expect(page.locator("#answer")).to_have_text("The name is taken.")
    await expect(button).to_have_text("Save")
    await expect(button).not_to_have_attribute("aria-busy", "true")


async def test_a_box_that_does_not_answer_is_told_in_a_toast_that_stays_until_closed(
    tabs: Watched, page: Page
):
    tabs.expected = ("ERR_FAILED", "htmx:")
    await page.route("**/part", lambda route: route.abort())
    await page.locator("#part button").click()
    toast = page.locator('#toasts .toast[data-kind="error"]')
    await expect(toast).to_contain_text("The box did not answer")
    await expect(page.locator("#part button")).to_have_text("Save")
    await toast.get_by_role("button", name="Close").click()
    await expect(toast).to_have_count(0)


async def test_a_success_goes_by_itself_but_not_under_the_pointer(chromium: Browser, box):
    async with profile(chromium, base_url=box.url) as watched:  # a clock is a whole profile's
        page = await watched.page()
        await page.clock.install()
        await page.goto("/")
        await success_goes(page)


async def success_goes(page: Page) -> None:
    await page.evaluate(
        """document.querySelector("#toasts").innerHTML =
           '<div class="toast" data-kind="success"><div><b>Saved</b></div></div>'"""
    )
    toast = page.locator("#toasts .toast")
    await toast.hover()
    await page.clock.run_for(20_000)
    await expect(toast).to_have_count(1)
    await page.mouse.move(5, 5)
    await page.clock.run_for(6_500)
    await expect(toast).to_have_count(0)


async def test_the_red_button_stays_off_until_the_words_are_typed(page: Page):
    await page.locator("#stop").click()
    really, left = page.locator("#really"), page.locator("[data-confirm-left]")
    await expect(really).to_be_disabled()
    await page.locator("#words").fill("stop all sendin")
    await expect(left).to_have_text("1 character to go.")
    await page.locator("#words").fill("stop, all")
    await expect(left).to_have_text("It does not match.")
    await page.locator("#words").fill("stop all sending")
    await expect(really).to_be_enabled()
    await page.keyboard.press("Escape")
    await expect(page.locator("#stopping")).not_to_be_visible()
    await expect(page.locator("#stop")).to_be_focused()


async def test_a_press_beside_a_dialog_closes_it(page: Page):
    await page.locator("#stop").click()
    await page.locator("#stopping").click(position={"x": 20, "y": 20})
    await expect(page.locator("#stopping")).to_be_visible()
    await page.mouse.click(5, 5)
    await expect(page.locator("#stopping")).not_to_be_visible()


async def test_the_bulk_bar_counts_rows_and_messages(page: Page):
    bar, every = page.locator("[data-bulk]"), page.locator("[data-select-all]")
    await expect(bar).to_be_hidden()
    await every.check()
    await expect(bar).to_contain_text("2 rows")
    await expect(bar).to_contain_text("1,234 messages")
    await page.get_by_label("2", exact=True).uncheck()
    await expect(bar).to_contain_text("1,200 messages")
    assert await every.evaluate("(box) => box.indeterminate")


async def test_two_tabs_share_one_stream_and_the_other_takes_it_over(box, tabs: Watched):
    first = await tab_of(tabs)
    await expect(first.locator("html")).to_have_attribute("data-stream", "on")
    second = await tab_of(tabs)
    await expect(second.locator("html")).to_have_attribute("data-stream", "on")
    assert len(box.streams) == 1
    await box.say("messages")
    await expect(first.locator("#region")).not_to_have_text("0")
    await expect(second.locator("#region")).not_to_have_text("0")
    await first.close()
    await until(lambda: box.opened == 2 and len(box.streams) == 1)
    seen = await second.locator("#region").text_content()
    await box.say("messages")
    await expect(second.locator("#region")).not_to_have_text(seen)


async def test_a_hidden_tab_holds_no_stream_and_looks_again_once_it_is_seen(box, page: Page):
    await until(lambda: len(box.streams) == 1)
    hide = """(isHidden) => {
        Object.defineProperty(document, "hidden", {get: () => isHidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    await page.evaluate(hide, True)
    await until(lambda: not box.streams)
    await box.say("messages")
    await page.evaluate(hide, False)
    await until(lambda: len(box.streams) == 1)
    await expect(page.locator("#region")).to_have_text("1")


async def test_a_stream_that_is_cut_is_shown_and_everything_is_asked_again(
    box, tabs: Watched, page: Page
):
    tabs.expected = ("status of 503", "ERR_")
    root = page.locator("html")
    await expect(root).to_have_attribute("data-stream", "on")
    box.is_refusing = True
    box.cut()
    await expect(root).to_have_attribute("data-stream", "cut")
    await expect(page.locator("#region")).not_to_have_text("0")
    box.is_refusing = False
    await expect(root).to_have_attribute("data-stream", "on")
    assert (box.since[0], box.since[-1]) == ("", "mark-1")


async def test_a_stream_without_a_sign_of_life_is_opened_again(chromium: Browser, box):
    async with profile(chromium, base_url=box.url) as watched:  # a clock is a whole profile's
        page = await watched.page()
        await page.clock.install()
        await page.goto("/")
        root = page.locator("html")
        await expect(root).to_have_attribute("data-stream", "on")
        before = box.opened
        await page.clock.fast_forward(41_000)
        await expect(root).to_have_attribute("data-stream", "cut")
        await page.clock.fast_forward(2_000)
        await expect(root).to_have_attribute("data-stream", "on")
        assert box.opened == before + 1
    await until(lambda: not box.streams)


async def test_a_burst_of_events_is_no_burst_of_requests(box, page: Page):
    await expect(page.locator("html")).to_have_attribute("data-stream", "on")
    for _ in range(50):
        await box.say("messages")
    await expect(page.locator("#region")).to_have_text(
        "2"
    )  # the first, and the last a second later
    assert box.renders == 2


async def test_a_row_that_has_come_is_marked_and_the_focus_stays_where_it_was(box, page: Page):
    await expect(page.locator("html")).to_have_attribute("data-stream", "on")
    link = page.get_by_role("link", name="1", exact=True)
    await link.focus()
    await box.say("queue")
    await expect(page.locator("tr.new")).to_have_text("2")
    await expect(link).to_be_focused()


async def test_a_region_waits_while_somebody_works_in_it(box, page: Page):
    await page.evaluate(
        """document.querySelector("#region").innerHTML =
           '<input type="checkbox" name="pick" aria-label="mine" checked>'"""
    )
    await expect(page.locator("html")).to_have_attribute("data-stream", "on")
    await box.say("messages")
    await asyncio.sleep(1)  # nothing happens, which nothing tells
    assert box.renders == 0
    await page.get_by_label("mine").uncheck()
    await expect(page.locator("#region")).to_have_text(re.compile(r"^\d$"))


async def test_a_session_that_has_ended_leads_to_signing_in_and_back(box, page: Page):
    await expect(page.locator("html")).to_have_attribute("data-stream", "on")
    await box.say("signed-out")
    await page.wait_for_url("**/sign-in?next=%2F")


async def test_the_palette_is_worked_by_keys(page: Page):
    await page.locator("#mail").focus()
    await page.keyboard.press("/")
    await expect(page.locator("#mail")).to_have_value("/")
    await page.keyboard.press("Control+k")
    field = page.locator("[data-palette]")
    await expect(field).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator("#mail")).to_be_focused()
    await page.locator("#mail").blur()
    await page.keyboard.press("/")
    await page.keyboard.type("se")
    await expect(field).to_have_attribute("data-shown", "se")  # a later answer chooses anew
    chosen = page.locator('[role=option][aria-selected="true"]')
    await expect(chosen).to_have_text("First")
    await page.keyboard.press("ArrowDown")
    await expect(chosen).to_have_text("Second")
    assert await field.get_attribute("aria-activedescendant") == await chosen.get_attribute("id")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/other?second")


async def test_a_field_is_checked_when_it_is_left(page: Page):
    field, wrong = page.locator("#mail"), page.locator("#mail-wrong")
    await field.press_sequentially("ada")
    await expect(wrong).to_have_count(0)
    await field.blur()
    await expect(wrong).to_have_text("It needs an @.")
    await expect(page.locator("#mail-help")).to_be_hidden()
    await expect(field).to_have_attribute("aria-describedby", "mail-wrong")
    await field.fill("ada@example.net")
    await expect(wrong).to_have_count(0)
    await expect(page.locator("#mail-help")).to_be_visible()


async def test_a_chart_is_read_with_keys_and_pointer(page: Page):
    drawing, tip = page.locator("figure.chart svg"), page.locator(".tip")
    await drawing.focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#announcer")).to_have_text("14:00, Delivered 412")
    await page.keyboard.press("ArrowLeft")
    await expect(tip).to_contain_text("Delivered 7")
    await page.keyboard.press("Escape")
    await expect(tip).to_have_count(0)
    await page.locator("g.column").last.hover()
    await expect(tip).to_contain_text("Delivered 412")


async def test_going_elsewhere_within_a_page_moves_the_focus_to_its_title(page: Page):
    await page.get_by_role("link", name="Elsewhere").click()
    await expect(page.locator("h1")).to_have_text("Other")
    await expect(page.locator("h1")).to_be_focused()
    await expect(page.locator("#announcer")).to_have_text("Other")


async def test_a_passkey_that_fails_is_told_in_the_words_of_the_box(tabs: Watched, page: Page):
    tabs.expected = ("status of 429",)
    button = page.get_by_role("button", name="Use a passkey")
    await button.click()
    await expect(page.locator('.toast[data-kind="error"]')).to_contain_text("ask again in 9 s")
    await expect(button).not_to_have_attribute("aria-busy", "true")


async def test_a_passkey_is_made_and_sent_with_its_ticket_and_name(box, tabs, page: Page):
    devtools = await tabs.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    kind = {"protocol": "ctap2", "transport": "internal", "hasUserVerification": True}
    automatic = {"isUserVerified": True, "automaticPresenceSimulation": True}
    await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": kind | automatic})
    await page.get_by_role("button", name="Add a passkey").click()
    await page.wait_for_url("**/other")
    assert box.posted == ["own-word"]
    (sent,) = box.credentials
    assert (sent["ticket"], sent["name"], sent["credential"]["type"]) == (
        "t-1",
        "Laptop",
        "public-key",
    )
    assert {"clientDataJSON", "attestationObject"} <= sent["credential"]["response"].keys()


async def test_figures_of_the_side_bar_come_by_their_names(page: Page):
    figure = page.locator("[data-count=domains]")
    await expect(figure).to_have_text("2")
    await expect(figure).to_have_class("count bad")


async def test_small_things_a_theme_a_shown_secret_and_a_time(page: Page, tabs: Watched):
    await expect(page.locator("time")).to_have_text(re.compile(r"^\d+ d ago$"))
    await page.locator("#secret").fill("hunter2")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("#secret")).to_have_attribute("type", "text")
    await page.get_by_role("button", name="Light").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")
    cookies = {one["name"]: one["value"] for one in await tabs.context.cookies()}
    assert cookies["pillarbox_theme"] == "light"
    await page.get_by_role("button", name="System").click()
    await expect(page.locator("html")).not_to_have_attribute("data-theme", "light")
    assert not await tabs.context.cookies()
