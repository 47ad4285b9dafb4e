"""The figures at the right of the side bar."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.jobs import Order
from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-counts")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme") as opened:
        yield opened


def figures(page):
    return {one.get("data-count"): one.text_content() for one in page.all("[data-count]")}


async def test_an_admin_sees_what_waits_and_what_works(api):
    api.owners.add(api.tenants["acme"])
    await api.rooms.jobs.order(SYSTEM, Order(kind="test"))
    page = await (await visitor(api, "admin")).get("/counts", **{"HX-Request": "true"})
    found = figures(page)
    assert (found["queue"], found["jobs"]) == ("1", "1")
    assert found["blocklists"] == ""
    assert page.all("[data-count=queue].look")


async def test_a_tenant_sees_its_domains_that_are_not_proved(api):
    owner = api.tenants["acme"]
    await api.rooms.domains.create(SYSTEM, tenant_id=owner, name="acme.test")
    page = await (await visitor(api, "owner", "acme")).get("/counts")
    told = {"queue": "", "domains": "1", "webhooks": "", "jobs": "", "usage": ""}
    assert figures(page) == told
