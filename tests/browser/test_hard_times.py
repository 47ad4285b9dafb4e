"""The console when times are hard: no scripts, a box that goes away and comes back, a session that ended elsewhere."""

from __future__ import annotations

import socket

import pytest
import pytest_asyncio

from appliance.core.scope import Scope
from tests.support.api import open_api
from tests.support.chromium import profile
from tests.support.console import PASSWORD, visitor
from tests.support.looking import enter
from tests.support.served import served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme") as opened:
        yield opened


async def test_without_scripts_one_signs_in_adds_removes_and_leaves(chromium, api):
    await visitor(api, "owner", "acme", name="nell@acme.example")
    async with (
        served(api.app) as url,
        profile(chromium, java_script_enabled=False) as watched,
    ):
        page = await watched.page()
        await page.goto(f"{url}/suppressions")
        await page.get_by_label("E-mail address").fill("nell@acme.example")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("heading", name="Suppressions").wait_for()
        await page.get_by_role("button", name="Suppress an address").click()
        await page.get_by_role("textbox", name="Address or domain").fill("ann@lumen.example")
        await page.get_by_role("button", name="Suppress", exact=True).click()
        row = page.locator("tbody").get_by_text("ann@lumen.example")
        await row.wait_for()
        await page.get_by_label("Remove ann@lumen.example").click()
        await page.locator("dialog[open]").get_by_role("button", name="Remove", exact=True).click()
        await row.wait_for(state="detached")
        await page.locator("summary[aria-label='Your account']").click()
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_role("heading", name="Sign in to").wait_for()


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
