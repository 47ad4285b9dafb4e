"""Debian's Chromium, driven by Playwright: one browser for all tests of a worker, a fresh profile for each.

Tests of the browser stand in one xdist group, so that only one worker starts one:

    pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]

Without Chromium it is installed, or they are skipped and say what to install. A page that logs an error, or asks another machine
for anything, fails its test.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright

from tests.support.third_party import require_command

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 30_000  # ms: the machine may be slow, what is waited for comes by itself
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
IN_ORDER = (
    "status of 422",  # a form with a problem is an answer
    "Transition was skipped",  # a page that is left before it has faded in
)
OURS = {"localhost", "127.0.0.1"}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The browser."""
    found = shutil.which("chromium-browser") or require_command("chromium", "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        await browser.close()


class Watched:
    """A browser context and what went wrong in its pages."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.wrong: list[str] = []
        self.expected: tuple[str, ...] = ()  # parts of further errors, which a test provokes
        context.on("page", self._watch)
        context.on("request", self._asked)

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self._failed(page, str(error)))
        page.on(
            "console",
            lambda line: (
                line.type == "error" and self._failed(page, f"{line.text} {line.location['url']}")
            ),
        )

    def _failed(self, page: Page, text: str) -> None:
        if not any(one in text for one in (*IN_ORDER, *self.expected)):
            self.wrong.append(f"{page.url}: {text}")

    def _asked(self, request: Request) -> None:
        host = urlsplit(request.url).hostname
        if host is not None and host not in OURS:
            self.wrong.append(f"a request left the box: {request.url}")

    async def page(self) -> Page:
        """A new tab."""
        page = await self.context.new_page()
        page.set_default_timeout(PATIENCE)
        return page


@asynccontextmanager
async def profile(browser: Browser, **options: Any) -> AsyncIterator[Watched]:
    """A fresh profile, closed at the end; fails when a page of it did something wrong."""
    context = await browser.new_context(**{"viewport": DESKTOP, **options})
    watched = Watched(context)
    try:
        yield watched
    finally:
        await context.close()
    assert not watched.wrong, "\n".join(watched.wrong)
