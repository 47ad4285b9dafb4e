"""The second factor on both databases: a code counts once, a recovery code too, guessing them is slow."""

from __future__ import annotations

import asyncio

import pyotp
import pytest
from sqlalchemy import text

from appliance.core import clock
from appliance.core.database import reading
from appliance.core.errors import SecretError, SignInError, TooManyError, UsageError
from appliance.people import Client, Opened, SecondFactorNeeded
from appliance.people.guessing import FREE_TRIES
from appliance.people.second_factor import RECOVERY_CODES
from tests.support.people import HERE, PASSWORD, SYSTEM, people

__all__ = ["people"]

EMAIL = "root@box.test"


def code_at(secret: str, ms: int) -> str:
    return pyotp.TOTP(secret).at(ms // 1000)


async def turned_on(people, opened):
    """The secret and the recovery codes of somebody who has just set a second factor up."""
    seen = await people.desk.sessions.seen(opened.token)
    new = await people.desk.account.begin_second_factor(seen, HERE, password=PASSWORD)
    codes = await people.desk.account.confirm_second_factor(
        seen, new.ticket, code_at(new.secret, people.now.at)
    )
    return new.secret, codes


async def ticket_of(people) -> str:
    needed = await people.desk.sign_in.with_password(EMAIL, PASSWORD, HERE)
    assert isinstance(needed, SecondFactorNeeded)
    return needed.ticket


async def test_it_counts_once_its_first_code_was_given_and_ends_other_sessions(people, now):
    opened = await people.admin()
    other = await people.sign_in(EMAIL)
    seen = await people.desk.sessions.seen(opened.token)
    account = people.desk.account
    new = await account.begin_second_factor(seen, HERE, password=PASSWORD)
    assert new.uri.startswith("otpauth://totp/box.test:root%40box.test?secret=" + new.secret)
    with pytest.raises(UsageError) as error:
        await account.confirm_second_factor(seen, new.ticket, "000000")
    assert error.value.field == "code"
    assert isinstance(await people.desk.sign_in.with_password(EMAIL, PASSWORD, HERE), Opened)
    codes = await account.confirm_second_factor(seen, new.ticket, code_at(new.secret, now.at))
    assert len(set(codes)) == RECOVERY_CODES
    assert [await people.is_alive(one) for one in (opened, other)] == [True, False]
    now.move(clock.MINUTE)
    assert await people.is_alive(
        await people.desk.sign_in.with_code(
            await ticket_of(people), code_at(new.secret, now.at), HERE
        )
    )
    assert (await people.audit())[-2:] == [
        (0, EMAIL, "user.second-factor-on"),
        (0, EMAIL, "user.sign-in"),
    ]


async def test_setting_it_up_and_dropping_it_need_the_password(people):
    seen = await people.desk.sessions.seen((await people.admin()).token)
    for attempt in (
        people.desk.account.begin_second_factor,
        people.desk.account.drop_second_factor,
        people.desk.account.new_recovery_codes,
        people.desk.account.begin_passkey,
    ):
        with pytest.raises(SignInError, match="not your password"):
            await attempt(seen, HERE, password="somebody else's")


async def test_a_code_that_was_used_is_never_taken_again(people, now):
    secret, _ = await turned_on(people, await people.admin())
    now.move(clock.MINUTE)
    code = code_at(secret, now.at)
    sign_in = people.desk.sign_in
    await sign_in.with_code(await ticket_of(people), code, HERE)
    with pytest.raises(SignInError):
        await sign_in.with_code(await ticket_of(people), code, HERE)
    # Nor the one before it, which its drift would allow.
    with pytest.raises(SignInError):
        await sign_in.with_code(
            await ticket_of(people), code_at(secret, now.at - 30 * clock.SECOND), HERE
        )
    now.move(30 * clock.SECOND)
    await sign_in.with_code(await ticket_of(people), code_at(secret, now.at), HERE)


async def test_one_code_used_twice_at_once_lets_one_in(people, now):
    secret, _ = await turned_on(people, await people.admin())
    now.move(clock.MINUTE)
    tickets = [await ticket_of(people) for _ in range(4)]
    code = code_at(secret, now.at)
    ends = await asyncio.gather(
        *(people.desk.sign_in.with_code(ticket, code, HERE) for ticket in tickets),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["Opened", *["SignInError"] * 3]


async def test_one_recovery_code_used_twice_at_once_lets_one_in(people):
    _, codes = await turned_on(people, await people.admin())
    tickets = [await ticket_of(people) for _ in range(4)]
    typed = codes[3].upper().replace("-", " ")
    ends = await asyncio.gather(
        *(people.desk.sign_in.with_code(ticket, typed, HERE) for ticket in tickets),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["Opened", *["SignInError"] * 3]
    seen = await people.desk.sessions.seen(next(e for e in ends if isinstance(e, Opened)).token)
    assert await people.desk.account.recovery_codes_left(seen) == RECOVERY_CODES - 1


async def test_a_ticket_opens_one_session_and_not_for_long(people, now):
    secret, codes = await turned_on(people, await people.admin())
    ticket = await ticket_of(people)
    await people.desk.sign_in.with_code(ticket, codes[0], HERE)
    with pytest.raises(SignInError, match="begin anew"):
        await people.desk.sign_in.with_code(ticket, codes[1], HERE)
    late = await ticket_of(people)
    now.move(5 * clock.MINUTE)
    with pytest.raises(SignInError, match="begin anew"):
        await people.desk.sign_in.with_code(late, code_at(secret, now.at), HERE)


async def test_guessing_codes_is_slow_and_a_right_password_does_not_help(people, now):
    await turned_on(people, await people.admin())
    for _ in range(FREE_TRIES):
        with pytest.raises(SignInError):
            await people.desk.sign_in.with_code(await ticket_of(people), "000000", HERE)
    with pytest.raises(TooManyError):
        await people.desk.sign_in.with_code(await ticket_of(people), "000000", HERE)


async def test_new_recovery_codes_end_the_old_and_dropping_ends_all(people, now):
    opened = await people.admin()
    secret, old = await turned_on(people, opened)
    seen = await people.desk.sessions.seen(opened.token)
    account = people.desk.account
    fresh = await account.new_recovery_codes(seen, HERE, password=PASSWORD)
    with pytest.raises(SignInError):
        await people.desk.sign_in.with_code(await ticket_of(people), old[0], HERE)
    await people.desk.sign_in.with_code(await ticket_of(people), fresh[0], HERE)
    await account.drop_second_factor(seen, HERE, password=PASSWORD)
    assert isinstance(await people.desk.sign_in.with_password(EMAIL, PASSWORD, HERE), Opened)
    with pytest.raises(UsageError, match="set one up first"):
        await account.new_recovery_codes(seen, HERE, password=PASSWORD)
    assert secret not in str(await people.audit())


async def test_an_admin_drops_it_for_somebody_who_lost_everything(people):
    acme = await people.tenant("acme")
    ada = await people.member("ada@acme.example", "owner", acme.id)
    await turned_on(people, ada)
    user = await people.desk.users.find(SYSTEM, "ada@acme.example")
    assert user.has_second_factor
    user = await people.desk.users.drop_second_factor(SYSTEM, user.id)
    assert not user.has_second_factor
    assert not await people.is_alive(ada)
    await people.sign_in("ada@acme.example")


async def test_the_secret_is_sealed_to_its_row(people, now):
    secret, _ = await turned_on(people, await people.admin())
    async with reading(people.engine) as connection:
        found = await connection.execute(text("SELECT totp_secret, id FROM person"))
        sealed, number = found.one()
        stored = (await connection.execute(text("SELECT code_hash FROM recovery_code"))).all()
    assert sealed.startswith("v1:")
    assert secret not in sealed
    assert all(len(bytes(row[0])) == 32 for row in stored)
    assert people.keys.decrypt(sealed, bound_to=f"person:totp_secret:{number}") == secret.encode()
    with pytest.raises(SecretError):
        people.keys.decrypt(sealed, bound_to=f"person:totp_secret:{number + 1}")


async def test_codes_made_under_an_older_master_key_still_count(people, now):
    secret, codes = await turned_on(people, await people.admin())
    people.keys = type(people.keys)({1: bytes(32), 2: bytes([1]) * 32})
    people.desk = people.reopened()
    now.move(clock.MINUTE)
    await people.desk.sign_in.with_code(await ticket_of(people), codes[0], HERE)
    await people.desk.sign_in.with_code(await ticket_of(people), code_at(secret, now.at), HERE)
    async with reading(people.engine) as connection:
        sealed = (await connection.execute(text("SELECT totp_secret FROM person"))).scalar_one()
    assert sealed.startswith("v2:")


async def test_somebody_elses_ticket_sets_nothing_up(people):
    admin = await people.admin()
    acme = await people.tenant("acme")
    ada = await people.member("ada@acme.example", "owner", acme.id)
    mine, hers = [await people.desk.sessions.seen(one.token) for one in (admin, ada)]
    new = await people.desk.account.begin_second_factor(hers, HERE, password=PASSWORD)
    with pytest.raises(SignInError):
        await people.desk.account.confirm_second_factor(
            mine, new.ticket, code_at(new.secret, people.now.at)
        )


async def test_strangers_who_begin_and_never_end_fill_nothing(people, monkeypatch):
    monkeypatch.setattr("appliance.people.ceremonies.MOST_OF_CLIENT", 5)
    await people.desk.passkeys.begin_sign_in(HERE)
    stranger = Client(address="198.51.100.9")
    for _ in range(8):
        await people.desk.passkeys.begin_sign_in(stranger)
    async with reading(people.engine) as connection:
        count = await connection.execute(text("SELECT count(*) FROM sign_in_ceremony"))
        assert count.scalar_one() == 5 + 1  # another client's is not touched


async def test_a_ticket_of_one_kind_is_none_of_another(people, now):
    admin = await people.admin()
    seen = await people.desk.sessions.seen(admin.token)
    setting_up = await people.desk.account.begin_second_factor(seen, HERE, password=PASSWORD)
    code = code_at(setting_up.secret, now.at)
    asked = await people.desk.passkeys.begin_sign_in(HERE)
    for attempt in (
        people.desk.sign_in.with_code(setting_up.ticket, code, HERE),
        people.desk.sign_in.with_code(asked.ticket, code, HERE),
        people.desk.passkeys.sign_in(setting_up.ticket, {}, HERE),
        people.desk.account.confirm_second_factor(seen, asked.ticket, code),
    ):
        with pytest.raises(SignInError, match="begin anew"):
            await attempt
    assert await people.desk.account.confirm_second_factor(seen, setting_up.ticket, code)
