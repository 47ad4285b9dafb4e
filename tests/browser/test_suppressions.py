"""The page of suppressions in a browser."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.core.scope import Scope
from appliance.suppressions import Reason
from tests.support.api import open_api
from tests.support.console import visitor
from tests.support.looking import look
from tests.support.served import served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    async with (
        open_api(tmp_path_factory.mktemp("box"), "acme") as api,
        served(api.app) as url,
    ):
        ada = await visitor(api, "owner", "acme")
        scope = Scope.tenant(api.tenants["acme"], by="ada")
        for number, reason in enumerate(Reason):
            await api.rooms.suppressions.add(scope, f"person-{number}@lumen.example", reason=reason)
        yield url, ada


async def test_the_list_looks_as_it_should(chromium, box):
    await look(chromium, *box, "/suppressions", "suppressions")


async def test_the_dialog_looks_as_it_should(chromium, box):
    async def opened(page):
        await page.locator('[command="show-modal"][commandfor="add"]').click()
        await page.locator("dialog#add[open]").wait_for()

    await look(chromium, *box, "/suppressions", "suppressions-add", opened)
