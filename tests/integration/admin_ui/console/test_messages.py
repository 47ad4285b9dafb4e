"""The list of messages, over a real log."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.api import open_api
from tests.support.console import visitor
from tests.support.mailroom import Mailroom, shop_day

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-messages")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    path = tmp_path_factory.mktemp("box")
    async with open_api(path, "acme", "globex") as opened:
        room = Mailroom(path)
        opened.ids = shop_day(room, opened.tenants["acme"])
        other = room.accept(opened.tenants["globex"], "cyd@other.example", subject="Of another")
        room.told(
            opened.tenants["globex"], other, 0, "delivered", "cyd@other.example", reply="250 ok"
        )
        room.ship()
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


async def test_the_list_has_the_newest_first_with_states_and_last_words(ada):
    page = await ada.get("/messages")
    assert page.texts("td.title")[:2] == ["billing@globex.example", "archive@northwind.example"]
    assert page.texts("td.state")[:2] == ["Waiting", "Bounced, user unknown"]
    assert "cyd@other.example" not in page.html
