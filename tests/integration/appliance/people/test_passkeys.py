"""Passkeys on both databases, with one in software."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core import clock
from appliance.core.errors import ConflictError, NotFoundError, SignInError, UsageError
from appliance.people import Opened
from tests.support.authenticator import Authenticator
from tests.support.people import HERE, PASSWORD, SYSTEM, URL, people

__all__ = ["people"]


@pytest.fixture
def device():
    return Authenticator(origin=URL, host="box.test")


async def registered(people, opened, device, name="laptop"):
    seen = await people.desk.sessions.seen(opened.token)
    asked = await people.desk.account.begin_passkey(seen, HERE, password=PASSWORD)
    return await people.desk.account.add_passkey(
        seen, ticket=asked.ticket, answer=device.create(asked.options), name=name
    )


async def sign_in(people, device) -> Opened:
    asked = await people.desk.passkeys.begin_sign_in(HERE)
    return await people.desk.passkeys.sign_in(asked.ticket, device.get(asked.options), HERE)


async def test_a_passkey_is_a_whole_sign_in_without_a_name_or_a_code(people, device, now):
    opened = await people.admin()
    number = await registered(people, opened, device)
    asked = await people.desk.passkeys.begin_sign_in(HERE)
    assert asked.options.get("allowCredentials", []) == []  # who has one is not told
    assert asked.options["userVerification"] == "required"
    now.move(1000)
    session = await people.desk.passkeys.sign_in(asked.ticket, device.get(asked.options), HERE)
    actor = await people.desk.sessions.actor_of(session.token)
    assert actor.name == "root@box.test"
    seen = await people.desk.sessions.seen(session.token)
    (listed,) = await people.desk.account.passkeys(seen)
    assert (listed.id, listed.name, listed.used_at) == (number, "laptop", now.at)


async def test_an_answer_counts_once_and_not_for_long(people, device, now):
    await registered(people, await people.admin(), device)
    asked = await people.desk.passkeys.begin_sign_in(HERE)
    answer = device.get(asked.options)
    ends = await asyncio.gather(
        *(people.desk.passkeys.sign_in(asked.ticket, answer, HERE) for _ in range(3)),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["Opened", "SignInError", "SignInError"]
    asked = await people.desk.passkeys.begin_sign_in(HERE)
    with pytest.raises(SignInError):  # the answer to another question
        await people.desk.passkeys.sign_in(asked.ticket, answer, HERE)
    asked = await people.desk.passkeys.begin_sign_in(HERE)
    now.move(5 * clock.MINUTE)
    with pytest.raises(SignInError):
        await people.desk.passkeys.sign_in(asked.ticket, device.get(asked.options), HERE)


async def test_a_copy_is_noticed_by_its_count_and_synced_ones_do_not_count(people, device):
    admin = await people.admin()
    await registered(people, admin, device)
    for _ in range(3):
        await sign_in(people, device)
    device.uses = 1
    with pytest.raises(SignInError):
        await sign_in(people, device)
    synced = Authenticator(origin=URL, host="box.test", counts=False)
    await registered(people, admin, synced, "telephone")
    for _ in range(2):
        await sign_in(people, synced)


async def test_what_another_site_or_an_unverified_hand_made_is_refused(people, device):
    await registered(people, await people.admin(), device)
    device.verifies = False
    with pytest.raises(SignInError):
        await sign_in(people, device)
    device.verifies, device.origin = True, "https://box.test.evil.example"
    with pytest.raises(SignInError):
        await sign_in(people, device)
    device.origin = URL
    stranger = Authenticator(origin=URL, host="box.test", id=device.id)
    stranger.uses = 100
    with pytest.raises(SignInError):
        await sign_in(people, stranger)
    with pytest.raises(SignInError):
        await sign_in(people, Authenticator(origin=URL, host="box.test"))
    await sign_in(people, device)


async def test_answers_that_are_nonsense_are_refused_in_words(people, device):
    opened = await people.admin()
    await registered(people, opened, device)
    seen = await people.desk.sessions.seen(opened.token)
    name = device.get({"rpId": "box.test", "challenge": "AAAA"})["id"]
    for answer in (
        {},
        {"id": 7},
        {"id": name, "rawId": name, "type": "public-key", "response": {}},
        {"id": name, "rawId": name, "type": "x", "response": {"clientDataJSON": "%%%"}},
    ):
        asked = await people.desk.passkeys.begin_sign_in(HERE)
        with pytest.raises(SignInError):
            await people.desk.passkeys.sign_in(asked.ticket, answer, HERE)
        asked = await people.desk.account.begin_passkey(seen, HERE, password=PASSWORD)
        with pytest.raises(UsageError):
            await people.desk.account.add_passkey(
                seen, ticket=asked.ticket, answer=answer, name="x"
            )


async def test_somebody_elses_question_or_passkey_is_not_ones_own(people, device):
    admin = await people.admin()
    acme = await people.tenant("acme")
    ada = await people.member("ada@acme.example", "owner", acme.id)
    hers, mine = [await people.desk.sessions.seen(one.token) for one in (ada, admin)]
    asked = await people.desk.account.begin_passkey(hers, HERE, password=PASSWORD)
    with pytest.raises(UsageError):
        await people.desk.account.add_passkey(
            mine, ticket=asked.ticket, answer=device.create(asked.options), name="x"
        )
    number = await registered(people, ada, device)
    with pytest.raises(ConflictError):
        await registered(people, admin, device)
    account = people.desk.account
    with pytest.raises(NotFoundError):
        await account.remove_passkey(mine, HERE, passkey_id=number, password=PASSWORD)
    await account.remove_passkey(hers, HERE, passkey_id=number, password=PASSWORD)
    with pytest.raises(SignInError):
        await sign_in(people, device)


async def test_who_may_not_sign_in_does_not_by_a_passkey_either(people, device):
    await people.admin()
    acme = await people.tenant("acme")
    ada = await people.member("ada@acme.example", "viewer", acme.id)
    await registered(people, ada, device)
    user = await people.desk.users.find(SYSTEM, "ada@acme.example")
    await people.desk.users.disable(SYSTEM, user.id)
    with pytest.raises(SignInError):
        await sign_in(people, device)
    await people.desk.users.remove(SYSTEM, user.id)
    with pytest.raises(SignInError):
        await sign_in(people, device)
