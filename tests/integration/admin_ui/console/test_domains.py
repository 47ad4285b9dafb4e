"""The pages of sending domains, over real rooms."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor
from tests.support.published import publish

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-domains")]
BAD = '"><script>alert(1)</script>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme", "globex") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(api, ada):
    """A domain's address, added by its form."""
    assert "No domain yet" in (await ada.get("/domains")).text(".empty")
    return (await ada.submit("/domains", {"name": "Mail.Acme.example"})).location


async def test_a_new_domain_shows_all_records_to_copy(api, ada, made):
    page = await ada.get(made)
    assert page.text("h1").startswith("mail.acme.example 6 of 6 records need work")
    (found,) = await api.rooms.domains.list(SYSTEM.within(api.tenants["acme"]))
    shown = page.texts(".record .copy code")
    for record in api.rooms.domains.records(found):
        assert record.name in shown
        assert record.value in shown
    zone = await ada.http.get(f"{made}/zone")
    assert zone.headers["content-disposition"].endswith('"mail.acme.example.zone"')
    assert zone.text.count(" IN TXT ") == 5
    assert "mailto:?subject=" in page.all('a[href^="mailto:"]')[0].get("href")


async def test_what_is_found_wrong_is_said_in_words_and_what_is_right_is_one_line(api, ada, made):
    """The nameserver of the test answers nothing: then what it says by hand."""
    page = await ada.follow(await ada.submit(f"{made}/check"))
    assert page.text(".toast b") == "Looked at"
    assert set(page.texts(".record .badge")) == {"No answer"}
    await publish(api.rooms, "mail.acme.example", cut="k=rsa")
    page = await ada.get(made)
    (note,) = page.texts(".record .note")
    assert "cut off after 40 of" in note
    assert "Found: v=DKIM1; k=rsa; p=" in note
    assert len(page.all("details.record-right")) == 5
    assert "Send a test for me" in page.text(".actions")
    await publish(api.rooms, "mail.acme.example")
    assert (await ada.get(made)).text("h1") == "mail.acme.example Right"
