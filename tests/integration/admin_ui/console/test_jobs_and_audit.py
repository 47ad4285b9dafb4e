"""The pages of jobs and of the audit log, over real rooms."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-jobs")]
HOSTILE = '"><img src=x onerror=alert(1)>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme", "globex") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


async def test_an_export_is_ordered_shown_and_cancelled(api, ada):
    assert "No long work" in (await ada.get("/jobs")).text(".empty")
    answer = await ada.submit("/exports", {"what": "audit"})
    page = await ada.follow(answer)
    assert page.text("h1").startswith("Export Waits for its turn")
    assert not page.all('a[href$="/file"]')
    done = await ada.follow(await ada.submit(f"{answer.location}/cancel"))
    assert "Cancelled" in done.text("h1")
    assert "Export" in (await ada.get("/jobs")).text("tbody")
    assert (await ada.get("/jobs?show=open")).texts("tbody tr") == []
    again = await ada.submit(f"{answer.location}/cancel", back="/jobs")
    assert again.location == "/jobs"
    assert "Not done" in (await ada.follow(again)).text(".toast")


async def test_another_tenants_job_is_not_there(api, ada):
    eve = await visitor(api, "owner", "globex")
    answer = await eve.submit("/exports", {"what": "suppressions"})
    await ada.get(answer.location, expect=404)
    await ada.get(f"{answer.location}/file", expect=404)
    cancelled = await ada.submit(f"{answer.location}/cancel")
    assert "Not done" in (await ada.follow(cancelled)).text(".toast")
    assert "Waits" in (await eve.get(answer.location)).text("h1")


async def test_what_somebody_did_is_found_with_where_they_did_it_from(api, ada):
    await ada.submit("/suppressions", {"target": "bob@lumen.example"})
    page = await ada.get("/audit?action=suppression")
    row = page.text("tbody tr")
    assert "owner@acme.test" in row
    assert "192.0.2.7" in row
    assert (await ada.get("/audit?action=nothing.like.it")).texts("tbody tr") == []
    assert (await ada.get("/audit?since=2099-01-01")).texts("tbody tr") == []
    wrong = await ada.get("/audit?since=gestern", expect=422)
    assert "2026-11-20" in wrong.text(".note")


async def test_a_tenant_reads_its_own_log_and_a_sender_none(api, ada):
    await api.rooms.tenants.suspend(SYSTEM, "globex", reason=HOSTILE)
    assert "globex" not in (await ada.get("/audit")).text("main")
    sue = await visitor(api, "sender", "acme")
    await sue.get("/audit", expect=403)


async def test_hostile_words_are_words(api):
    root = await visitor(api, "admin")
    page = await root.get("/audit?action=tenant")
    assert HOSTILE in page.text("tbody")
    assert not page.all("img")
    assert not (await root.get(f"/audit?by={HOSTILE}")).all("img")
