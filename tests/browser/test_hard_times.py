"""The console when times are hard: no scripts, a box that goes away and comes back, a session that ended elsewhere,
a stream that is cut, a button that is pressed twice, a way back that leads to another site.
"""

from __future__ import annotations

import asyncio
import socket

import pytest
import pytest_asyncio

from appliance.core.scope import Scope
from tests.support.api import open_api
from tests.support.chromium import PHONE, profile
from tests.support.console import PASSWORD, visitor
from tests.support.looking import enter, shift_of
from tests.support.served import served
from tests.support.way import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]
NEW = "another long pass phrase"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme") as opened:
        yield opened


async def test_without_scripts_everything_is_done_that_is_not_live(chromium, api):
    nell = await visitor(api, "admin", name="nell@relay.example")
    async with (
        served(api.app) as url,
        profile(chromium, base_url=url, java_script_enabled=False) as watched,
    ):
        page = await watched.page()
        await page.goto("/suppressions")
        await _sign_in(page, PASSWORD)
        await _suppress(page)
        await _set_up(page)
        await _pause(page)
        await _stop(page, api)
        await page.locator("summary[aria-label='Your account']").click()
        await page.get_by_role("link", name="Your account").click()
        await page.get_by_label("Old password").fill(PASSWORD)
        await page.get_by_label("New password").fill(NEW)
        await page.get_by_role("button", name="Change the password").click()
        await told(page, "password")
        await page.locator("summary[aria-label='Your account']").click()
        await page.get_by_role("button", name="Sign out").click()
        await _sign_in(page, NEW)
    assert await api.rooms.sessions.seen(nell.opened.token) is None, "other sessions have ended"


async def test_a_page_that_comes_in_pieces_is_painted_whole(chromium, api):
    """Half of a card in the middle of the screen stands elsewhere than the whole one."""
    async with (
        served(_InPieces(api.app)) as url,
        profile(chromium, base_url=url, viewport=PHONE) as watched,
    ):
        page = await watched.page()
        await page.goto("/sign-in")
        await page.get_by_role("button", name="Sign in").wait_for()
        assert not await shift_of(page)


class _InPieces:
    """The application behind a slow line: of a page the second half comes later than the first."""

    def __init__(self, app):
        self._app, self.state = app, app.state

    async def __call__(self, scope, receive, send):
        async def later(message):
            body = message.get("body", b"")
            if body.startswith(b"<!doctype html>"):
                half = body.index(b"<form")
                await send({**message, "body": body[:half], "more_body": True})
                await asyncio.sleep(0.5)
                message = {**message, "body": body[half:]}
            await send(message)

        if scope["type"] == "http":  # uncompressed, so that it can be cut
            kept = [one for one in scope["headers"] if one[0] != b"accept-encoding"]
            scope = {**scope, "headers": kept}
        await self._app(scope, receive, later)


async def told(page, words):
    """What has come of it."""
    await page.get_by_label("What has happened").get_by_text(words).first.wait_for()


async def _sign_in(page, password):
    await page.get_by_label("E-mail address").fill("nell@relay.example")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await page.locator("summary[aria-label='Your account']").wait_for()


async def _suppress(page):
    """Added, found by a search and a filter, removed."""
    for address in ("ann@lumen.example", "bob@lumen.example"):
        await page.get_by_role("button", name="Suppress an address").click()
        await page.get_by_role("textbox", name="Address or domain").fill(address)
        await page.get_by_role("button", name="Suppress", exact=True).click()
        await page.get_by_role("cell", name=address, exact=True).wait_for()
    await page.get_by_role("searchbox", name="Address or domain").fill("ann")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**q=ann*")
    assert not await page.get_by_role("cell", name="bob@lumen.example", exact=True).count()
    await page.get_by_label("Reasons").get_by_role("link").nth(1).click()
    await page.wait_for_url("**reason=*")
    await page.goto("/suppressions")
    await page.get_by_label("Remove ann@lumen.example").click()
    asked = page.get_by_role("dialog", name="Write to ann@lumen.example again?")
    await asked.get_by_role("button", name="Remove", exact=True).click()
    await told(page, "may be written to again")


async def _set_up(page):
    """A credential, whose password is shown, and a domain, whose records are."""
    await page.goto("/credentials")
    await page.get_by_role("button", name="Make a credential").first.click()
    await page.get_by_label("Name", exact=True).fill("web-shop")
    await page.get_by_label("Tenant", exact=True).select_option("acme")
    await page.get_by_role("button", name="Make", exact=True).click()
    await page.get_by_role("heading", name="web-shop").wait_for()
    assert len(await page.locator("#password").inner_text()) > 15
    await page.goto("/domains")
    await page.get_by_role("button", name="Add a domain").first.click()
    dialog = page.get_by_role("dialog", name="Add a domain")
    await dialog.get_by_label("Domain", exact=True).fill("acme.example")
    await dialog.get_by_label("Tenant", exact=True).select_option("acme")
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await page.get_by_text("_domainkey.acme.example").first.wait_for()


async def _pause(page):
    await page.goto("/queue")
    await page.get_by_role("link", name="Pauses").click()
    await page.get_by_role("button", name="Pause mail").click()
    dialog = page.get_by_role("dialog", name="Pause mail?")
    await dialog.get_by_label("domain").fill("lumen.example")
    await dialog.get_by_label("Why").fill("its admin asked")
    await dialog.get_by_role("button", name="Pause", exact=True).click()
    row = page.get_by_role("row").filter(has_text="lumen.example")
    await row.filter(has_text="its admin asked").wait_for()
    await row.get_by_role("button").click()
    await row.wait_for(state="detached")


