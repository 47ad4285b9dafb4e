"""Signing in in a browser: how the pages look, and a passkey of a virtual authenticator."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.support.api import SYSTEM, open_api
from tests.support.chromium import profile
from tests.support.console import PASSWORD, visitor
from tests.support.looking import enter, look
from tests.support.served import served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    sock = socket.create_server(("127.0.0.1", 0))
    public_url = f"http://localhost:{sock.getsockname()[1]}"  # what passkeys are bound to
    async with (
        open_api(tmp_path_factory.mktemp("box"), "acme", public_url=public_url) as api,
        served(api.app, sock) as url,
    ):
        ada = await visitor(api, "owner", "acme", name="ada@acme.example")
        yield api, url, ada


async def test_the_sign_in_page_looks_as_it_should(chromium, box):
    _, url, _ = box
    await look(chromium, url, None, "/sign-in", "sign-in")


async def test_an_invitation_looks_as_it_should(chromium, box):
    api, url, _ = box
    _, link = await api.rooms.people.invitations.link(
        SYSTEM, email="bob@acme.example", role="sender", tenant_id=api.tenants["acme"]
    )
    await look(chromium, url, None, urlsplit(link).path, "invitation")


async def test_a_forgotten_password_looks_as_it_should(chromium, box):
    _, url, _ = box
    await look(chromium, url, None, "/password", "password-forgotten")


async def test_the_account_looks_as_it_should(chromium, box):
    _, url, ada = box
    await look(chromium, url, ada, "/account", "account")


async def test_a_passkey_is_added_and_signs_in(chromium, box):
    _, url, ada = box
    async with profile(chromium) as watched:
        await enter(watched, url, ada)
        page = await watched.page()
        wire = await watched.context.new_cdp_session(page)
        await wire.send("WebAuthn.enable")
        device = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
        }
        await wire.send("WebAuthn.addVirtualAuthenticator", {"options": device})
        await page.goto(f"{url}/account")
        await page.get_by_role("button", name="Add a passkey…").click()
        dialog = page.locator("dialog#new-passkey")
        await dialog.get_by_label("Your password").fill(PASSWORD)
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await page.get_by_text("This computer", exact=True).wait_for()
        await watched.context.clear_cookies()
        await page.goto(f"{url}/account")
        await page.get_by_role("button", name="Use a passkey").click()
        await page.get_by_role("heading", name="Your account").wait_for()
