"""The one door: what is refused, broken off or not stored leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from appliance.core import clock
from appliance.core.errors import StoreError, StoreFullError
from mta.directory import Tenant
from mta.egress import EgressPlan, Pool
from mta.message import RecipientRequest
from mta.policy.limits import Quota
from mta.policy.refusal import Refused
from mta.spool.questions import QueueFilter
from mta.status import Status
from tests.support.submissions import credential, submission
from tests.support.way import LETTER, open_way

KEYED = b"X-Pillarbox-Idempotency-Key: order-1\r\n" + LETTER


class Ledger:
    def __init__(self):
        self.used = Counter()

    async def __call__(self, key, window, amount, limit):
        granted = max(0, min(amount, limit - self.used[key]))
        self.used[key] += granted
        return granted


@pytest.fixture
async def way(tmp_path):
    async with open_way(tmp_path, 1) as opened:
        yield opened


def failing(way, error, times=1):
    """The store refuses the next messages."""
    accept, left = way.shard.accept, [error] * times

    async def refuse(admitted):
        await asyncio.sleep(0.01)
        if left:
            raise left.pop()
        return await accept(admitted)

    way.shard.accept = refuse


async def test_mail_that_could_not_be_stored_does_not_count_against_the_quota(way):
    way.intake._quota = Quota(Ledger())
    who = credential(recipients_per_hour=2, recipients_per_day=2)
    failing(way, StoreFullError("full"), times=5)
    for _ in range(5):
        with pytest.raises(StoreFullError):
            await way.send(credential=who)
    await way.send(credential=who)
    await way.send(credential=who)
    with pytest.raises(Refused, match="over quota: 2 recipients an hour"):
        await way.send(credential=who)


async def test_everybody_who_waits_for_a_key_hears_that_it_was_not_stored_and_may_try_again(way):
    failing(way, StoreError("locked"))
    first = await asyncio.gather(*(way.send(KEYED) for _ in range(5)), return_exceptions=True)
    assert {type(answer) for answer in first} == {StoreError}
    assert await way.send(KEYED) == await way.send(KEYED)


async def test_nobody_waits_for_ever_for_a_key_whose_first_message_was_broken_off(way):
    failing(way, StoreError("never reached"), times=0)
    first = asyncio.ensure_future(way.send(KEYED))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(way.send(KEYED))
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(StoreError, match="was not stored"):
            await second
    await way.send(KEYED)


async def test_the_same_key_of_another_tenant_is_another_key(way):
    other = Tenant(id=8, name="other")
    way.change(tenants={**way.directory.tenants, 8: other})
    domain = way.directory.domains["shop.example.com"]
    mine = await way.send(KEYED)
    way.change(domains={"shop.example.com": replace(domain, tenant_id=8)})
    theirs = await way.send(KEYED, tenant=other, credential=credential(id=4, tenant_id=8))
    assert mine != theirs


async def test_a_login_that_sends_far_above_its_usual_rate_is_held_and_told_why(way):
    way.intake._quota = Quota(Ledger())
    who = credential(usual_per_hour=1)
    people = tuple(f"user{n}@example.net" for n in range(3))
    usual = await way.send(credential=who, recipients=people)
    surge = await way.send(credential=who, recipients=people)
    assert await way.statuses(surge) == ["held"] * 3
    assert "held" not in await way.statuses(usual)
    [one, *_] = await way.operations.find(QueueFilter(message_id=surge), (-1, -1), 10)
    assert one.status is Status.HELD
    assert "5 times its usual rate" in one.reason


async def test_every_recipient_keeps_what_was_asked_for_it(way):
    asked = (
        RecipientRequest(address="Jane@Example.NET", notify="NEVER", orcpt="rfc822;j@example.net"),
        RecipientRequest(address="joe@example.org"),
    )
    letter = replace(submission(LETTER, received_at=clock.now_ms()), recipients=asked)
    number = await way.intake.accept(letter)
    one, other = await way.shard.call(lambda store, _: store.recipients(number))
    assert (one.address, one.domain) == ("Jane@example.net", "example.net")
    assert (one.notify, one.orcpt) == ("NEVER", "rfc822;j@example.net")
    assert (other.n, other.notify) == (1, "")


async def test_every_recipient_knows_the_pool_that_header_or_credential_named(way):
    pools = {name: Pool(name=name) for name in ("fast", "slow")}
    way.change(egress=EgressPlan(pools=pools))
    people = ("ann@example.net", "joe@example.org")
    asked = b"X-Pillarbox-Pool: Fast\r\n" + LETTER
    for letter, who, expected in (
        (asked, credential(pool="slow"), "fast"),
        (LETTER, credential(pool="slow"), "slow"),
        (LETTER, credential(pool="gone"), ""),
        (LETTER, credential(), ""),
    ):
        number = await way.send(letter, credential=who, recipients=people)
        found = await way.shard.call(lambda store, _, number=number: store.recipients(number))
        assert [one.pool for one in found] == [expected] * 2


async def test_a_header_that_names_no_pool_is_refused_and_costs_no_quota(way):
    way.intake._quota = Quota(Ledger())
    way.change(egress=EgressPlan(pools={"theirs": Pool(name="theirs", tenant_id=8)}))
    who = credential(recipients_per_hour=1)
    with pytest.raises(Refused, match="X-Pillarbox-Pool: no pool theirs is open"):
        await way.send(b"X-Pillarbox-Pool: theirs\r\n" + LETTER, credential=who)
    assert await way.events() == []
    await way.send(credential=who)


async def test_a_refused_message_leaves_nothing(way):
    with pytest.raises(Refused):
        await way.send(tenant=Tenant(id=7, name="acme", suspended=True))
    assert await way.events() == []
