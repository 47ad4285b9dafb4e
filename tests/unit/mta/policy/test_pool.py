"""By which pool a message leaves, and who is told that it may not."""

from __future__ import annotations

import pytest

from mta.egress import EgressPlan, Pool
from mta.policy.pool import pool_of
from mta.policy.refusal import Refused
from tests.support.submissions import credential

POOLS = (Pool(name="shared"), Pool(name="mine", tenant_id=7), Pool(name="theirs", tenant_id=8))
PLAN = EgressPlan(pools={pool.name: pool for pool in POOLS})


@pytest.mark.parametrize("asked", ["shared", "mine"])
def test_the_header_names_a_pool_that_the_tenant_may_use(asked):
    assert pool_of(asked, credential(pool="shared"), PLAN) == asked


@pytest.mark.parametrize("asked", ["theirs", "gone", "wärm\x07"])
def test_another_pool_is_refused_and_those_it_may_use_are_named(asked):
    with pytest.raises(Refused) as refused:
        pool_of(asked, credential(), PLAN)
    line = refused.value.reply.line()
    assert line.startswith("550 5.6.0 X-Pillarbox-Pool: no pool ")
    assert line.endswith("is open to this account; it may use mine, shared")
    assert line.isascii()
    assert line.isprintable()


def test_who_has_no_pool_is_told_to_remove_the_header():
    with pytest.raises(Refused, match="remove the header"):
        pool_of("any", credential(), EgressPlan())


def test_without_a_header_the_credentials_pool_is_used():
    assert pool_of("", credential(pool="mine"), PLAN) == "mine"
    assert pool_of("", credential(), PLAN) == ""


@pytest.mark.parametrize("stale", ["gone", "theirs"])
def test_a_credentials_pool_that_is_gone_never_refuses_mail(stale):
    assert pool_of("", credential(pool=stale), PLAN) == ""
