"""Users, roles, invitations, links and the first admin, on both databases."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from appliance.core import clock
from appliance.core.database import reading
from appliance.core.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    SignInError,
    TooManyError,
    UsageError,
)
from appliance.core.scope import Scope
from appliance.people import Client, Opened, first_admin_link, tidy
from appliance.people.invitations import MOST_OPEN
from appliance.rights import Right, Role
from appliance.tenancy import AuditLog
from tests.support.people import HERE, PASSWORD, SYSTEM, URL, people

__all__ = ["people"]

NEW = "another good password"


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


async def test_the_first_admin_comes_by_a_link_and_there_is_no_second_first(people):
    url = await first_admin_link(people.engine, URL, people.now)
    assert url.startswith(f"{URL}/welcome/")
    newer = await first_admin_link(people.engine, URL, people.now)
    welcome = people.desk.first_admin.welcome
    given = {"email": "root@box.test", "name": "Root", "password": PASSWORD}
    with pytest.raises(NotFoundError):
        await welcome(token_of(url), HERE, **given)
    with pytest.raises(UsageError) as error:
        await welcome(token_of(newer), HERE, **{**given, "password": "short"})
    assert error.value.field == "password"
    opened = await welcome(token_of(newer), HERE, **given)
    assert (await people.desk.sessions.actor_of(opened.token)).may(Right.TENANTS_MANAGE)
    assert await first_admin_link(people.engine, URL, people.now) is None
    assert [one[2] for one in await people.audit()] == ["user.first-admin", "user.sign-in"]
    entries = await AuditLog(people.engine).list(SYSTEM)
    assert {one.address for one in entries} == {HERE.address}
    assert (await people.desk.sessions.actor_of(opened.token, "::1")).scope.address == "::1"


async def test_the_first_admins_link_used_twice_at_once_makes_one_admin(people):
    url = await first_admin_link(people.engine, URL, people.now)
    ends = await asyncio.gather(
        *(
            people.desk.first_admin.welcome(
                token_of(url), HERE, email=f"root{n}@box.test", name="Root", password=PASSWORD
            )
            for n in range(3)
        ),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == [
        "NotFoundError",
        "NotFoundError",
        "Opened",
    ]
    assert len(await people.desk.users.list(SYSTEM)) == 1


async def test_an_invitation_is_a_letter_with_a_link_that_works_once(people, now):
    acme = await people.tenant("acme")
    scope = Scope.tenant(acme.id, by="ada@acme.example")
    made = await people.desk.invitations.invite(scope, email="Bob@Acme.example", role="sender")
    assert (made.email, made.role, made.tenant_id) == ("bob@acme.example", Role.SENDER, acme.id)
    to, subject, text = people.box.letters[0]
    assert (to, subject) == ("bob@acme.example", "You are invited to acme on box.test")
    assert "ada@acme.example invites you" in text
    token = people.box.token(to)
    assert await people.desk.invitations.look(token) == (made, False)
    with pytest.raises(UsageError):
        await people.desk.invitations.accept(token, HERE, name="", password=NEW)
    opened = await people.desk.invitations.accept(token, HERE, name="Bob", password=NEW)
    actor = await people.desk.sessions.actor_of(opened.token)
    assert (actor.scope.tenant_id, actor.may(Right.MESSAGES_SEND)) == (acme.id, True)
    with pytest.raises(NotFoundError):
        await people.desk.invitations.accept(token, HERE, name="Bob", password=NEW)
    assert await people.desk.invitations.list(scope) == ()
    assert [one for one in await people.audit() if "invitation" in one[2]] == [
        (acme.id, "ada@acme.example", "invitation.create"),
        (acme.id, "bob@acme.example", "invitation.accept"),
    ]


async def test_an_invitation_accepted_twice_at_once_is_accepted_once(people):
    acme = await people.tenant("acme")
    _, url = await people.desk.invitations.link(
        SYSTEM, email="bob@acme.example", role="owner", tenant_id=acme.id
    )
    ends = await asyncio.gather(
        *(
            people.desk.invitations.accept(token_of(url), HERE, name=f"Bob {n}", password=PASSWORD)
            for n in range(3)
        ),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == [
        "NotFoundError",
        "NotFoundError",
        "Opened",
    ]


async def test_who_has_an_account_keeps_it_and_gains_the_role(people):
    acme, other = await people.tenant("acme"), await people.tenant("other")
    await people.member("ada@acme.example", "owner", acme.id)
    _, url = await people.desk.invitations.link(
        SYSTEM, email="ada@acme.example", role="viewer", tenant_id=other.id
    )
    assert await people.desk.invitations.accept(token_of(url), HERE) is None
    await people.sign_in("ada@acme.example")
    user = await people.desk.users.find(SYSTEM, "ada@acme.example")
    assert [(one.tenant_id, one.role) for one in user.memberships] == [
        (acme.id, Role.OWNER),
        (other.id, Role.VIEWER),
    ]


async def test_an_invitation_that_is_old_withdrawn_or_replaced_is_worth_nothing(people, now):
    acme = await people.tenant("acme")
    scope = Scope.tenant(acme.id, by="ada")
    invitations = people.desk.invitations
    _, first = await invitations.link(scope, email="bob@acme.example", role="viewer")
    made, second = await invitations.link(scope, email="bob@acme.example", role="viewer")
    with pytest.raises(NotFoundError):
        await invitations.look(token_of(first))
    await invitations.withdraw(scope, made.id)
    with pytest.raises(NotFoundError):
        await invitations.look(token_of(second))
    with pytest.raises(NotFoundError):
        await invitations.withdraw(scope, made.id)
    _, third = await invitations.link(scope, email="bob@acme.example", role="viewer")
    now.move(7 * clock.DAY)
    with pytest.raises(NotFoundError):
        await invitations.accept(token_of(third), HERE, name="Bob", password=PASSWORD)


async def test_a_tenant_asks_into_itself_and_into_none_of_the_boxs_roles(people):
    acme, other = await people.tenant("acme"), await people.tenant("other")
    scope = Scope.tenant(acme.id, by="ada")
    invite = people.desk.invitations.invite
    with pytest.raises(NotFoundError):
        await invite(scope, email="bob@acme.example", role="owner", tenant_id=other.id)
    with pytest.raises(UsageError) as error:
        await invite(scope, email="bob@acme.example", role="admin")
    assert error.value.field == "role"
    with pytest.raises(NotFoundError):
        await invite(SYSTEM, email="bob@acme.example", role="owner", tenant_id=999)
    for email in ("bob", "bob@localhost", "a\r\nBcc: x@acme.example", "bob@acme.example\n"[:3]):
        with pytest.raises(UsageError) as error:
            await invite(scope, email=email, role="owner")
        assert error.value.field == "email"
    assert people.box.letters == []


async def test_invitations_to_one_address_and_of_one_tenant_are_bounded(people, monkeypatch):
    acme = await people.tenant("acme")
    scope = Scope.tenant(acme.id, by="ada")
    for _ in range(5):
        await people.desk.invitations.invite(scope, email="bob@acme.example", role="viewer")
    with pytest.raises(TooManyError):
        await people.desk.invitations.invite(scope, email="bob@acme.example", role="viewer")
    assert MOST_OPEN > 1
    monkeypatch.setattr("appliance.people.invitations.MOST_OPEN", 2)
    await people.desk.invitations.invite(scope, email="eve@acme.example", role="viewer")
    with pytest.raises(ConflictError, match="withdraw"):
        await people.desk.invitations.invite(scope, email="zoe@acme.example", role="viewer")


async def test_another_tenants_people_and_invitations_are_not_there(people):
    acme, other = await people.tenant("acme"), await people.tenant("other")
    await people.member("ada@acme.example", "owner", acme.id)
    await people.member("bob@acme.example", "viewer", acme.id)
    mallory = await people.member("mallory@other.example", "owner", other.id)
    scope = (await people.desk.sessions.actor_of(mallory.token)).scope
    asked, _ = await people.desk.invitations.link(
        SYSTEM, email="zoe@acme.example", role="viewer", tenant_id=acme.id
    )
    users, bob = people.desk.users, await people.desk.users.find(SYSTEM, "bob@acme.example")
    assert [one.email for one in await users.list(scope)] == ["mallory@other.example"]
    assert await people.desk.invitations.list(scope) == ()
    for attempt in (
        users.get(scope, bob.id),
        users.find(scope, bob.email),
        users.set_role(scope, bob.id, "owner"),
        users.set_role(scope, bob.id, "owner", tenant_id=acme.id),
        users.take_role(scope, bob.id, tenant_id=acme.id),
        users.remove(scope, bob.id),
        people.desk.invitations.withdraw(scope, asked.id),
        people.desk.password_links.link_for(scope, bob.id),
    ):
        with pytest.raises(NotFoundError):
            await attempt
    for attempt in (
        users.disable(scope, bob.id),
        users.enable(scope, bob.id),
        users.rename(scope, bob.id, "Bob"),
        users.end_sessions(scope, bob.id),
        users.drop_second_factor(scope, bob.id),
        users.create(scope, email="x@acme.example", name="X", role="admin"),
    ):
        with pytest.raises(ForbiddenError):
            await attempt
    assert await users.get(SYSTEM, bob.id) == bob


async def test_a_tenant_is_not_told_what_its_member_is_elsewhere(people):
    acme, other = await people.tenant("acme"), await people.tenant("other")
    await people.member("ada@acme.example", "owner", acme.id)
    user = await people.desk.users.find(SYSTEM, "ada@acme.example")
    await people.desk.users.set_role(SYSTEM, user.id, "sender", tenant_id=other.id)
    await people.desk.users.set_role(SYSTEM, user.id, "support")
    seen = await people.desk.users.get(Scope.tenant(acme.id), user.id)
    assert seen.box_role is None
    assert [one.tenant_id for one in seen.memberships] == [acme.id]
    whole = await people.desk.users.get(SYSTEM, user.id)
    assert (whole.box_role, len(whole.memberships)) == (Role.SUPPORT, 2)


async def test_the_last_admin_and_the_last_owner_stay(people):
    await people.admin()
    acme = await people.tenant("acme")
    await people.member("ada@acme.example", "owner", acme.id)
    await people.member("bob@acme.example", "viewer", acme.id)
    users = people.desk.users
    root, ada, bob = await users.list(SYSTEM)
    scope = Scope.tenant(acme.id, by="bob")
    for attempt in (
        users.set_role(SYSTEM, root.id, "support"),
        users.take_role(SYSTEM, root.id),
        users.remove(SYSTEM, root.id),
        users.disable(SYSTEM, root.id),
        users.set_role(scope, ada.id, "manager"),
        users.remove(scope, ada.id),
        users.remove(SYSTEM, ada.id),
        users.disable(SYSTEM, ada.id),
    ):
        with pytest.raises(ConflictError, match="the last"):
            await attempt
    await users.set_role(scope, bob.id, "owner")
    await users.remove(scope, ada.id)
    with pytest.raises(NotFoundError):
        await users.get(SYSTEM, ada.id)  # it was the only role she had


async def test_two_owners_who_remove_each_other_at_once_do_not_both_go(people):
    acme = await people.tenant("acme")
    await people.member("ada@acme.example", "owner", acme.id)
    await people.member("bob@acme.example", "owner", acme.id)
    users, scope = people.desk.users, Scope.tenant(acme.id, by="both")
    ada, bob = await users.list(SYSTEM)
    ends = await asyncio.gather(
        users.remove(scope, ada.id), users.remove(scope, bob.id), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ends) == ["ConflictError", "NoneType"]


async def test_an_account_that_is_made_disabled_enabled_and_removed(people):
    await people.admin()
    users = people.desk.users
    made = await users.create(SYSTEM, email="sue@box.test", name="  Sue  Ann ", role="support")
    assert (made.name, made.has_password, made.box_role) == ("Sue Ann", False, Role.SUPPORT)
    with pytest.raises(ConflictError):
        await users.create(SYSTEM, email="SUE@box.test", name="Sue", role="support")
    url = await people.desk.password_links.link_for(SYSTEM, made.id)
    assert await people.desk.password_links.use(token_of(url), NEW) == "sue@box.test"
    opened = await people.sign_in("sue@box.test", NEW)
    assert (await users.disable(SYSTEM, made.id)).disabled_at
    assert not await people.is_alive(opened)
    await users.enable(SYSTEM, made.id)
    opened = await people.sign_in("sue@box.test", NEW)
    assert await users.end_sessions(SYSTEM, made.id) == 1
    assert (await users.rename(SYSTEM, made.id, "Susan")).name == "Susan"
    await users.remove(SYSTEM, made.id)
    with pytest.raises(NotFoundError):
        await users.find(SYSTEM, "sue@box.test")
    assert [one[2] for one in await people.audit() if one[1] == "test"] == [
        "user.create",
        "user.password-link",
        "user.disable",
        "user.enable",
        "user.end-sessions",
        "user.rename",
        "user.remove",
    ]


async def test_pages_of_users_follow_one_another(people):
    acme = await people.tenant("acme")
    for n in range(5):
        await people.member(f"n{n}@acme.example", "owner", acme.id)
    users, scope = people.desk.users, Scope.tenant(acme.id)
    first = await users.list(scope, limit=3)
    second = await users.list(scope, after=first[-1].id, limit=3)
    assert [one.email[:2] for one in (*first, *second)] == ["n0", "n1", "n2", "n3", "n4"]


async def test_a_forgotten_password_is_replaced_by_a_link_in_a_letter(people, now):
    opened = await people.admin()
    await people.desk.password_links.ask("Root@Box.test", HERE)
    await people.desk.letters.settle()
    token = people.box.token("root@box.test")
    with pytest.raises(UsageError):
        await people.desk.password_links.use(token, "short")
    assert await people.desk.password_links.use(token, NEW) == "root@box.test"
    assert not await people.is_alive(opened)
    with pytest.raises(SignInError):
        await people.sign_in("root@box.test")
    await people.sign_in("root@box.test", NEW)
    with pytest.raises(NotFoundError):
        await people.desk.password_links.use(token, NEW)


async def test_asking_tells_nothing_of_who_has_an_account_and_does_its_work_later(people):
    await people.admin()
    acme = await people.tenant("acme")
    await people.member("ada@acme.example", "viewer", acme.id)
    user = await people.desk.users.find(SYSTEM, "ada@acme.example")
    await people.desk.users.disable(SYSTEM, user.id)
    for email in ("nobody@box.test", "ada@acme.example", "no address", "root@box.test"):
        await people.desk.password_links.ask(email, HERE)
    assert people.box.letters == []  # whether one is sent is found out after the answer
    await people.desk.letters.settle()
    assert [to for to, _, _ in people.box.letters] == ["root@box.test"]


async def test_letters_to_one_address_are_slowed_down_for_everybody(people):
    await people.admin()
    for number in range(5):
        await people.desk.password_links.ask("root@box.test", Client(address=f"192.0.2.{number}"))
    for email in ("root@box.test", "ROOT@box.test"):
        with pytest.raises(TooManyError):
            await people.desk.password_links.ask(email, Client(address="192.0.2.99"))
    await people.desk.letters.settle()


async def test_a_link_is_old_after_an_hour_and_a_newer_one_takes_its_stead(people, now):
    await people.admin()
    root = await people.desk.users.find(SYSTEM, "root@box.test")
    links = people.desk.password_links
    first = token_of(await links.link_for(SYSTEM, root.id))
    second = token_of(await links.link_for(SYSTEM, root.id))
    with pytest.raises(NotFoundError):
        await links.use(first, NEW)
    now.move(clock.HOUR)
    with pytest.raises(NotFoundError):
        await links.use(second, NEW)
    third = token_of(await links.link_for(SYSTEM, root.id))
    ends = await asyncio.gather(
        *(links.use(third, f"{NEW} {n}") for n in range(3)), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ends) == ["NotFoundError", "NotFoundError", "str"]


async def test_a_link_of_one_kind_is_none_of_another(people):
    await people.admin()
    root = await people.desk.users.find(SYSTEM, "root@box.test")
    token = token_of(await people.desk.password_links.link_for(SYSTEM, root.id))
    with pytest.raises(NotFoundError):
        await people.desk.invitations.look(token)
    with pytest.raises(NotFoundError):
        await people.desk.first_admin.look(token)


async def test_a_new_password_ends_the_other_sessions_and_changes_the_token(people):
    opened = await people.admin()
    other = await people.sign_in("root@box.test")
    seen = await people.desk.sessions.seen(opened.token)
    change = people.desk.account.change_password
    with pytest.raises(SignInError) as error:
        await change(seen, opened.token, HERE, old="not mine", new=NEW)
    assert error.value.field == "password"
    for bad in ("short", "root@box.test", "aaaaaaaaaaaaaaaa", "x" * 2000):
        with pytest.raises(UsageError) as error:
            await change(seen, opened.token, HERE, old=PASSWORD, new=bad)
        assert error.value.field == "new"
    fresh = await change(seen, opened.token, HERE, old=PASSWORD, new=NEW)
    assert isinstance(fresh, Opened)
    assert [await people.is_alive(one) for one in (opened, other, fresh)] == [False, False, True]
    await people.sign_in("root@box.test", NEW)
    await people.desk.letters.settle()
    assert people.box.letters[-1][1] == "Your password for box.test was changed"
    assert (await people.desk.account.rename(seen, "Ruth")).name == "Ruth"
    assert (await people.desk.account.user(seen)).name == "Ruth"


async def test_no_secret_stands_in_the_store_or_in_the_audit_log(
    people, control_location, tmp_path
):
    opened = await people.admin()
    await people.desk.password_links.ask("root@box.test", HERE)
    await people.desk.letters.settle()
    token = people.box.token("root@box.test")
    await people.engine.dispose()
    if not isinstance(control_location, str):
        octets = b"".join(
            path.read_bytes() for path in tmp_path.glob("control.db*") if path.is_file()
        )
        for secret in (opened.token, opened.csrf, token, PASSWORD):
            assert secret.encode() not in octets
        assert b"$argon2id$" in octets


async def test_what_is_over_is_forgotten_and_the_rest_is_not(people, now):
    await people.admin()
    acme = await people.tenant("acme")
    await people.desk.passkeys.begin_sign_in(HERE)
    await people.desk.invitations.link(
        SYSTEM, email="old@acme.example", role="viewer", tenant_id=acme.id
    )
    with pytest.raises(SignInError):
        await people.sign_in("root@box.test", "wrong")
    now.move(7 * clock.DAY)
    fresh = await people.sign_in("root@box.test")
    await people.desk.invitations.link(
        SYSTEM, email="new@acme.example", role="viewer", tenant_id=acme.id
    )
    await tidy(people.engine, people.keys, people.options, now)
    counts = {}
    async with reading(people.engine) as connection:
        for table in ("person_session", "person_link", "sign_in_ceremony", "sign_in_guess"):
            found = await connection.execute(text(f"SELECT count(*) FROM {table}"))
            counts[table] = found.scalar_one()
    # Of the counters: the address's that asked, and the invited one's.
    assert counts == {
        "person_session": 1,
        "person_link": 1,
        "sign_in_ceremony": 0,
        "sign_in_guess": 2,
    }
    assert await people.is_alive(fresh)
