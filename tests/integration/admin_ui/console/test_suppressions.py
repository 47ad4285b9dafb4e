"""The page of suppressions, over real rooms."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.api import open_api
from tests.support.console import visitor

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("console-suppressions"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme", "globex") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


async def test_an_empty_list_says_what_it_is_for(ada):
    page = await ada.get("/suppressions")
    assert page.text("h1") == "Suppressions"
    assert "Nobody is suppressed" in page.text(".empty")


async def test_an_address_is_added_found_and_removed(ada):
    answer = await ada.submit("/suppressions", {"target": "Bob@Example.net"})
    page = await ada.follow(answer)
    assert page.text(".toast b") == "Suppressed"
    assert page.texts("tbody td.title") == ["bob@example.net"]
    assert (await ada.get("/suppressions?q=zzz")).texts("tbody tr") == []
    (form,) = page.all('dialog[id^="remove-"] form')
    page = await ada.follow(await ada.submit(form.get("action")))
    assert page.texts("tbody td.title") == []


async def test_what_is_wrong_stands_beside_its_field_in_the_open_dialog(ada):
    page = await ada.submit("/suppressions", {"target": "no address"}, expect=422)
    assert page.all("dialog#add[data-open]")
    assert page.value("target") == "no address"
    assert page.text("#target-note")
