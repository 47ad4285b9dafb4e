"""Sign-in on both databases: one answer for every failure, slow-down, sessions that end when they must."""

from __future__ import annotations

import asyncio

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from appliance.core import clock
from appliance.core.database import transaction
from appliance.core.errors import ForbiddenError, NotFoundError, SignInError, TooManyError
from appliance.core.scope import Scope
from appliance.people import Client
from appliance.people.guessing import FREE_TRIES, FREE_TRIES_OF_CLIENT, Guessing
from appliance.people.sign_in import WRONG
from appliance.rights import Right
from tests.support.people import HERE, PASSWORD, SYSTEM, People, people

__all__ = ["people"]

ELSEWHERE = Client(address="198.51.100.9", agent="curl")


async def refused(people: People, email: str, password: str, client: Client = HERE) -> str:
    with pytest.raises(SignInError) as error:
        await people.desk.sign_in.with_password(email, password, client)
    return str(error.value)


async def test_a_password_opens_a_session_with_the_rights_of_the_role(people):
    await people.admin()
    opened = await people.sign_in(" ROOT@box.test ")
    actor = await people.desk.sessions.actor_of(opened.token)
    assert (actor.name, actor.scope) == ("root@box.test", Scope.system(by="root@box.test"))
    assert actor.may(Right.TENANTS_MANAGE)
    assert (await people.audit())[-1] == (0, "root@box.test", "user.sign-in")


async def test_unknown_wrong_and_disabled_get_one_answer_after_the_same_work(people):
    await people.admin()
    acme = await people.tenant("acme")
    await people.member("ada@acme.example", "owner", acme.id)
    await people.member("bob@acme.example", "owner", acme.id)
    gone = await people.desk.users.find(SYSTEM, "bob@acme.example")
    await people.desk.users.disable(SYSTEM, gone.id)
    await refused(people, "warm@up.example", "the first one makes nobody's hash")
    said, compared = [], []
    for email, password in (
        ("nobody@acme.example", PASSWORD),
        ("ada@acme.example", "not her password"),
        ("bob@acme.example", PASSWORD),
        ("no address at all", PASSWORD),
        ("ada@acme.example", "x" * 100_000),
    ):
        before = people.passwords.compared
        said.append(await refused(people, email, password))
        compared.append(people.passwords.compared - before)
    assert said == [WRONG] * 5
    assert compared == [1] * 5


async def test_a_guesser_waits_longer_after_each_try_and_a_restart_forgets_nothing(people, now):
    await people.admin()
    for _ in range(FREE_TRIES):
        await refused(people, "root@box.test", "a wrong one")
    compared = people.passwords.compared
    people.desk = people.reopened()
    waits = []
    for _ in range(12):
        with pytest.raises(TooManyError) as error:
            await people.sign_in("root@box.test")
        waits.append(error.value.seconds)
        now.move(error.value.seconds * clock.SECOND)
        await refused(people, "root@box.test", "a wrong one")
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert people.passwords.compared - compared == 12  # who waits costs nothing
    now.move(15 * clock.MINUTE)
    await people.sign_in("root@box.test")
    await refused(people, "root@box.test", "a wrong one")  # counted from one again


async def test_an_address_nobody_has_is_slowed_down_like_any_other(people):
    for _ in range(FREE_TRIES):
        await refused(people, "nobody@box.test", "a wrong one")
    with pytest.raises(TooManyError):
        await people.sign_in("nobody@box.test")


async def test_a_client_that_tries_many_accounts_is_slowed_down_and_others_are_not(people):
    await people.admin()
    for number in range(FREE_TRIES_OF_CLIENT):
        await refused(people, f"n{number}@box.test", "a wrong one", ELSEWHERE)
    with pytest.raises(TooManyError):
        await people.sign_in("root@box.test", client=ELSEWHERE)
    await people.sign_in("root@box.test")


async def test_tries_at_once_are_counted_one_by_one(people):
    await people.admin()
    tries = [
        people.desk.sign_in.with_password("root@box.test", f"wrong {n}", HERE) for n in range(12)
    ]
    ends = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(end) for end in ends].count(SignInError) == FREE_TRIES
    assert [type(end) for end in ends].count(TooManyError) == 12 - FREE_TRIES


