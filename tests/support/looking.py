"""Looking at a page as people do: both themes, desktop and phone, with what axe finds wrong.

await look(chromium, url, visitor, "/suppressions", "suppressions")

fails when a page breaks a rule of WCAG 2.2 AA, scrolls sideways, or moves while it loads. `make test` looks at every
third page, in one of four ways by its name, so that themes and widths take turns; `make screens` looks at every page
in all four and leaves pictures in .run/screens, such as suppressions-dark-1440.png.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.support.chromium import DESKTOP, PHONE, profile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.async_api import Browser, Page

    from tests.support.chromium import Watched
    from tests.support.console import Visitor

SCREENS = Path(__file__).parents[2] / ".run" / "screens"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SIZES = {1440: DESKTOP, 390: PHONE}
FOUR: tuple[tuple[Any, int], ...] = (("dark", 1440), ("light", 390), ("light", 1440), ("dark", 390))
in_every_way = False  # tests/browser/conftest.py
_HEIGHT = "document.querySelector('dialog:modal') ? 0 : document.documentElement.scrollHeight"
_HIGHEST = 9_000  # pixels: what is longer is cut, before the browser gives up
_PATIENCE = 30_000  # ms
_SHIFT = """() => new Promise(done => {
  let sum = 0;
  new PerformanceObserver(list => { for (const one of list.getEntries()) if (!one.hadRecentInput) sum += one.value; })
    .observe({type: 'layout-shift', buffered: true});
  requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));
})"""


async def enter(watched: Watched, url: str, visitor: Visitor | None) -> None:
    """Give the browser somebody's session."""
    if visitor is not None:
        cookie: Any = {"name": "pillarbox", "value": visitor.opened.token, "url": url}
        await watched.context.add_cookies([cookie])


async def look(
    chromium: Browser, url: str, visitor: Visitor | None, path: str, name: str, do: Any = None
) -> None:
    """`do(page)` brings the page into the state that is looked at, such as an open dialog."""
    turn = crc32(name.encode())
    if turn % 3 and not in_every_way:
        pytest.skip("make screens looks at it")
    found: list[str] = []
    async with profile(chromium) as watched:
        await enter(watched, url, visitor)
        page = await watched.page()
        for theme, width in FOUR if in_every_way else (FOUR[turn % 4],):
            await page.set_viewport_size(SIZES[width])
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            await page.goto(f"{url}{path}", wait_until="load")
            shift = await page.evaluate(_SHIFT)
            if do is not None:
                await do(page)
            if in_every_way:
                await _shoot(page, f"{name}-{theme}-{width}")
            found += [f"{theme} {width}: {one}" for one in await _faults(page, shift)]
    assert not found, "\n".join(found)


async def shift_of(page: Page) -> float:
    """How far the page has moved by itself: the sum of its layout shifts (https://web.dev/articles/cls)."""
    moved: float = await page.evaluate(_SHIFT)
    return moved


def opened(dialog: str, menu: str = "") -> Callable[[Page], Awaitable[None]]:
    """Press what opens a dialog; in a menu, open that first."""

    async def do(page: Page) -> None:
        if menu:
            await page.locator(menu).click()
        await page.locator(f'[commandfor="{dialog}"]').first.click()
        await page.locator(f"dialog#{dialog}[open]").wait_for()

    return do


async def _shoot(page: Page, name: str) -> None:
    """The whole page in a window as high as it is, so that bars stand at their edges; of a dialog what one sees."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    size = page.viewport_size or DESKTOP
    high = min(await page.evaluate(_HEIGHT), _HIGHEST)
    await page.set_viewport_size({"width": size["width"], "height": max(high, size["height"])})
    await page.screenshot(path=SCREENS / f"{name}.png", timeout=_PATIENCE)
    await page.set_viewport_size(size)


async def _faults(page: Page, shift: float) -> list[str]:
    results = await Axe().run(page, options=RULES)
    found = [
        f"{rule['id']}: {rule['help']}: {node['html'][:200]} ({node.get('failureSummary', '')[:200]})"
        for rule in results.response["violations"]
        for node in rule["nodes"][:3]
    ]
    wide = await page.evaluate(
        "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    if wide > 0:
        found.append(f"the page is {wide} px wider than the screen")
    if shift > 0.02:
        found.append(f"the page moves while it loads: {shift:.3f}")
    return found
