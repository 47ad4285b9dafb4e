"""The pages of messages and bounces in a browser."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.api import open_api
from tests.support.console import visitor
from tests.support.looking import look
from tests.support.mailroom import Mailroom, in_queue, shop_day
from tests.support.served import served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    path = tmp_path_factory.mktemp("box")
    async with open_api(path, "acme") as api, served(api.app) as url:
        room = Mailroom(path)
        ids = shop_day(room, api.tenants["acme"])
        room.ship()
        in_queue(api, ids["three"], api.tenants["acme"])
        yield url, await visitor(api, "owner", "acme"), ids


async def test_the_list_looks_as_it_should(chromium, box):
    await look(chromium, *box[:2], "/messages", "messages")


async def test_what_failed_looks_as_it_should(chromium, box):
    await look(chromium, *box[:2], "/messages/failed", "messages-failed")


async def test_a_message_looks_as_it_should(chromium, box):
    await look(chromium, *box[:2], f"/messages/{box[2]['three']}", "message")


async def test_the_source_looks_as_it_should(chromium, box):
    await look(chromium, *box[:2], f"/messages/{box[2]['three']}?tab=source", "message-source")


async def test_the_headers_look_as_they_should(chromium, box):
    await look(chromium, *box[:2], f"/messages/{box[2]['three']}?tab=headers", "message-headers")


async def test_the_events_look_as_they_should(chromium, box):
    await look(chromium, *box[:2], f"/messages/{box[2]['three']}?tab=events", "message-events")


async def test_bounces_look_as_they_should(chromium, box):
    await look(chromium, *box[:2], "/bounces", "bounces")