async def test_counters_are_forgotten_after_an_hour(people, now):
    guessing = Guessing(people.engine, now)
    for number in range(3):
        await guessing.count(f"account:{number}", HERE)
    assert await guessing.rows() == 4
    now.move(clock.HOUR + 1)
    await guessing.forget()
    assert await guessing.rows() == 0


async def test_a_hash_of_other_parameters_is_made_anew_at_the_next_sign_in(people):
    await people.admin()
    people.passwords._hasher = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)
    compared = people.passwords.is_old
    olds = []
    people.passwords.is_old = lambda stored: olds.append(compared(stored)) or olds[-1]
    await people.sign_in("root@box.test")
    await people.sign_in("root@box.test")
    assert olds == [True, False]


async def test_a_session_that_somebody_planted_is_worth_nothing_after_sign_in(people):
    """Fixation: a token never survives a sign-in, and one that the box did not make is none."""
    first = await people.admin()
    came_with = Client(address="192.0.2.7", token=first.token)
    second = await people.sign_in("root@box.test", client=came_with)
    assert not await people.is_alive(first)
    assert await people.is_alive(second)
    await people.sign_in("root@box.test", client=Client(address="192.0.2.7", token="planted"))
    assert await people.is_alive(second)
    assert await people.desk.sessions.actor_of("planted") is None
    assert await people.desk.sessions.actor_of("") is None


async def test_a_changed_cookie_is_no_session(people):
    opened = await people.admin()
    for token in (opened.token[:-1] + "A", opened.token + "x", opened.token.upper(), "x" * 9000):
        assert (token == opened.token) or await people.desk.sessions.actor_of(token) is None


async def test_a_csrf_token_is_of_its_session_alone(people):
    one = await people.admin()
    other = await people.sign_in("root@box.test")
    sessions = people.desk.sessions
    assert sessions.csrf_matches(one.token, one.csrf)
    assert not sessions.csrf_matches(other.token, one.csrf)
    assert not sessions.csrf_matches(one.token, "")
    people.keys = type(people.keys)({1: bytes(32), 2: bytes([1]) * 32})
    assert people.reopened().sessions.csrf_matches(one.token, one.csrf)


async def test_a_session_ends_when_it_rests_too_long_and_when_it_is_too_old(people, now):
    opened = await people.admin()
    for _ in range(20):
        now.move(8 * clock.HOUR - 1)
        assert await people.is_alive(opened)
    now.move(8 * clock.HOUR)
    assert not await people.is_alive(opened)  # by now it is too old
    fresh = await people.sign_in("root@box.test")
    now.move(8 * clock.HOUR)
    assert not await people.is_alive(fresh)
    await people.desk.sessions.forget()


