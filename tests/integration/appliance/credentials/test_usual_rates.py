"""Usual rates on both databases: counted by the hour, learned, told when they change."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from appliance.core.clock import DAY, HOUR
from appliance.core.control import Part, generations
from appliance.core.database import reading
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials, hour_of
from appliance.tenancy import Tenants

ADMIN = Scope.system(by="ann")


@pytest.fixture
def credentials(engine, now):
    return Credentials(engine, MasterKeys({1: b"k" * 32}), now)


@pytest.fixture
async def number(engine, credentials):
    acme = await Tenants(engine).create(ADMIN, name="acme")
    return (await credentials.create(ADMIN, acme, name="app")).credential.id


async def usual(credentials, number):
    return (await credentials.get(ADMIN, number)).usual_per_hour


async def generation(engine):
    async with reading(engine) as connection:
        return (await generations(connection))[Part.CREDENTIALS]


async def stored(engine):
    async with reading(engine) as connection:
        rows = await connection.execute(
            text("SELECT hour, recipients FROM credential_hour ORDER BY hour")
        )
        return [tuple(row) for row in rows]


def a_day_of(number, now, recipients):
    """The last 24 hours that are over."""
    return {(number, hour_of(now) - n * HOUR): recipients for n in range(1, 25)}


async def test_counts_of_an_hour_add_up(engine, credentials, number, now):
    hour = hour_of(now())
    await credentials.count_hours({(number, hour): 3, (number, hour - HOUR): 1})
    await credentials.count_hours({(number, hour): 4})
    await credentials.count_hours({})
    assert await stored(engine) == [(hour - HOUR, 1), (hour, 7)]


async def test_a_rate_is_learned_and_told_once(engine, credentials, number, now):
    await credentials.count_hours(a_day_of(number, now(), 300))
    before = await generation(engine)
    await credentials.learn_usual_rates(now())
    assert await usual(credentials, number) == 300
    assert await generation(engine) == before + 1
    await credentials.count_hours(a_day_of(number, now(), 30))  # 10 % more
    await credentials.learn_usual_rates(now())
    assert await usual(credentials, number) == 300
    assert await generation(engine) == before + 1
    await credentials.count_hours(a_day_of(number, now(), 1))
    await credentials.learn_usual_rates(now())
    assert await usual(credentials, number) == 331


async def test_the_hour_that_runs_teaches_nothing_yet(credentials, number, now):
    day = a_day_of(number, now(), 300)
    await credentials.count_hours(dict(list(day.items())[1:]) | {(number, hour_of(now())): 9000})
    await credentials.learn_usual_rates(now())
    assert await usual(credentials, number) == 0


async def test_hours_of_others_do_not_count_and_strangers_stop_nobody(credentials, number, now):
    for other in (number + 1, 10**12):
        await credentials.count_hours(a_day_of(other, now(), 9000))
    await credentials.count_hours(a_day_of(number, now(), 200))
    await credentials.learn_usual_rates(now())
    assert await usual(credentials, number) == 200


async def test_hours_are_forgotten_and_the_rate_of_a_login_gone_quiet_is_not(
    engine, credentials, number, now
):
    await credentials.count_hours(a_day_of(number, now(), 300))
    await credentials.learn_usual_rates(now())
    now.move(13 * DAY)
    await credentials.learn_usual_rates(now())
    assert len(await stored(engine)) == 24
    now.move(DAY)
    await credentials.learn_usual_rates(now())
    assert await stored(engine) == []
    assert await usual(credentials, number) == 300


async def test_more_credentials_than_one_page_are_learned(engine, credentials, number, now):
    acme = (await Tenants(engine).list(ADMIN))[0]
    numbers = [
        (await credentials.create(ADMIN, acme, name=f"app-{n}")).credential.id for n in range(101)
    ]
    await credentials.count_hours(a_day_of(number, now(), 200) | a_day_of(numbers[-1], now(), 400))
    await credentials.learn_usual_rates(now())
    assert await usual(credentials, number) == 200
    assert await usual(credentials, numbers[-1]) == 400
    assert await usual(credentials, numbers[0]) == 0
