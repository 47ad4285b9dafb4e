"""The first page and the usage, in a browser."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.api import open_api
from tests.support.busy_box import Reports, fill
from tests.support.console import visitor
from tests.support.looking import look
from tests.support.served import served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    path = tmp_path_factory.mktemp("box")
    async with (
        open_api(path, "acme", "delta-freight", "harbor-books", processes=Reports()) as api,
        served(api.app) as url,
    ):
        await fill(api, path)
        yield url, await visitor(api, "owner", "acme"), await visitor(api)


async def test_the_home_of_a_tenant_looks_as_it_should(chromium, box):
    url, ada, _ = box
    await look(chromium, url, ada, "/", "home")


async def test_the_home_of_the_box_looks_as_it_should(chromium, box):
    url, _, ann = box
    await look(chromium, url, ann, "/", "home-box")


async def test_the_usage_looks_as_it_should(chromium, box):
    url, ada, _ = box
    await look(chromium, url, ada, "/usage", "usage")
