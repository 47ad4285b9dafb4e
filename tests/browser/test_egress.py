"""Addresses, warmups, shaping and blocklists in a browser."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.api import open_api
from tests.support.console import visitor
from tests.support.looking import look
from tests.support.served import served
from tests.support.warming import addresses, listed, slowed, warm_up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme") as api, served(api.app) as url:
        await addresses(api)
        await warm_up(api)
        await slowed(api, "421 4.7.0 [TSS04] Messages from 198.51.100.23 temporarily deferred")
        await listed(api, "https://check.example/query/ip/198.51.100.23")
        yield url, await visitor(api)


async def test_a_warmup_held_and_stepped_back_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/warmup/out2", "warmup")


async def test_the_list_of_warmups_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/warmup", "warmups")


async def test_addresses_and_pools_look_as_they_should(chromium, box):
    await look(chromium, *box, "/egress", "egress")
    await look(chromium, *box, "/egress/out3", "egress-out3")


async def test_what_slows_mail_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/shaping", "shaping")


async def test_a_listing_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/blocklists", "blocklists")
