"""What an address and a pool may be, and how pools may lean on each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.core.errors import ConflictError, NotFoundError, UsageError
from appliance.egress import EgressRecord, EgressRequest, PoolChange, PoolRecord
from appliance.egress.rules import (
    changed_pool,
    check_deletable,
    check_free,
    check_pool,
    checked_egress,
    checked_members,
    checked_name,
)
from mta.egress import EgressState, Member

HOST = "mail.box.example"
KNOWN = ("out1", "out2", "out3")


def record(name: str = "out1", **changes) -> EgressRecord:
    values = {
        "name": name,
        "address": "203.0.113.1",
        "address6": "",
        "helo": HOST,
        "state": EgressState.ENABLED,
        "why": "",
        "ipv6_forced": False,
        "checks": (),
        "checked_at": 0,
        "created_at": 0,
    }
    return EgressRecord(**(values | changes))


def pool(name: str, *egresses: str, **changes) -> PoolRecord:
    members = tuple(Member(egress=egress) for egress in egresses)
    return PoolRecord(name=name, members=members, created_at=0, **changes)


def check(made: PoolRecord, *others: PoolRecord) -> None:
    check_pool(made, {one.name: one for one in (*others, made)}, KNOWN)


def test_an_egress_is_stored_in_one_form():
    wanted = EgressRequest(name=" Out.1 ", address6="2001:DB8:0::5", helo="Out1.Example.com.")
    assert checked_egress(wanted, HOST) == EgressRequest(
        name="out.1", address6="2001:db8::5", helo="out1.example.com"
    )
    assert checked_egress(EgressRequest(name="a", address="127.0.0.9"), HOST).helo == HOST


@pytest.mark.parametrize("name", ["", "a b", "-a", "a.", "x" * 64, "ä", "a:b"])
def test_a_name_is_a_plain_word(name):
    with pytest.raises(UsageError, match="cannot name an egress"):
        checked_name(name, "an egress")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "needs an address"),
        ({"address": "203.0.113"}, "no IPv4 address"),
        ({"address": "2001:db8::1"}, "as IPv4"),
        ({"address": "0.0.0.0"}, "cannot leave"),
        ({"address": "224.0.0.1"}, "cannot leave"),
        ({"address6": "203.0.113.1"}, "as IPv6"),
        ({"address6": "::ffff:203.0.113.1"}, "cannot leave"),
        ({"address6": "fe80::1%eth0"}, "cannot leave"),
        ({"address6": "::"}, "cannot leave"),
        ({"address": "203.0.113.1", "helo": "localhost"}, "no domain name"),
    ],
)
def test_mail_cannot_leave_from_anything(given, words):
    with pytest.raises(UsageError, match=words):
        checked_egress(EgressRequest(name="a", **given), HOST)


def test_an_address_belongs_to_one_egress():
    others = [record(), record("out2", address="", address6="2001:db8::1")]
    check_free(EgressRequest(name="x", address="203.0.113.2", address6="2001:db8::2"), others)
    with pytest.raises(ConflictError, match="out2 has the address 2001:db8::1"):
        check_free(EgressRequest(name="x", address="203.0.113.2", address6="2001:db8::1"), others)


def test_an_address_is_given_up_on_purpose():
    drained = record(state=EgressState.DRAINING)
    check_deletable(drained, [pool("a", "out1", "out2")])
    with pytest.raises(ConflictError, match="is enabled"):
        check_deletable(record(), [])
    with pytest.raises(ConflictError, match="only address of pool a, b"):
        check_deletable(drained, [pool("a", "out1"), pool("b", "out1"), pool("c", "out2")])


@pytest.mark.parametrize(
    "members", [[Member(egress="a", weight=0)], [Member(egress="a", weight=1001)]]
)
def test_a_weight_is_a_share(members):
    with pytest.raises(UsageError, match="weight"):
        checked_members(members)


def test_members_stand_once_and_by_name():
    assert checked_members([Member(egress="B", weight=2), Member(egress="a")]) == (
        Member(egress="a"),
        Member(egress="b", weight=2),
    )
    with pytest.raises(UsageError, match="twice"):
        checked_members([Member(egress="a"), Member(egress="A")])


def test_a_change_leaves_alone_what_was_not_given():
    old = pool("p", "out1", fallback="q", tenant_id=7)
    assert changed_pool(old, PoolChange()) == old
    changed = changed_pool(old, PoolChange(fallback="", tenant_id=0, is_default=True))
    assert changed == replace(old, fallback="", tenant_id=0, is_default=True)


def test_pools_that_lean_on_each_other_stand():
    check(pool("a", "out1", fallback="b"), pool("b", "out2", fallback="c"), pool("c", "out3"))
    own = pool("own", "out1", tenant_id=7, fallback="more")
    check(own, pool("more", "out2", tenant_id=7, fallback="c"), pool("c", "out3"))


@pytest.mark.parametrize(
    ("made", "others", "error", "words"),
    [
        (pool("a"), (), UsageError, "no address"),
        (pool("a", "gone"), (), NotFoundError, "gone"),
        (pool("a", "out1", fallback="gone"), (), NotFoundError, "'gone'"),
        (pool("a", "out1", fallback="a"), (), ConflictError, "circle: a -> a"),
        (
            pool("a", "out1", fallback="b"),
            (pool("b", "out2", fallback="c"), pool("c", "out3", fallback="a")),
            ConflictError,
            "in a circle",
        ),
        (
            pool("a", "out1", fallback="b"),
            (pool("b", "out2", tenant_id=7),),
            ConflictError,
            "another tenant's own",
        ),
        (  # through a pool that is nobody's own
            pool("b", "out2", fallback="c"),
            (pool("a", "out1", tenant_id=7, fallback="b"), pool("c", "out3", tenant_id=8)),
            ConflictError,
            "another tenant's own",
        ),
        (pool("a", "out1", tenant_id=7, is_default=True), (), ConflictError, "must be shared"),
        (
            pool("a", "out1", "out2"),
            (pool("b", "out2", tenant_id=7),),
            ConflictError,
            "out2 is in pool b too",
        ),
    ],
)
def test_a_pool_that_cannot_stand_is_refused(made, others, error, words):
    with pytest.raises(error, match=words):
        check(made, *others)
