"""The queue and the kill switch in a browser."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from appliance.core import clock
from tests.support.api import SYSTEM, open_api
from tests.support.chromium import profile
from tests.support.console import visitor
from tests.support.looking import enter, look
from tests.support.served import served
from tests.support.waiting_mail import wait

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]
ROWS = (
    (
        "outlook.com",
        "microsoft",
        21_904,
        "slowed",
        "451 4.7.500 Server busy. Please try again later",
    ),
    ("gmail.com", "gmail", 12_480, "warmup", "No try yet. Today's 4,000 are spread over the day"),
    ("yahoo.com", "yahoo", 6_212, "suspended", "421 4.7.0 [TSS04] Messages temporarily deferred"),
    (
        "t-mail.example",
        "other",
        2_046,
        "greylisted",
        "450 4.2.0 Greylisted, try again in 300 seconds",
    ),
    ("harbor-books.example", "other", 480, "held", "held by support@relay.example: wrong link"),
)


def summary(asked):
    now = clock.now_ms()
    groups = [
        {
            "name": name,
            "provider": provider,
            "status": "held" if kind == "held" else "deferred",
            "count": count,
            "oldest": now - 3 * clock.HOUR,
            "next": now + clock.HOUR,
            "until": 0,
            "due_soon": count,
            "kind": kind,
            "reason": words,
            "words": words,
            "egress": "out1",
        }
        for name, provider, count, kind, words in ROWS
    ]
    reasons = [
        {"kind": one["kind"], "recipients": one["count"], "destinations": 1}
        | {"example": one["name"], "most": one["count"]}
        for one in groups
    ]
    return {
        "by": asked["by"],
        "at": now,
        "counts": {"deferred": 42_642, "held": 480},
        "oldest": now - 26 * clock.HOUR,
        "oldest_waiting": now - 5 * clock.HOUR,
        "total": len(groups),
        "due_soon": 31_870,
        "groups": groups[: asked["limit"]],
        "reasons": reasons,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    async with (
        open_api(tmp_path_factory.mktemp("box"), "acme") as api,
        served(api.app) as url,
    ):
        api.owners._summary = summary
        await wait(api, "acme")
        yield url, await visitor(api, "admin"), api


async def test_the_queue_with_two_destinations_ticked_looks_as_it_should(chromium, box):
    async def ticked(page):
        await page.locator("input[name=pick]").nth(0).check()
        await page.locator("input[name=pick]").nth(2).check()
        assert "28,116" in await page.locator("[data-bulk] .said").inner_text()

    url, ann, _ = box
    await look(chromium, url, ann, "/queue", "queue", ticked)


async def test_a_destination_looks_as_it_should(chromium, box):
    await look(chromium, *box[:2], "/queue/outlook.com", "queue-place")


async def test_more_filters_look_as_they_should(chromium, box):
    await look(chromium, *box[:2], "/queue/found?state=deferred&hours=2", "queue-found")


async def test_pauses_look_as_they_should(chromium, box):
    await look(chromium, *box[:2], "/queue/pauses", "queue-pauses")


async def test_the_dialog_that_pauses_looks_as_it_should(chromium, box):
    async def opened(page):
        await page.get_by_role("button", name="Pause mail…").click()
        await page.locator("dialog#pause[open]").wait_for()

    await look(chromium, *box[:2], "/queue/pauses", "queue-pause", opened)


async def test_the_palette_looks_as_it_should(chromium, box):
    async def asked(page):
        await page.keyboard.press("Control+k")
        await page.keyboard.type("out")
        await page.get_by_role("option", name="outlook.com, 21,904 waiting").wait_for()

    await look(chromium, *box[:2], "/queue", "palette", asked)


async def test_the_question_before_a_stop_looks_as_it_should(chromium, box):
    async def asked(page):
        await page.locator("a[href='/stop']:visible").first.click()
        await page.locator("dialog#stop[open]").wait_for()

    url, ann, _ = box
    await look(chromium, url, ann, "/queue", "stop", asked)


async def test_the_question_before_a_stop_is_modal_as_soon_as_it_is_seen(chromium, box):
    """Escape, pressed before it was, was lost."""
    url, ann, _ = box
    async with profile(chromium) as watched:
        await enter(watched, url, ann)
        page = await watched.page()
        await page.goto(f"{url}/queue")
        await page.evaluate(
            """() => new MutationObserver(() => {
              const dialog = document.querySelector("dialog#stop[open]");
              if (dialog) window.wasModal ??= dialog.matches(":modal");
            }).observe(document.body, { childList: true, subtree: true, attributes: true })"""
        )
        await page.get_by_role("link", name="Stop sending").first.click()
        await page.locator("dialog#stop:modal").wait_for()
        assert await page.evaluate("window.wasModal") is True


async def test_all_sending_is_stopped_by_typed_words_and_goes_on(chromium, box):
    url, ann, api = box
    async with profile(chromium) as watched:
        await enter(watched, url, ann)
        page, other = await watched.page(), await watched.page()
        await other.goto(f"{url}/account")
        await page.goto(f"{url}/queue")
        await page.get_by_role("link", name="Stop sending").first.click()
        await page.locator("dialog#stop[open]").wait_for()
        red = page.get_by_role("button", name="Stop all sending")
        words = await page.locator("[data-confirm-words]").get_attribute("data-confirm-words")
        assert await red.is_disabled()
        await page.get_by_label("Why").fill("stolen credential")
        await page.locator("[data-confirm-words]").fill(words[:-1])
        assert await red.is_disabled()
        await page.locator("[data-confirm-words]").fill(words)
        await page.keyboard.press("Enter")
        await page.locator(".stopped").wait_for()
        assert (await api.rooms.operations.kill_status()).is_on
        await other.bring_to_front()
        await other.locator(".stopped").wait_for()
        assert "stolen credential" in await other.locator(".stopped").inner_text()
    await api.rooms.operations.revive(SYSTEM)


async def test_the_way_back_from_a_stop_looks_as_it_should(chromium, box):
    url, ann, api = box
    await api.rooms.operations.kill(SYSTEM, reason="stolen credential at Delta Freight")
    try:
        await look(chromium, url, ann, "/stop", "resume")
    finally:
        await api.rooms.operations.revive(SYSTEM)


async def test_the_palette_is_used_by_keyboard_alone(chromium, box):
    url, ann, _ = box
    async with profile(chromium) as watched:
        await enter(watched, url, ann)
        page = await watched.page()
        await page.goto(f"{url}/account")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("outlook")
        await page.get_by_role("option", name="outlook.com, 21,904 waiting").wait_for()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/queue/outlook.com")


async def test_enter_before_any_answer_goes_where_the_palette_will_point(chromium, box):
    url, ann, _ = box

    async def late(route):
        await asyncio.sleep(0.7)
        await route.continue_()

    async with profile(chromium) as watched:
        await enter(watched, url, ann)
        page = await watched.page()
        await page.goto(f"{url}/account")
        await page.route("**/palette*", late)
        await page.keyboard.press("Control+k")
        await page.keyboard.type("warmup")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/warmup")
