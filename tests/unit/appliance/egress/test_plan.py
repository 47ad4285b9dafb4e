"""What the mta gets to see of the addresses and pools."""

from __future__ import annotations

import msgspec

from appliance.core.settings import Settings
from appliance.egress import AddressCheck, CheckState, EgressRecord, PoolRecord
from appliance.egress.plan import default_egress, plan_of
from appliance.tenancy import TenantRecord
from mta.egress import EgressEntry, EgressState, Member, TenantPools
from mta.message import Egress

DEFAULT = Egress(name="default", address="", helo="box.example", ipv6=False)
RIGHT = AddressCheck(address="2001:db8::1", at=1, state=CheckState.OK)


def record(name: str = "out1", **changes) -> EgressRecord:
    values = {
        "name": name,
        "address": "203.0.113.1",
        "address6": "2001:db8::1",
        "helo": "out1.example",
        "state": EgressState.ENABLED,
        "why": "",
        "ipv6_forced": False,
        "checks": (),
        "checked_at": 0,
        "created_at": 0,
    }
    return EgressRecord(**(values | changes))


def entry(**changes) -> EgressEntry:
    (found,) = plan_of([record(**changes)], [], [], default=DEFAULT).entries.values()
    return found


def tenant(number: int, **pools) -> TenantRecord:
    return TenantRecord(
        id=number,
        name=f"t{number}",
        weight=1,
        recipients_per_day=0,
        suspended_at=0,
        suspended_reason="",
        created_at=0,
        **pools,
    )


def test_a_box_without_rows_has_the_default_and_one_with_rows_has_not():
    assert plan_of([], [], [], default=DEFAULT).entries == {"default": EgressEntry(egress=DEFAULT)}
    assert set(plan_of([record()], [], [], default=DEFAULT).entries) == {"out1"}


def test_the_default_is_as_the_settings_say():
    settings = msgspec.convert({"box": {"hostname": "box.example"}}, Settings)
    assert default_egress(settings) == DEFAULT
    delivery = {"source_address": "203.0.113.7", "helo": "out.example", "ipv6": True}
    settings = msgspec.convert({"delivery": delivery}, Settings)
    assert default_egress(settings) == Egress(
        name="203.0.113.7", address="203.0.113.7", helo="out.example", ipv6=True
    )


def test_ipv6_is_used_once_its_reverse_dns_was_right_or_by_force():
    assert entry().egress == Egress(
        name="out1", address="203.0.113.1", helo="out1.example", ipv6=False
    )
    for one in (entry(checks=(RIGHT,)), entry(ipv6_forced=True)):
        assert (one.egress.ipv6, one.egress.address6) == (True, "2001:db8::1")
    other = AddressCheck(address="2001:db8::2", at=1, state=CheckState.OK)
    assert not entry(checks=(other,)).egress.ipv6


def test_an_egress_that_has_only_ipv6_waits_for_its_dns_and_never_sends_from_anywhere():
    waiting = entry(address="")
    assert waiting.state is EgressState.DISABLED
    assert "reverse DNS" in waiting.why
    assert waiting.egress.address6 == "2001:db8::1"
    assert not waiting.egress.ipv4
    assert entry(address="", checks=(RIGHT,)).state is EgressState.ENABLED
    drained = entry(address="", state=EgressState.DRAINING, why="listed")
    assert (drained.state, drained.why) == (EgressState.DRAINING, "listed")


def test_the_state_and_its_reason_are_told():
    found = entry(state=EgressState.DISABLED, why="moved")
    assert (found.state, found.why) == (EgressState.DISABLED, "moved")


def test_pools_come_with_members_that_are_there():
    members = (Member(egress="gone"), Member(egress="out1", weight=3))
    pools = [
        PoolRecord(name="a", members=members, is_default=True, created_at=0),
        PoolRecord(name="empty", members=members[:1], created_at=0),
        PoolRecord(name="leaning", tenant_id=7, fallback="a", created_at=0),
    ]
    made = plan_of([record()], pools, [], default=DEFAULT)
    assert made.default_pool == "a"
    assert made.pools["a"].members == (Member(egress="out1", weight=3),)
    assert "empty" not in made.pools  # its mail goes as if it had named none
    assert (made.pools["leaning"].tenant_id, made.pools["leaning"].fallback) == (7, "a")


def test_tenants_that_chose_a_pool_are_there():
    made = plan_of([], [], [tenant(1), tenant(2, pool="a", bulk_pool="b")], default=DEFAULT)
    assert made.tenants == {2: TenantPools(any_class="a", bulk="b")}
