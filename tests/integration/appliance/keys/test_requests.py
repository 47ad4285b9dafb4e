"""Idempotency on both databases: one of many does the work, the others get its answer or wait."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core import clock
from appliance.core.errors import ConflictError, ReusedKeyError, UsageError
from appliance.core.scope import Scope
from appliance.keys import Claim, Requests
from appliance.keys.requests import CLAIM, KEPT
from appliance.tenancy import Tenants

ADMIN = Scope.system(by="admin")


@pytest.fixture
def requests(engine, now):
    return Requests(engine, now)


@pytest.fixture
async def mine(engine):
    return Scope.tenant((await Tenants(engine).create(ADMIN, name="acme")).id)


async def attempt(requests, scope, body=b"body"):
    try:
        return await requests.claim(scope, "order-1", body)
    except ConflictError:
        return None


async def test_one_of_fifty_does_the_work(requests, mine):
    claims = await asyncio.gather(*(attempt(requests, mine) for _ in range(50)))
    (winner,) = [claim for claim in claims if claim is not None]
    await requests.finish(winner, 202, b"answer")
    again = await requests.claim(mine, "order-1", b"body")
    assert (again.status, again.answer) == (202, b"answer")


async def test_the_same_key_with_another_body_is_refused(requests, mine):
    await requests.claim(mine, "order-1", b"body")
    with pytest.raises(ReusedKeyError):
        await requests.claim(mine, "order-1", b"other")


async def test_another_tenants_key_is_another_key(requests, mine, engine):
    theirs = Scope.tenant((await Tenants(engine).create(ADMIN, name="other")).id)
    assert isinstance(await attempt(requests, mine), Claim)
    assert isinstance(await attempt(requests, theirs, b"other"), Claim)


async def test_a_claim_whose_owner_died_is_taken_over_by_one(requests, mine, now):
    dead = await requests.claim(mine, "order-1", b"body")
    assert await attempt(requests, mine) is None
    now.move(CLAIM)
    claims = await asyncio.gather(*(attempt(requests, mine) for _ in range(10)))
    (heir,) = [claim for claim in claims if claim is not None]
    await requests.finish(dead, 202, b"of the dead")
    await requests.finish(heir, 202, b"of the heir")
    assert (await requests.claim(mine, "order-1", b"body")).answer == b"of the heir"


async def test_what_was_given_up_begins_anew(requests, mine):
    await requests.give_up(await requests.claim(mine, "order-1", b"body"))
    assert (await requests.claim(mine, "order-1", b"other")).status == 0


async def test_after_a_day_a_key_is_new(requests, mine, now):
    await requests.finish(await requests.claim(mine, "order-1", b"body"), 202, b"old")
    now.move(KEPT + 1)
    claims = await asyncio.gather(*(attempt(requests, mine, b"other") for _ in range(10)))
    assert sum(claim is not None for claim in claims) == 1
    now.move(KEPT + clock.HOUR)
    await requests.forget()
    assert (await requests.claim(mine, "order-1", b"third")).status == 0


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", "ключ"])
async def test_keys_are_short_and_printable(requests, mine, key):
    with pytest.raises(UsageError) as told:
        await requests.claim(mine, key, b"")
    assert told.value.field == "Idempotency-Key"
