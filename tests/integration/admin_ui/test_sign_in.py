"""Signing in over HTTP: cookies, the session's own word, one answer for every failure."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pyotp
import pytest

from admin_ui.api.account import HANDLERS
from appliance.people import Provider
from tests.support.authenticator import Authenticator
from tests.support.browser import ADDRESS, COOKIE, admin, browsers
from tests.support.issuer import CLIENT_ID, CLIENT_SECRET, TestIssuer
from tests.support.people import PASSWORD, SYSTEM, URL, People

__all__ = ["admin", "browsers"]


@pytest.fixture
def control_location(migrated_file, tmp_path):
    """One database does: the rooms behind are tried on both."""
    return Path(shutil.copy(migrated_file, tmp_path / "control.db"))


@pytest.fixture
async def issuer(now):
    async with TestIssuer() as started:
        started.now = now.at // 1000
        yield started


@pytest.fixture
def people(engine, now, issuer):
    provider = Provider(
        name="acme", issuer=issuer.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET
    )
    return People(engine, now, providers=(provider,))


async def test_a_session_is_a_cookie_that_no_script_reads(people, admin, browsers):
    browser = browsers()
    await browser.post("/sign-in", {"email": ADDRESS, "password": PASSWORD})
    (said,) = browser.answer.headers.get_list("set-cookie")
    words = {word.strip().lower() for word in said.split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax", "path=/"} <= words
    me = await browser.get("/session")
    assert (me["email"], me["tenant"], me["is_visiting"]) == (ADDRESS, "", False)
    assert "tenants.manage" in me["rights"]
    assert me["csrf"] == browser.csrf
    await browser.post("/sign-out", expect=204)
    assert browser.cookie == ""
    await browser.get("/session", expect=401)


async def test_every_failure_is_told_in_the_same_words(people, admin, browsers):
    browser, told = browsers(), []
    for email, password in ((ADDRESS, "wrong password"), ("nobody@box.test", PASSWORD), ("", "")):
        told.append(
            await browser.post("/sign-in", {"email": email, "password": password}, expect=401)
        )
    assert told[0] == told[1] == told[2]
    for body in ({"email": ADDRESS}, {"email": 1, "password": "x"}, {"x": 1}, []):
        await browser.post("/sign-in", body, expect=400)
    for _ in range(4):
        await browser.post("/sign-in", {"email": ADDRESS, "password": "wrong"}, expect=401)
    await browser.post("/sign-in", {"email": ADDRESS, "password": PASSWORD}, expect=429)
    assert int(browser.answer.headers["retry-after"]) >= 1


async def test_a_sign_in_ends_the_session_that_the_browser_came_with(people, admin):
    before = admin.cookie
    await admin.post("/sign-in", {"email": ADDRESS, "password": PASSWORD})
    assert admin.cookie != before
    assert await people.desk.sessions.actor_of(before) is None


async def test_a_change_needs_the_sessions_own_word_and_its_own_site(people, admin, browsers):
    word = admin.csrf
    for wrong in ("", "x" * 64, word[:-1]):
        admin.csrf = wrong
        await admin.post("/account/name", {"name": "Eve"}, expect=403)
    admin.csrf = word
    for site in ("cross-site", "same-site"):
        await admin.post("/account/name", {"name": "Eve"}, expect=403, Sec_Fetch_Site=site)
        await browsers().post(
            "/sign-in",
            {"email": ADDRESS, "password": PASSWORD},
            expect=403,
            Sec_Fetch_Site=site,
        )
    assert (await admin.post("/account/name", {"name": "Ruth"}))["name"] == "Ruth"
    assert (await admin.get("/session"))["name"] == "Ruth"


async def test_no_route_of_an_account_opens_without_a_session(people, admin, browsers):
    stranger, tampered = browsers(), browsers()
    tampered.http.cookies.set(COOKIE, admin.cookie[:-2] + "xx", domain="box.test")
    for handler in HANDLERS:
        for path in handler.paths:
            where = path.replace("{session_id:int}", "1").replace("{passkey_id:int}", "1")
            for method in handler.http_methods:
                if method != "OPTIONS":
                    for browser in (stranger, tampered):
                        await browser.ask(method, where, {}, expect=401)


async def test_sessions_are_listed_and_ended(people, admin, browsers):
    other = browsers()
    await other.post("/sign-in", {"email": ADDRESS, "password": PASSWORD}, User_Agent="lynx")
    listed = await admin.get("/sessions")
    assert {(one["agent"], one["is_this"]) for one in listed} >= {("lynx", False)}
    (number,) = [one["id"] for one in listed if one["agent"] == "lynx"]
    await admin.ask("DELETE", f"/sessions/{number}", expect=204)
    await admin.ask("DELETE", f"/sessions/{number}", expect=404)
    await other.get("/session", expect=401)
    assert await admin.ask("DELETE", "/sessions") == {"ended": 0}


async def test_an_admin_sees_a_tenants_view_and_leaves_it(people, admin):
    acme = await people.tenant("acme")
    before = admin.cookie
    await admin.post("/session/view", {"tenant_id": acme.id})
    assert admin.cookie != before
    me = await admin.get("/session")
    assert (me["tenant"], me["is_visiting"], me["tenant_ids"]) == ("acme", True, [])
    await admin.post("/session/view")
    assert (await admin.get("/session"))["tenant"] == ""
    await admin.post("/session/view", {"tenant_id": 999}, expect=404)


async def test_a_second_factor_is_set_up_asked_for_and_dropped(people, admin, browsers, now):
    again = {"password": PASSWORD}
    await admin.post("/account/second-factor", {"password": "x"}, expect=401)
    new = await admin.post("/account/second-factor", again)
    totp = pyotp.TOTP(new["secret"])
    code = {"ticket": new["ticket"], "code": totp.at(now.at // 1000)}
    codes = (await admin.post("/account/second-factor/confirm", code))["recovery_codes"]
    browser = browsers()
    asked = await browser.post("/sign-in", {"email": ADDRESS, "password": PASSWORD})
    assert (asked["state"], browser.cookie) == ("code-needed", "")
    step = {"ticket": asked["ticket"], "code": "000000"}
    await browser.post("/sign-in/second-factor", step, expect=401)
    await browser.post("/sign-in/second-factor", step | {"code": codes[0]})
    me = await browser.get("/session")
    assert (me["has_second_factor"], me["recovery_codes_left"]) == (True, 9)
    assert len((await browser.post("/account/recovery-codes", again))["recovery_codes"]) == 10
    await browser.post("/account/second-factor/drop", again, expect=204)
    assert not (await browser.get("/session"))["has_second_factor"]


async def test_a_passkey_is_made_used_and_forgotten(people, admin, browsers):
    device = Authenticator(origin=URL, host="box.test")
    asked = await admin.post("/account/passkeys/options", {"password": PASSWORD})
    made = {
        "ticket": asked["ticket"],
        "credential": device.create(asked["options"]),
        "name": "key",
    }
    number = (await admin.post("/account/passkeys", made, expect=201))["id"]
    browser = browsers()
    asked = await browser.post("/sign-in/passkey/options")
    answer = {"ticket": asked["ticket"], "credential": device.get(asked["options"])}
    assert (await browser.post("/sign-in/passkey", answer))["state"] == "signed-in"
    await browser.post("/sign-in/passkey", answer, expect=401)
    (listed,) = await browser.get("/account/passkeys")
    assert (listed["id"], listed["name"]) == (number, "key")
    await browser.post(f"/account/passkeys/{number}/remove", {"password": PASSWORD}, expect=204)
    assert await browser.get("/account/passkeys") == []


async def test_a_browser_goes_to_an_issuer_and_comes_back(people, admin, browsers, issuer):
    issuer.claims = {"email": ADDRESS}
    browser = browsers()
    assert await browser.get("/sign-in") == {"oidc": ["acme"]}
    url = (await browser.post("/sign-in/oidc/acme"))["url"]
    back = f"/sign-in/oidc/acme/callback?state={issuer.consent(url)}&code=a%20code"
    thief = browsers()  # without the cookie of the departure
    await thief.get(back, expect=303, Sec_Fetch_Site="cross-site")
    assert thief.answer.headers["location"] == "/sign-in"
    assert "pillarbox_toast" in thief.answer.headers["set-cookie"]
    await browser.get(back, expect=303, Sec_Fetch_Site="cross-site")
    assert browser.answer.headers["location"] == "/"
    assert (await browser.get("/session"))["email"] == ADDRESS
    await browser.get(back, expect=303)
    assert browser.answer.headers["location"] == "/sign-in"
    await browser.post("/sign-in/oidc/nobody", expect=404)


async def test_a_forgotten_password_is_told_nobody_and_replaced_by_the_link(
    people, admin, browsers
):
    browser = browsers()
    said = [
        await browser.post("/password/forgotten", {"email": email}, expect=202)
        for email in (ADDRESS, "nobody@box.test")
    ]
    assert said[0] == said[1]
    await people.desk.letters.settle()
    token = people.box.token(ADDRESS)
    await browser.post("/password/reset", {"token": token, "password": "short"}, expect=400)
    assert browser.answer.json()["errors"][0]["field"] == "password"
    given = {"token": token, "password": "another good password"}
    assert await browser.post("/password/reset", given) == {"email": ADDRESS}
    await browser.post("/password/reset", given, expect=404)
    await admin.get("/session", expect=401)
    await browser.post("/sign-in", {"email": ADDRESS, "password": given["password"]})


async def test_a_new_password_ends_the_other_sessions(people, admin, browsers):
    other = browsers()
    await other.post("/sign-in", {"email": ADDRESS, "password": PASSWORD})
    change = {"old": PASSWORD, "new": "another good password"}
    await admin.post("/account/password", change | {"old": "wrong"}, expect=401)
    await admin.post("/account/password", change)
    assert (await admin.get("/session"))["email"] == ADDRESS
    await other.get("/session", expect=401)


async def test_an_invitation_is_looked_at_and_accepted(people, browsers):
    acme = await people.tenant("acme")
    _, url = await people.desk.invitations.link(
        SYSTEM, email="ada@acme.example", role="owner", tenant_id=acme.id
    )
    token, browser = urlsplit(url).path.rpartition("/")[2], browsers()
    asked = await browser.post("/invitations/look", {"token": token})
    assert (asked["email"], asked["role"], asked["has_account"]) == (
        "ada@acme.example",
        "owner",
        False,
    )
    given = {"token": token, "name": "Ada", "password": PASSWORD}
    assert (await browser.post("/invitations/accept", given))["state"] == "signed-in"
    me = await browser.get("/session")
    assert (me["tenant"], me["tenant_ids"]) == ("acme", [acme.id])
    await browser.post("/invitations/look", {"token": token}, expect=404)
    other = await people.tenant("other")
    _, url = await people.desk.invitations.link(
        SYSTEM, email="ada@acme.example", role="viewer", tenant_id=other.id
    )
    given = {"token": url.rpartition("/")[2]}
    assert (await browser.post("/invitations/accept", given))["state"] == "account-exists"


async def test_strangers_ask_so_often_and_not_more(people, browsers, now):
    browser = browsers()
    for _ in range(30):
        await browser.post("/sign-in/passkey/options")
    await browser.post("/sign-in/passkey/options", expect=429)


async def test_an_address_that_is_none_is_kept_nowhere(people, admin, browsers):
    for said, kept in (
        ("x:y:z\x1b[31m", ""),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1", "fe80::1"),
    ):
        browser = browsers(said)
        await browser.post("/sign-in", {"email": ADDRESS, "password": PASSWORD})
        assert (await browser.get("/sessions"))[0]["address"] == kept