async def _stop(page, api):
    """All sending; a word that is wrong is refused and tells so."""
    await page.get_by_role("link", name="Stop sending").first.click()
    dialog = page.get_by_role("dialog", name="Stop all sending?")
    for words in ("stop it", "stop box.test"):
        await dialog.get_by_label("Why").fill("stolen password")
        await dialog.get_by_label("to confirm").fill(words)
        await dialog.get_by_role("button", name="Stop all sending").click()
        await page.wait_for_load_state("load")
    await page.get_by_role("alert").filter(has_text="stolen password").wait_for()
    assert (await api.rooms.operations.kill_status()).is_on
    await page.get_by_role("link", name="Resume sending").click()
    await page.get_by_role("button", name="Resume sending").click()
    await told(page, "Sending goes on")
    assert not (await api.rooms.operations.kill_status()).is_on


async def test_a_button_that_is_pressed_twice_does_it_once(chromium, api):
    kim = await visitor(api, "owner", "acme", name="kim@acme.example")
    scope = Scope.tenant(api.tenants["acme"], by="kim")
    async with served(api.app) as url, profile(chromium, base_url=url) as watched:
        await enter(watched, url, kim)
        page = await watched.page()
        await page.goto("/keys")
        await page.get_by_role("button", name="Make a key").first.click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Name", exact=True).fill("billing")
        await dialog.get_by_label("Send mail").check()
        await dialog.get_by_role("button", name="Make the key").dblclick()
        await page.get_by_text("pbk_").first.wait_for()
    assert [one.name for one in await api.rooms.keys.list(scope)] == ["billing"]


async def test_nobody_is_led_to_another_site_after_signing_in(chromium, api):
    """A request that leaves the box fails every test of a browser; this one asks for it."""
    lee = await visitor(api, "owner", "acme", name="lee@acme.example")
    async with served(api.app) as url, profile(chromium, base_url=url) as watched:
        await enter(watched, url, lee)
        page = await watched.page()
        for said in (
            "//evil.example",
            "https:evil.example",
            "/\\evil.example",
            "/%09/evil.example",
            "javascript:alert(1)",
        ):
            await page.goto(f"/sign-in?next={said}")
            assert page.url == f"{url}/", said


async def test_a_page_left_open_over_a_restart_catches_up_by_itself(chromium, api):
    ada = await visitor(api, "owner", "acme", name="ada@acme.example")
    scope = Scope.tenant(api.tenants["acme"], by="ada")
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    async with profile(chromium) as watched:
        watched.expected = ("ERR_", "Failed to load resource", "network error", "htmx:")
        async with served(api.app, sock) as url:
            await enter(watched, url, ada)
            page = await watched.page()
            await page.goto(f"{url}/suppressions")
            await page.locator("html[data-stream='on']").wait_for()
        await page.locator("html[data-stream='cut']").wait_for()
        assert await page.get_by_text("Reconnecting").first.is_visible()
        await api.rooms.suppressions.add(scope, "missed@lumen.example")
        again = socket.create_server(("127.0.0.1", port))
        async with served(api.app, again):
            await page.get_by_text("missed@lumen.example").first.wait_for(timeout=30_000)
            await page.locator("html[data-stream='on']").wait_for(timeout=30_000)


async def test_what_another_adds_appears_by_itself_and_a_sign_out_elsewhere_is_noticed(
    chromium, api
):
    bea = await visitor(api, "owner", "acme", name="bea@acme.example")
    scope = Scope.tenant(api.tenants["acme"], by="bea")
    async with served(api.app) as url, profile(chromium) as watched:
        watched.expected = ("status of 401", "Response Status Error Code 401")
        await enter(watched, url, bea)
        page = await watched.page()
        await page.goto(f"{url}/suppressions")
        await page.locator("html[data-stream='on']").wait_for()
        await api.rooms.suppressions.add(scope, "live@lumen.example")
        await page.get_by_text("live@lumen.example").first.wait_for()
        await api.rooms.sessions.sign_out(bea.opened.token)
        await api.rooms.suppressions.add(scope, "more@lumen.example")
        await page.wait_for_url("**/sign-in?next=%2Fsuppressions", timeout=20_000)
        await page.get_by_text("your session has ended").wait_for()
        await until(lambda: not api.app.state.lines._of_session.total(), seconds=15)


async def test_a_stream_that_is_cut_for_a_minute_is_told_and_caught_up_with(chromium, api):
    flo = await visitor(api, "owner", "acme", name="flo@acme.example")
    scope = Scope.tenant(api.tenants["acme"], by="flo")
    async with served(api.app) as url, profile(chromium, base_url=url) as watched:
        watched.expected = ("ERR_", "network error", "htmx:")
        await enter(watched, url, flo)
        page = await watched.page()
        await page.clock.install()
        await page.goto("/suppressions")
        await page.locator("html[data-stream='on']").wait_for()
        await watched.context.set_offline(True)
        await page.locator("html[data-stream='cut']").wait_for()
        await api.rooms.suppressions.add(scope, "in-between@lumen.example")
        for _ in range(4):
            await page.clock.fast_forward(15_000)
            await asyncio.sleep(0.1)  # what a page asks for fails by itself
        assert await page.get_by_text("Reconnecting").first.is_visible()
        assert not await page.get_by_text("in-between@lumen.example").count()
        await watched.context.set_offline(False)
        await page.clock.fast_forward(15_000)
        await page.get_by_role("cell", name="in-between@lumen.example", exact=True).wait_for()
        await page.locator("html[data-stream='on']").wait_for()
        await page.get_by_text("Reconnecting").first.wait_for(state="hidden")