async def test_when_it_was_seen_is_written_at_most_once_a_minute(people, now):
    opened = await people.admin()
    began = now.at
    seen = []
    for _ in range(3):
        now.move(clock.MINUTE // 2)
        (one,) = await people.desk.sessions.list(opened.token)
        seen.append(one.seen_at - began)
    assert seen == [0, clock.MINUTE, clock.MINUTE]


async def test_ones_own_sessions_are_listed_and_ended_and_others_are_not(people):
    await people.admin()
    acme = await people.tenant("acme")
    ada = await people.member("ada@acme.example", "owner", acme.id)
    mine = await people.sign_in("root@box.test", client=ELSEWHERE)
    third = await people.sign_in("root@box.test")
    sessions = people.desk.sessions
    listed = await sessions.list(mine.token)
    assert len(listed) == 3
    assert [(one.address, one.agent) for one in listed if one.is_this] == [("198.51.100.9", "curl")]
    (hers,) = await sessions.list(ada.token)
    with pytest.raises(NotFoundError):
        await sessions.end(mine.token, hers.id)
    await sessions.end(mine.token, next(one.id for one in listed if not one.is_this))
    assert await sessions.end_others(mine.token) == 1
    assert [await people.is_alive(one) for one in (mine, third, ada)] == [True, False, True]
    await sessions.sign_out(mine.token)
    with pytest.raises(SignInError):
        await sessions.list(mine.token)


async def test_one_person_has_no_more_than_so_many_sessions(people, now, monkeypatch):
    monkeypatch.setattr("appliance.people.sessions.MOST_OF_ONE", 3)
    first = await people.admin()
    for _ in range(3):
        now.move(1)
        last = await people.sign_in("root@box.test")
    assert len(await people.desk.sessions.list(last.token)) == 3
    assert not await people.is_alive(first)


async def test_an_admin_enters_a_tenants_view_marked_and_audited(people):
    admin = await people.admin()
    acme = await people.tenant("acme")
    sessions = people.desk.sessions
    inside = await sessions.enter(admin.token, acme.id)
    assert not await people.is_alive(admin)
    seen = await sessions.seen(inside.token)
    assert seen.is_visiting
    assert seen.actor.scope.tenant_id == acme.id
    assert seen.actor.name == "root@box.test (of the box)"
    outside = await sessions.enter(inside.token, 0)
    assert (await sessions.actor_of(outside.token)).scope.is_system
    assert [one for one in await people.audit() if one[0] == acme.id] == [
        (acme.id, "test", "tenant.create"),
        (acme.id, "root@box.test", "tenant.enter"),
        (acme.id, "root@box.test", "tenant.leave"),
    ]
    with pytest.raises(NotFoundError):
        await sessions.enter(outside.token, 999)


async def test_a_token_that_is_changed_twice_at_once_leads_one_way(people):
    admin = await people.admin()
    tenants = [(await people.tenant(name)).id for name in ("one", "two", "three")]
    ends = await asyncio.gather(
        *(people.desk.sessions.enter(admin.token, number) for number in tenants),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["Opened", "SignInError", "SignInError"]
    assert [one[2] for one in await people.audit()].count("tenant.enter") == 1


async def test_a_member_enters_own_tenants_and_no_others(people):
    acme, other = await people.tenant("acme"), await people.tenant("other")
    ada = await people.member("ada@acme.example", "viewer", acme.id)
    assert (acme.id, "ada@acme.example", "user.sign-in") in await people.audit()
    sessions = people.desk.sessions
    for tenant_id in (other.id, 0, 999, -1):
        with pytest.raises(NotFoundError):
            await sessions.enter(ada.token, tenant_id)
    assert await people.is_alive(ada)
    user = await people.desk.users.find(SYSTEM, "ada@acme.example")
    await people.desk.users.set_role(SYSTEM, user.id, "owner", tenant_id=other.id)
    ada = await people.sign_in("ada@acme.example")
    inside = await sessions.enter(ada.token, other.id)
    seen = await sessions.seen(inside.token)
    assert (seen.actor.scope.tenant_id, seen.is_visiting) == (other.id, False)
    assert seen.actor.may(Right.PEOPLE_MANAGE)


async def test_a_role_that_changes_or_goes_ends_the_sessions(people):
    acme = await people.tenant("acme")
    owner = await people.member("owner@acme.example", "owner", acme.id)
    ada = await people.member("ada@acme.example", "viewer", acme.id)
    scope = (await people.desk.sessions.actor_of(owner.token)).scope
    user = await people.desk.users.find(scope, "ada@acme.example")
    await people.desk.users.set_role(scope, user.id, "manager")
    assert not await people.is_alive(ada)
    ada = await people.sign_in("ada@acme.example")
    assert (await people.desk.sessions.actor_of(ada.token)).may(Right.DOMAINS_MANAGE)
    await people.desk.users.remove(scope, user.id)
    assert not await people.is_alive(ada)
    assert await refused(people, "ada@acme.example", PASSWORD) == WRONG


async def test_what_is_asked_without_the_right_is_told_so(people):
    acme = await people.tenant("acme")
    ada = await people.member("ada@acme.example", "viewer", acme.id)
    actor = await people.desk.sessions.actor_of(ada.token)
    with pytest.raises(ForbiddenError):
        actor.require(Right.PEOPLE_MANAGE)


async def test_a_session_that_began_while_its_owner_was_disabled_is_none(people):
    opened = await people.admin()
    async with transaction(people.engine) as connection:
        await connection.execute(text("UPDATE person SET disabled_at = 1"))
    assert not await people.is_alive(opened)
