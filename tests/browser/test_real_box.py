"""The console of a real box, whose processes, spool and receiver are what the pages say they are.

One box for all: sending is stopped and goes on, and a hundred waiting recipients are cancelled as one job, while
other pages are open and tell of it by themselves.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import contextmanager

import pytest
import pytest_asyncio

from appliance.core import clock
from appliance.jobs import Jobs
from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Point
from appliance.operations import Operations
from tests.support.box import SCOPE, running_box
from tests.support.chromium import profile
from tests.support.console import PASSWORD
from tests.support.letters import Letter, open_door, post
from tests.support.records import control_of, waiting
from tests.support.way import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]
SLOW = {"retry": [300.0], "jitter": 0.0}
PLACES = [f"d{number}.test" for number in range(24)]
EACH = 4
SOON = 30_000  # ms: the machine may be slow
ZONE = {"mx.good.test": {"A": ["127.0.0.1"]}} | {
    name: {"MX": ["10 mx.good.test."]} for name in ("good.test", *PLACES)
}
SEEN = """what => new Promise(done => {
  const look = () => document.body.innerText.includes(what) && (done(Date.now()), true);
  if (!look()) new MutationObserver((_, eye) => look() && eye.disconnect())
    .observe(document.body, {subtree: true, childList: true, characterData: true});
})"""
"""When a page says so, by the clock of the machine."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    """A box, its receiver, and somebody's session with it."""
    path = tmp_path_factory.mktemp("box")
    async with (
        LabDns(ZONE) as dns,
        Receiver() as mx,
        running_box(path, dns, mx.port, queue=SLOW, **open_door()) as running,
    ):
        yield running, mx, (await running.cli("user", "first-admin"))["url"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ann(chromium, box):
    """The first admin's browser."""
    async with profile(chromium, base_url=box[2].rpartition("/welcome/")[0]) as watched:
        page = await watched.page()
        await page.goto(box[2])
        await page.get_by_label("Your name").fill("Ann")
        await page.get_by_label("E-mail address").fill("ann@box.test")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Begin").click()
        await page.get_by_label("Your account").wait_for()
        yield watched, page


async def open_page(ann, path):
    """Another tab, which hears what happens."""
    page = await ann[0].page()
    await page.goto(path)
    await page.locator("html[data-stream='on']").wait_for()
    return page


async def test_all_sending_is_stopped_and_goes_on_and_mail_waits_meanwhile(box, ann):
    running, mx, _ = box
    page, other = ann[1], await open_page(ann, "/suppressions")
    queue = await open_page(ann, "/queue")
    await post(running.submission, [Letter(to="before@good.test")])
    await until(lambda: mx.count == 1, seconds=20)
    seen = asyncio.ensure_future(other.evaluate(SEEN, "All sending is stopped"))
    await _stop(page)
    async with control_of(running) as engine:
        took = await seen - (await Operations(engine).kill_status()).at
    print(f"\nthe banner stood on another page {took} ms after the stop")
    assert took < 5 * clock.SECOND
    assert "leaked password" in await other.get_by_role("alert").inner_text()
    await post(running.submission, [Letter(to="meanwhile@good.test")])
    row = queue.get_by_role("row").filter(has_text="good.test")
    await row.filter(has_text="On resume").wait_for(timeout=SOON)
    assert [one["address"] for one in await waiting(running)] == ["meanwhile@good.test"]
    assert mx.count == 1
    await other.get_by_role("link", name="Resume sending").click()
    await other.get_by_role("button", name="Resume sending").click()
    await until(lambda: mx.count == 2, seconds=20)
    await queue.get_by_role("heading", name="Nothing waits").wait_for(timeout=SOON)
    for one in (page, other, queue):
        await one.get_by_text("All sending is stopped.").wait_for(state="detached", timeout=SOON)
    await other.close()
    await queue.close()


async def _stop(page):
    """Why, and the words that must be typed."""
    await page.goto("/queue")
    await page.get_by_role("link", name="Stop sending").click()
    dialog = page.get_by_role("dialog", name="Stop all sending?")
    await dialog.get_by_label("Why").fill("leaked password")
    await dialog.get_by_label("to confirm").press_sequentially("stop box.test")
    await dialog.get_by_role("button", name="Stop all sending").click()
    await page.get_by_role("alert").filter(has_text="All sending is stopped").wait_for()


async def test_what_waits_at_many_destinations_is_cancelled_as_a_job_that_shows_its_progress(
    box, ann
):
    running, mx, _ = box
    queue, jobs = ann[1], await open_page(ann, "/jobs")
    whole = len(PLACES) * EACH
    mx.script.always[Point.RCPT] = "451 4.3.0 come back later"
    await post(running.submission, [Letter(to=f"u{n}@{to}") for to in PLACES for n in range(EACH)])
    await until(lambda: _are_deferred(running, whole), seconds=60)
    look = asyncio.ensure_future(_see_it_under_way(running, queue, whole))
    await _cancel_all(queue, whole)
    job = queue.url.rpartition("/")[2]
    await look
    done = f"{whole} of {whole}"
    for page in (queue, jobs):
        await page.get_by_text(done, exact=True).first.wait_for(timeout=SOON)
        assert await page.get_by_text("Done").first.is_visible()
    assert await waiting(running) == []
    assert (await running.cli("job", "show", job))["result"]["changed"] == whole
    await queue.get_by_role("link", name="Queue", exact=True).first.click()
    await queue.get_by_role("heading", name="Nothing waits").wait_for(timeout=SOON)
    mx.script.always.clear()
    assert mx.count == 2, "none of them was delivered"


async def _are_deferred(running, count):
    rows = await waiting(running)
    return len(rows) == count and all(one["status"] == "deferred" for one in rows)


async def _cancel_all(page, whole):
    """Tick everything, and say yes to the question."""
    await page.goto("/queue")
    await page.get_by_label("Select all on this page").check()
    await page.get_by_role("button", name="Cancel messages").click()
    dialog = page.get_by_role("dialog", name=f"Cancel {whole} messages?")
    await dialog.get_by_role("button", name="Cancel the messages").click()


async def _see_it_under_way(running, page, whole):
    """The queue's owner sleeps as soon as a part is done: what the page shows of it stands still."""
    async with control_of(running) as engine:

        async def begun():
            found.extend(await Jobs(engine).list(SCOPE, limit=1))
            return found and found[-1].done

        found = []
        await until(begun, seconds=60)
    with asleep(running.pids()["mta-0"]):
        if found[-1].is_open:  # else it was faster than a look at it
            part = page.get_by_text(re.compile(rf"^\d+ of {whole}$")).first
            await part.wait_for(timeout=SOON)
            print(f"\nthe page says {await part.inner_text()}")


@contextmanager
def asleep(pid):
    """A process that does nothing for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
