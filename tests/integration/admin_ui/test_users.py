"""Users and invitations over the API, asked by the box and by a tenant's owner."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.browser import ADDRESS, admin, browsers
from tests.support.people import HERE, PASSWORD, SYSTEM, people

__all__ = ["admin", "browsers", "people"]


@pytest.fixture
def control_location(migrated_file, tmp_path):
    """One database does: the rooms behind are tried on both."""
    return Path(shutil.copy(migrated_file, tmp_path / "control.db"))


@pytest.fixture
async def owner(people, browsers):
    """The browser of a tenant's owner."""
    acme = await people.tenant("acme")
    await people.member("ada@acme.example", "owner", acme.id)
    browser = browsers()
    await browser.post("/sign-in", {"email": "ada@acme.example", "password": PASSWORD})
    return browser


async def test_an_owner_invites_changes_and_removes_members(people, owner):
    asked = await owner.post(
        "/invitations", {"email": "Bob@Acme.example", "role": "viewer"}, expect=201
    )
    assert (asked["email"], asked["invited_by"]) == ("bob@acme.example", "ada@acme.example")
    assert (await owner.get("/invitations"))["items"] == [asked]
    token = people.box.token("bob@acme.example")
    await people.desk.invitations.accept(token, HERE, name="Bob", password=PASSWORD)
    bob = (await owner.get("/users"))["items"][1]
    assert (bob["email"], bob["memberships"][0]["role"]) == ("bob@acme.example", "viewer")
    path = f"/users/{bob['id']}"
    changed = await owner.ask("PATCH", f"{path}/role", {"role": "sender"})
    assert changed["memberships"][0]["role"] == "sender"
    assert await owner.get(path) == changed
    await owner.ask("DELETE", path, expect=204)
    await owner.get(path, expect=404)


async def test_what_an_owner_may_not_is_refused_by_field_or_right(people, admin, owner):
    other = await people.tenant("other")
    await people.member("eve@other.example", "owner", other.id)
    eve = await people.desk.users.find(SYSTEM, "eve@other.example")
    ada = await people.desk.users.find(SYSTEM, "ada@acme.example")
    for role, email, field in (
        ("admin", "x@acme.example", "role"),
        ("king", "x@acme.example", "role"),
        ("viewer", "x\r\nBcc: y@acme.example", "email"),
    ):
        body = {"email": email, "role": role}
        await owner.post("/invitations", body, expect=400)
        assert owner.answer.json()["errors"][0]["field"] == field
    for method, path, body in (
        ("GET", f"/users/{eve.id}", None),
        ("PATCH", f"/users/{eve.id}/role", {"role": "viewer"}),
        ("DELETE", f"/users/{eve.id}", None),
        ("DELETE", "/invitations/999", None),
        ("GET", "/users?tenant=other", None),
        ("POST", "/invitations?tenant=other", {"email": "x@acme.example", "role": "viewer"}),
    ):
        await owner.ask(method, path, body, expect=404)
    for verb in ("disable", "enable", "end-sessions", "drop-second-factor"):
        await owner.post(f"/users/{ada.id}/{verb}", expect=403)
    await owner.ask("DELETE", f"/users/{ada.id}", expect=409)  # the last owner
    assert [one["email"] for one in (await owner.get("/users"))["items"]] == ["ada@acme.example"]


async def test_a_viewer_sees_no_people(people, browsers):
    acme = await people.tenant("acme")
    await people.member("vic@acme.example", "viewer", acme.id)
    browser = browsers()
    await browser.post("/sign-in", {"email": "vic@acme.example", "password": PASSWORD})
    await browser.get("/users", expect=403)
    await browser.post("/invitations", {"email": "x@acme.example", "role": "owner"}, expect=403)


async def test_the_box_sees_everybody_and_keeps_them_out(people, admin, owner):
    found = await admin.get("/users?limit=1")
    assert [one["email"] for one in found["items"]] == [ADDRESS]
    rest = await admin.get(f"/users?cursor={found['cursor']}")
    (ada,) = rest["items"]
    assert rest["cursor"] == ""
    assert [one["email"] for one in (await admin.get("/users?tenant=acme"))["items"]] == [
        "ada@acme.example"
    ]
    me = found["items"][0]
    assert me["box_role"] == "admin"
    await admin.ask("PATCH", f"/users/{me['id']}/role", {"role": "support"}, expect=409)
    assert (await admin.post(f"/users/{ada['id']}/end-sessions")) == {"sessions": 2}
    await owner.get("/session", expect=401)
    await admin.ask("PATCH", f"/users/{me['id']}/role?tenant=acme", {"role": "owner"}, expect=404)
    await admin.post(f"/users/{ada['id']}/disable", expect=409)  # the last owner of acme
    await admin.post("/invitations", {"email": "sue@box.test", "role": "support"}, expect=201)
    (asked,) = (await admin.get("/invitations"))["items"]
    assert asked["tenant_id"] == 0
    await admin.ask("DELETE", f"/invitations/{asked['id']}", expect=204)
