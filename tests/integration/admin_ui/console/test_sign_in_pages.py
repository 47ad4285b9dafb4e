"""Signing in by the console's pages, as a browser without scripts does it."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import httpx
import pyotp
import pytest
import pytest_asyncio

from appliance.core import clock
from appliance.people import first_admin_link
from tests.support.api import SYSTEM, open_api
from tests.support.console import PASSWORD, Page, Visitor, visitor

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-sign-in")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme", "globex") as opened:
        opened.app.state.rates._now = lambda: 0.0
        yield opened


class Stranger:
    """A browser that nobody has signed in with."""

    def __init__(self, api):
        transport = httpx.ASGITransport(api.app, client=("192.0.2.9", 1))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://localhost:8080")

    async def get(self, path, expect=200, **headers):
        answer = await self.http.get(path, headers={"Accept": "text/html"} | headers)
        assert answer.status_code == expect, answer.text
        return Page(answer)

    async def post(self, path, expect=303, site="same-origin", **fields):
        answer = await self.http.post(path, data=fields, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == expect, answer.text
        return Page(answer)


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(api):
    one = Stranger(api)
    yield one
    await one.http.aclose()


async def path_of(api, email, role="owner", tenant="acme"):
    _, url = await api.rooms.people.invitations.link(
        SYSTEM, email=email, role=role, tenant_id=api.tenants[tenant]
    )
    return urlsplit(url).path


async def test_the_first_admin_comes_in_by_the_printed_link_once(api, stranger):
    url = await first_admin_link(api.rooms.people.account._engine, "http://x", clock.now_ms)
    path = urlsplit(url or "").path
    assert "Become the admin" in (await stranger.get(path)).text("h1")
    given = {"name": "Root", "email": "root@box.test", "password": "short"}
    page = await stranger.post(path, expect=422, **given)
    assert "characters" in page.text("#password-note")
    assert page.value("name") == "Root"
    done = await stranger.post(path, **(given | {"password": PASSWORD}))
    assert done.location == "/"
    assert "pillarbox" in stranger.http.cookies
    assert "works no more" in (await stranger.post(path, expect=404, **given)).text("h1")


async def test_an_invitation_opens_an_account_and_the_session_leads_in(api, stranger):
    path = await path_of(api, "ada@acme.test")
    assert "ada@acme.test" in (await stranger.get(path)).text("main")
    assert (await stranger.post(path, name="Ada", password=PASSWORD)).location == "/"
    assert "ada@acme.test" in (await stranger.get("/account")).text(".page-head")
    second = await path_of(api, "ada@acme.test", "viewer", "globex")
    assert "You have an account" in (await stranger.get(second)).text("main")
    assert (await stranger.post(second)).location == "/sign-in"


async def test_a_wrong_password_is_told_and_the_right_one_leads_where_one_wanted_to_go(
    api, stranger
):
    path = await path_of(api, "bob@acme.test")
    await stranger.post(path, name="Bob", password=PASSWORD)
    stranger.http.cookies.clear()
    page = await stranger.get("/suppressions?q=x", expect=303)
    assert page.location == "/sign-in?next=%2Fsuppressions%3Fq%3Dx"
    known = {"email": "bob@acme.test", "next": "/suppressions?q=x"}
    page = await stranger.post("/sign-in", expect=422, password="wrong wrong wrong", **known)
    assert page.text(".note")
    assert page.value("email") == "bob@acme.test"
    assert page.value("password") in ("", "None")
    done = await stranger.post("/sign-in", password=PASSWORD, **known)
    assert done.location == "/suppressions?q=x"
    assert (await stranger.get("/sign-in", expect=303)).location == "/"


@pytest.mark.parametrize(
    "said",
    [
        "//evil.example", "///evil.example", "https://evil.example", "https:evil.example",
        "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example",
        " //evil.example", "evil.example", "javascript:x", "data:text/html,x", "",
    ],
)  # fmt: skip
async def test_nobody_is_led_to_another_site(api, stranger, said):
    page = await stranger.get(f"/sign-in?next={quote(said, safe='')}")
    assert page.value("next") == "/"


async def test_another_sites_form_signs_nobody_in(api, stranger):
    given = {"email": "bob@acme.test", "password": PASSWORD}
    await stranger.post("/sign-in", expect=403, site="cross-site", **given)


async def test_a_second_factor_is_set_up_asked_for_and_recovered(api, stranger):
    path = await path_of(api, "eve@acme.test")
    await stranger.post(path, name="Eve", password=PASSWORD)
    token = stranger.http.cookies["pillarbox"]
    seen = await api.rooms.sessions.seen(token)
    proof = {"csrf": seen.csrf, "view": str(seen.tenant_id), "back": "/account"}
    wrong = await stranger.post("/account/second-factor", expect=422, password="no", **proof)
    assert wrong.all("dialog#second-factor[data-open]")
    page = await stranger.post("/account/second-factor", expect=200, password=PASSWORD, **proof)
    assert page.all("svg.qr path")
    assert page.answer.headers["cache-control"] == "no-store"
    given = {name: page.value(name) for name in ("ticket", "secret", "uri")} | proof
    again = await stranger.post(
        "/account/second-factor/confirm", expect=422, code="000000", **given
    )
    assert again.text("#code-note")
    assert again.value("secret") == given["secret"]
    code = pyotp.TOTP(given["secret"]).now()
    codes = await stranger.post("/account/second-factor/confirm", expect=200, code=code, **given)
    recovery = codes.text("pre").split()
    assert len(recovery) > 5
    stranger.http.cookies.clear()
    known = {"email": "eve@acme.test", "password": PASSWORD, "next": "/account"}
    asked = await stranger.post("/sign-in", **known)
    assert asked.location == "/sign-in/code?next=%2Faccount"
    page = await stranger.get(asked.location)
    assert "Enter the code" in page.text("h1")
    other = await stranger.get(page.all(".other-way a")[0].get("href"))
    assert other.value("next") == "/account"
    assert other.all("#code")[0].get("inputmode") is None  # it has letters
    done = await stranger.post("/sign-in/code", code=recovery[0], next="/account")
    assert done.location == "/account"


async def test_a_forgotten_password_is_answered_alike_for_everybody(api, stranger):
    path = await path_of(api, "zoe@acme.test")
    await stranger.post(path, name="Zoe", password=PASSWORD)
    answers = [await stranger.post("/password", email=f"{who}@acme.test") for who in ("zoe", "no")]
    assert answers[0].location == answers[1].location == "/sign-in"
    user = (await api.rooms.people.account.user(await _seen(api, stranger))).id
    url = await api.rooms.people.password_links.link_for(SYSTEM, user)
    link = urlsplit(url).path
    assert (await stranger.post(link, password="another good phrase")).location == "/sign-in"
    await stranger.get("/account", expect=303)
    await stranger.post(link, expect=404, password="another good phrase")


async def _seen(api, stranger):
    return await api.rooms.sessions.seen(stranger.http.cookies["pillarbox"])


async def test_an_admin_enters_a_tenants_view_and_it_is_marked_and_audited(api):
    ann: Visitor = await visitor(api, "admin", name="ann@box.test")
    assert "acme" in (await ann.get("/views")).text("#view-list")
    done = await ann.submit("/view", {"tenant": str(api.tenants["acme"])})
    ann.http.cookies["pillarbox"] = done.answer.cookies["pillarbox"]
    page = await ann.get("/suppressions")
    assert "You see acme as an admin of the box" in page.text(".visiting")
    entries = await api.rooms.audit.list(SYSTEM, limit=5)
    assert entries[0].action == "tenant.enter"
    assert "ann@box.test" in entries[0].by


async def test_a_form_of_another_view_or_without_its_word_changes_nothing(api):
    ada = await visitor(api, "owner", "acme", name="own@acme.test")
    await ada.submit("/suppressions", {"target": "a@b.test"}, expect=403, csrf="x")
    await ada.submit("/suppressions", {"target": "a@b.test"}, expect=403, view="0")
    assert (await ada.get("/suppressions")).texts("tbody tr") == []


async def test_a_page_left_open_over_sign_out_leads_to_the_sign_in_page(api):
    ada = await visitor(api, "owner", "acme", name="out@acme.test")
    await ada.submit("/sign-out")
    assert (await ada.submit("/suppressions", {"target": "a@b.test"})).location == "/sign-in"
    answer = await ada.http.get("/suppressions", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"].startswith("/sign-in?next=")


async def test_a_viewer_sees_and_changes_nothing(api):
    eli = await visitor(api, "viewer", "acme", name="eli@acme.test")
    page = await eli.get("/suppressions")
    assert not page.all('[commandfor="add"]')
    await eli.submit("/suppressions", {"target": "a@b.test"}, expect=403)


async def test_an_address_without_a_page_says_so_as_a_page(api):
    ada = await visitor(api, "owner", "acme", name="lost@acme.test")
    page = await ada.get("/nowhere", expect=404)
    assert "There is no such page" in page.text("h1")
    assert (
        (await ada.http.get("/nowhere", headers={"Accept": "*/*"}))
        .headers["content-type"]
        .startswith("application/problem+json")
    )


async def test_policies_of_the_browser_are_strict_on_every_page(api, stranger):
    page = await stranger.get("/sign-in")
    policy = page.answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "style=" not in page.html
    assert "onclick" not in page.html
