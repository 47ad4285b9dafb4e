"""The pages of addresses and pools, shaping and blocklists, over real rooms."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.jobs import Step
from mta.egress import EgressState
from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor
from tests.support.warming import addresses, listed, slowed

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("console-egress"),
]
EVIL = "<img src=x onerror=alert(1)>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme") as opened:
        await addresses(opened)
        await slowed(opened, words=EVIL)
        await listed(opened, text=EVIL)
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ann(api):
    return await visitor(api)


async def test_the_list_has_addresses_and_pools_with_their_shares(ann):
    page = await ann.get("/egress")
    assert "198.51.100.21" in page.text("#list tbody")
    assert any("out1 67 %, out3 33 %" in one for one in page.texts("#list tbody tr"))


async def test_an_address_is_added_drained_enabled_disabled_and_deleted(api, ann):
    page = await ann.submit("/egress", {"name": "out9", "address": "no address"}, expect=422)
    assert page.all("dialog#add[data-open]")
    fields = {"name": "out9", "address": "198.51.100.29"}
    page = await ann.submit("/egress", fields)
    assert page.location == "/egress/out9"
    assert (await ann.submit("/egress", fields, expect=422)).all("dialog#add[data-open]")
    page = await ann.submit("/egress/out9/drain", {"reason": ""}, expect=422)
    assert page.text("#drain-reason-note")
    await ann.submit("/egress/out9/drain", {"reason": EVIL})
    page = await ann.get("/egress/out9")
    assert EVIL not in page.html
    assert EVIL in page.text("#egress .note")
    await ann.submit("/egress/out9/enable")
    assert (await api.rooms.egresses.get(SYSTEM, "out9")).state is EgressState.ENABLED
    page = await ann.follow(await ann.submit("/egress/out9/delete"))
    assert page.text(".toast b") == "Not deleted"
    await ann.submit("/egress/out9/disable", {"reason": "moves"})
    await ann.submit("/egress/out9/delete")
    await ann.get("/egress/out9", expect=404)


async def test_a_pool_is_made_changed_made_the_default_and_deleted(api, ann):
    page = await ann.submit("/pools", {"pool": "bulk"}, expect=422)
    assert page.all("dialog#pool[data-open]")
    await ann.submit("/pools", {"pool": "bulk", "weight-out3": "1", "weight-out4": "3"})
    await ann.submit("/pools/bulk/change", {"weight-out4": "2", "fallback": "shared"})
    (bulk,) = [one for one in await api.rooms.pools.list(SYSTEM) if one.name == "bulk"]
    assert [(one.egress, one.weight) for one in bulk.members] == [("out4", 2)]
    assert bulk.fallback == "shared"
    await ann.submit("/pools/bulk/default")
    page = await ann.follow(await ann.submit("/pools/bulk/delete"))
    assert page.text(".toast b") == "Not deleted"
    await ann.submit("/pools/shared/default")
    await ann.submit("/pools/bulk/delete")
    assert "bulk" not in {one.name for one in await api.rooms.pools.list(SYSTEM)}


async def test_shaping_tells_what_is_slowed_in_the_remotes_words_and_lifts_it(api, ann):
    page = await ann.get("/shaping")
    assert EVIL not in page.html
    assert EVIL in page.text("#throttles .words")
    subject = {"egress": "out3", "zone": "yahoo", "dialog": "lift-1"}
    page = await ann.submit("/shaping/lift", subject | {"reason": ""}, expect=422)
    assert page.all("dialog#lift-1[data-open]")
    await ann.submit("/shaping/lift", subject | {"reason": "they raised it"})
    standing = [one for one in await api.rooms.throttles.all(SYSTEM) if one.in_force]
    assert [one.subject.egress for one in standing] == ["out2"]


async def test_a_domain_is_explained_or_told_why_not(ann):
    page = await ann.get("/shaping?domain=nowhere.test")
    assert "550 no such domain" in page.text(".note")
    page = await ann.get("/shaping?domain=not%20a%20domain")
    assert page.text(".note b") == "This could not be explained"


async def test_a_listing_says_what_to_do(ann):
    page = await ann.get("/blocklists")
    assert EVIL not in page.html
    assert EVIL in page.text(".quote")
    assert "198.51.100.23" in page.text("#lists section h2")
    assert page.all("[id^=page-]")
    assert "What to do" in page.html


async def test_the_lists_are_asked_now_and_the_page_tells_what_they_said(api, ann):
    page = await ann.follow(await ann.submit("/blocklists/check"))
    assert "The lists are being asked" in page.text("#lists .note")
    await ann.submit("/blocklists/check")  # again: the one that is at work does it
    (job,) = await api.rooms.jobs.list(SYSTEM, kind="blocklist-check")
    taken = await api.rooms.jobs.take("worker")
    told = {"addresses": 2, "lists": 9, "lists_that_answer": 8, "addresses_listed": 1}
    await api.rooms.jobs.go_on(taken, "worker", Step(result=told))
    note = (await ann.get("/blocklists")).text("#lists .note")
    assert "2 addresses on 9 lists, of which 8 answer us: 1 listed." in note
    assert taken.id == job.id


async def test_who_may_not_see_or_change_them_does_not(api, ann):
    support = await visitor(api, "support")
    page = await support.get("/egress")
    assert page.all("dialog#add") == []
    await support.submit("/egress/out1/drain", {"reason": "x"}, expect=403)
    owner = await visitor(api, "owner", "acme")
    for path in ("/egress", "/egress/out1", "/shaping", "/blocklists"):
        await owner.get(path, expect=403)
