"""The pages of settings, over real rooms."""

from __future__ import annotations

import msgspec
import pytest
import pytest_asyncio

from admin_ui.console.right_words import ROLES, WORDS
from appliance.core.settings import Settings
from appliance.core.settings_options import options
from appliance.core.settings_reference import told
from appliance.rights import GRANTS, TENANT_ROLES, Right, Role
from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("console-settings"),
]

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def root(api):
    return await visitor(api, "admin")


async def test_the_box_shows_every_option_of_the_file_and_what_is_changed(api, root):
    page = await root.get("/settings")
    assert len(page.all("table.options tbody tr")) == len(options())
    assert page.text("#path") == str(api.rooms.files.configuration.path)
    rows = [row for row in page.texts("table.options tbody tr") if "Changed" in row]
    assert any(row.startswith("hostname") and '"box.test"' in row for row in rows)
    changed = await root.get("/settings?show=changed")
    assert len(changed.texts("table.options tbody tr")) == len(rows) > 0


async def test_no_secret_is_told():
    settings = msgspec.convert({"metrics": {"token": "very-secret-word"}}, Settings)
    every = {option.name: option for table in told(settings) for option in table.options}
    assert every["metrics.token"].is_changed
    assert every["metrics.token"].value == '"********"'
    assert "very-secret-word" not in str(told(settings))


async def test_a_tenant_sees_its_own_and_says_who_it_is(api, ada):
    page = await ada.get("/settings")
    assert "Not told yet" in page.text(".note")
    assert not page.all("table.options")
    wanted = {"organisation": EVIL, "country": "de", "postal_address": "Street 1\r\n10115 Berlin"}
    page = await ada.follow(await ada.submit("/settings/organisation", wanted))
    assert EVIL in page.text(".pairs")
    assert "<script>alert" not in page.html
    saved = await api.rooms.tenants.get(SYSTEM, "acme")
    assert (saved.country, saved.postal_address) == ("DE", "Street 1\n10115 Berlin")
    page = await ada.submit("/settings/organisation", wanted | {"country": "Germany"}, expect=422)
    assert page.all("dialog#organisation-dialog[data-open]")
    assert "two letters" in page.text("#country-note")


async def test_public_pages_link_to_the_tenants_own(api, ada):
    links = {"privacy_url": "https://acme.example/privacy?a=1&b=2", "terms_url": ""}
    page = await ada.follow(await ada.submit("/settings/links", links))
    assert links["privacy_url"] in page.text("main")
    _, url = await api.rooms.people.invitations.link(
        SYSTEM, email="new@acme.test", role="viewer", tenant_id=api.tenants["acme"]
    )
    page = await ada.get("/invitation/" + url.rpartition("/")[2])
    assert [one.get("href") for one in page.all("footer a")] == [links["privacy_url"]]
    assert page.texts("footer a") == ["Privacy"]
    for bad in (
        "javascript:alert(1)",
        "http://acme.example/",
        "https://acme",
        "https://a@acme.example/",
        f"https://acme.example/{EVIL}",
        "https://acme.example/a b",
    ):
        page = await ada.submit("/settings/links", {"terms_url": bad}, expect=422)
        assert page.all("dialog#links-dialog[data-open]")
        assert "whole address" in page.text("#terms_url-note"), bad
    assert (await api.rooms.tenants.get(SYSTEM, "acme")).privacy_url == links["privacy_url"]


async def test_limits_and_the_sandbox_are_shown(api, ada):
    await api.rooms.tenants.set_limits(SYSTEM, "acme", recipients_per_day=2500, sandboxed=True)
    await api.rooms.tenants.set_pools(SYSTEM, "acme", bulk_pool="slow")
    page = await ada.get("/settings")
    assert "In the sandbox" in page.text(".note")
    assert "2,500" in page.text("main")
    assert "slow" in page.text("main")


def columns(page):
    return [cell.text_content() for cell in page.all("table.matrix")[0].cssselect("th.has")]


async def test_the_table_of_rights_is_the_one_that_is_asked(ada, root):
    page = await root.get("/settings/rights")
    assert [name.lower() for name in columns(page)] == list(Role)
    for row in page.all("table.matrix tbody tr"):
        right = Right(row.cssselect("code")[0].text_content())
        marks = [cell.text_content().strip() for cell in row.cssselect("td")]
        assert [mark == "Yes" for mark in marks] == [right in GRANTS[role] for role in Role]
    assert len(page.all("table.matrix tbody tr")) == len(Right)
    mine = await ada.get("/settings/rights")
    assert columns(mine) == [ROLES[role][0] for role in TENANT_ROLES]
    assert "egress.manage" not in mine.html


async def test_every_right_and_role_has_its_words():
    assert set(WORDS) == set(Right)
    assert set(ROLES) == set(Role)


async def test_who_may_not_is_refused(api, root):
    vic = await visitor(api, "viewer", "acme")
    assert not (await vic.get("/settings")).all("dialog#organisation-dialog")
    await vic.submit("/settings/organisation", {"organisation": "x"}, expect=403)
    page = await root.follow(
        await root.submit("/settings/organisation", {"organisation": "x"}, back="/settings")
    )
    assert "open its view first" in page.text(".toast")
