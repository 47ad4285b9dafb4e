"""The page of a message, over a real log and a queue that a test stands for."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.api import open_api
from tests.support.console import visitor
from tests.support.mailroom import Mailroom, shop_day

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-message")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    path = tmp_path_factory.mktemp("box")
    async with open_api(path, "acme", "globex") as opened:
        room = Mailroom(path)
        opened.ids = shop_day(room, opened.tenants["acme"])
        room.ship()
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


async def test_the_story_tells_what_happened_to_whom_with_the_remotes_words(ada, api):
    page = await ada.get(f"/messages/{api.ids['three']}")
    assert page.text("h1").startswith("Your order 10-48213 has shipped Waiting for 1 of 3")
    titles = page.texts(".timeline b")
    assert titles[:5] == [
        "Accepted",
        "Signed",
        "Delivered to dana@northwind.example",
        "Bounced: archive@northwind.example",
        "Deferred: billing@globex.example",
    ]
    assert page.texts(".timeline .quote")[1].startswith("550 5.1.1 The email account")
    assert page.texts("#steps td.title")[0] == "Connect, greeting"
