"""The pages of users and invitations, over real rooms."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.core.scope import Scope
from appliance.rights import Role
from tests.support.api import SYSTEM, open_api
from tests.support.console import HERE, PASSWORD, visitor

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-users")]

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(
        tmp_path_factory.mktemp("box"), "acme", "globex", public_url="https://box.test"
    ) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def root(api):
    return await visitor(api, "admin")


@pytest_asyncio.fixture(loop_scope="module")
async def bob(api):
    """A sender of acme; the number of the user."""
    found = [
        one for one in await api.rooms.people.users.list(SYSTEM) if one.email == "bob@acme.test"
    ]
    if not found:
        made = await api.rooms.people.users.create(
            SYSTEM, email="bob@acme.test", name="Bob", role="sender", tenant_id=api.tenants["acme"]
        )
        return made.id
    return found[0].id


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(api):
    """A member of globex."""
    found = [
        one for one in await api.rooms.people.users.list(SYSTEM) if one.email == "x@globex.test"
    ]
    if found:
        return found[0].id
    made = await api.rooms.people.users.create(
        SYSTEM, email="x@globex.test", name="X", role="owner", tenant_id=api.tenants["globex"]
    )
    return made.id


async def role_of(api, user_id):
    return (await api.rooms.people.users.get(SYSTEM, user_id)).memberships[0].role


async def test_a_tenant_sees_its_own_people(ada, bob, stranger):
    page = await ada.get("/users")
    assert page.texts("tbody td.title .second") == ["owner@acme.test", "bob@acme.test"]
    assert (await ada.get("/users?q=BOB")).texts("tbody td.title") == ["Bobbob@acme.test"]
    assert "globex" not in page.html


async def test_the_box_sees_everybody_or_its_staff(root, bob, stranger):
    page = await root.get("/users")
    assert any("x@globex.test" in one and "Owner, globex" in one for one in page.texts("tbody tr"))
    staff = await root.get("/users?show=staff")
    assert staff.texts("tbody td.title .second") == ["admin@box.test"]


async def test_somebody_is_invited_by_a_letter_again_and_withdrawn(api, ada, monkeypatch):
    sent = []

    async def send(to, _subject, text):
        sent.append((to, text))

    monkeypatch.setattr(api.rooms.people.letters, "send", send)
    wanted = {"email": "Cleo@acme.test", "role": "manager", "how": "letter"}
    page = await ada.follow(await ada.submit("/users/invite", wanted))
    assert "A letter is on its way" in page.text(".toast")
    assert "cleo@acme.test" in page.text("tbody")
    assert sent[0][0] == "cleo@acme.test"
    (asked,) = await api.rooms.people.invitations.list(Scope.tenant(api.tenants["acme"]))
    page = await ada.follow(await ada.submit(f"/users/invitations/{asked.id}/again"))
    assert len(sent) == 2
    assert sent[0][1] != sent[1][1]
    (again,) = await api.rooms.people.invitations.list(Scope.tenant(api.tenants["acme"]))
    assert again.role is Role.MANAGER
    page = await ada.follow(await ada.submit(f"/users/invitations/{again.id}/withdraw"))
    assert "Withdrawn" in page.text(".toast")
    assert "cleo@acme.test" not in page.text("main")


async def test_a_link_is_handed_over_by_hand_and_shown_once(api, ada):
    wanted = {"email": "dan@acme.test", "role": "viewer", "how": "link"}
    page = await ada.submit("/users/invite", wanted, expect=200)
    url = page.text("#link")
    assert url.startswith("https://box.test/invitation/")
    assert url.rpartition("/")[2] not in (await ada.get("/users")).html
    opened = await api.rooms.people.invitations.accept(
        url.rpartition("/")[2], HERE, name="Dan", password=PASSWORD
    )
    assert opened.tenant_id == api.tenants["acme"]


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"email": "nobody", "role": "viewer", "how": "letter"}, "#email-note"),
        ({"email": "e@acme.test", "role": "admin", "how": "link"}, "#role-note"),
        ({"email": "e@acme.test", "role": "king", "how": "link"}, "#role-note"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(ada, fields, note):
    page = await ada.submit("/users/invite", fields, expect=422)
    assert page.all("dialog#invite[data-open]")
    assert page.text(note)
    assert page.value("email") == fields["email"]


async def test_a_role_is_changed(api, ada, bob):
    page = await ada.follow(await ada.submit(f"/users/{bob}/role", {"role": "manager"}))
    assert "bob@acme.test is manager" in page.text(".toast")
    assert await role_of(api, bob) is Role.MANAGER


async def test_the_last_owner_stays_and_is_told_why(api, ada):
    me = ada.opened and (await api.rooms.people.users.find(SYSTEM, "owner@acme.test")).id
    page = await ada.submit(f"/users/{me}/role", {"role": "viewer"}, expect=422)
    assert page.all("dialog#role[data-open]")
    assert "last owner" in page.text("#new-role-note")
    page = await ada.submit(f"/users/{me}/remove", expect=422)
    assert page.all("dialog#remove[data-open]")
    assert "last owner" in page.text("#remove .note")
    assert await role_of(api, me) is Role.OWNER


async def test_the_last_admin_stays_and_is_told_why(api, root):
    me = (await api.rooms.people.users.find(SYSTEM, "admin@box.test")).id
    page = await root.submit(f"/users/{me}/disable", expect=422)
    assert page.all("dialog#disable[data-open]")
    assert "last admin" in page.text("#disable .note")


async def test_an_account_is_disabled_enabled_and_signed_out(api, root, bob):
    page = await root.follow(await root.submit(f"/users/{bob}/disable"))
    assert "Disabled" in page.text("h1 .badge")
    await root.submit(f"/users/{bob}/enable")
    assert not (await api.rooms.people.users.get(SYSTEM, bob)).disabled_at
    assert "0 sessions" in (
        await root.follow(await root.submit(f"/users/{bob}/end-sessions"))
    ).text(".toast")
    assert "Second factor removed" in (
        await root.follow(await root.submit(f"/users/{bob}/drop-second-factor"))
    ).text(".toast")


async def test_an_admin_hands_over_a_link_to_a_new_password(api, root, ada, bob):
    page = await root.submit(f"/users/{bob}/password-link", expect=200)
    token = page.text("#link").rpartition("/")[2]
    assert await api.rooms.people.password_links.use(token, PASSWORD) == "bob@acme.test"
    await ada.submit(f"/users/{bob}/password-link", expect=403)


async def test_a_member_is_removed(api, ada, bob):
    page = await ada.follow(await ada.submit(f"/users/{bob}/remove"))
    assert "Removed" in page.text(".toast")
    assert "bob@acme.test" not in page.text("tbody")


async def test_somebody_of_another_tenant_is_not_there(api, ada, stranger):
    here = f"/users/{stranger}"
    await ada.get(here, expect=404)
    for what in (
        "role",
        "remove",
        "disable",
        "enable",
        "end-sessions",
        "drop-second-factor",
        "password-link",
    ):
        page = await ada.follow(
            await ada.submit(f"{here}/{what}", {"role": "viewer"}, back="/users")
        )
        assert "There is no user" in page.text(".toast"), what
    made, _ = await api.rooms.people.invitations.link(
        SYSTEM, email="y@globex.test", role="viewer", tenant_id=api.tenants["globex"]
    )
    for what in ("again", "withdraw"):
        page = await ada.follow(
            await ada.submit(f"/users/invitations/{made.id}/{what}", back="/users")
        )
        assert "no open invitation" in page.text(".toast")
    assert await role_of(api, stranger) is Role.OWNER


async def test_who_may_not_manage_sees_no_button_and_is_refused(api, bob):
    mia = await visitor(api, "manager", "acme", "mia@acme.test")
    page = await mia.get(f"/users/{bob}")
    assert not page.all("dialog#role")
    await mia.submit(f"/users/{bob}/role", {"role": "owner"}, expect=403)
    await mia.submit("/users/invite", {"email": "z@acme.test"}, expect=403)
    await (await visitor(api, "viewer", "acme", "vic@acme.test")).get("/users", expect=403)


async def test_names_are_text_and_nothing_else(api, root, ada):
    made = await api.rooms.people.users.create(
        SYSTEM, email="evil@acme.test", name=EVIL, role="viewer", tenant_id=api.tenants["acme"]
    )
    for who in (ada, root):
        for path in ("/users", f"/users/{made.id}"):
            page = await who.get(path)
            assert "<script>alert" not in page.html
            assert "<img src=x" not in page.html
            assert EVIL in page.text("main")
