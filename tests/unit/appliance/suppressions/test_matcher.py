"""The matcher says what a plain set would say."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from appliance.suppressions import Matcher

KEY = b"k" * 32
TENANTS = st.integers(0, 3)
ADDRESSES = st.sampled_from(
    [f"{user}@{host}" for user in ("a", "b", "ü") for host in ("x.example", "y.example")]
)
TARGETS = ADDRESSES | st.sampled_from(["x.example", "y.example"])


class AsASet(RuleBasedStateMachine):
    """Adds and removes at random, with and without an end."""

    def __init__(self):
        super().__init__()
        self.time = 1_000_000
        self.matcher = Matcher(KEY, lambda: self.time)
        self.model: dict[tuple[int, str], int] = {}

    @rule(tenant=TENANTS, what=TARGETS, lasts=st.none() | st.integers(1, 50))
    def add(self, tenant, what, lasts):
        expires = 0 if lasts is None else self.time + lasts * 1000
        self.matcher.add(tenant, what, expires)
        self.model[tenant, what] = expires

    @rule(tenant=TENANTS, what=TARGETS)
    def discard(self, tenant, what):
        self.matcher.discard(tenant, what)
        self.model.pop((tenant, what), None)

    @rule(seconds=st.integers(1, 60))
    def wait(self, seconds):
        self.time += seconds * 1000

    @rule(tenant=TENANTS, address=ADDRESSES)
    def ask(self, tenant, address):
        domain = address.partition("@")[2]
        held = (self.model.get((who, name)) for who in {0, tenant} for name in (address, domain))
        expected = any(end is not None and (end == 0 or end > self.time) for end in held)
        assert self.matcher.match(tenant, address.upper()) is expected

    @invariant()
    def holds_each_once(self):
        assert len(self.matcher) == len(self.model)


TestAsASet = AsASet.TestCase


@given(st.sets(st.integers(0, 10**9), max_size=300))
def test_everything_added_is_found_and_nothing_else(numbers):
    matcher = Matcher(KEY)
    for number in numbers:
        matcher.add(1, f"u{number}@example.com")
    assert all(matcher.match(1, f"u{number}@example.com") for number in numbers)
    assert not any(matcher.match(1, f"v{number}@example.com") for number in numbers)
    assert not any(matcher.match(2, f"u{number}@example.com") for number in numbers)


def test_an_entry_of_the_box_holds_for_every_tenant():
    matcher = Matcher(KEY)
    matcher.add(0, "example.com")
    assert matcher.match(1, "Anybody@Example.Com")
    assert matcher.match(77, "x@example.com")
    assert not matcher.match(1, "x@sub.example.com")


def test_another_key_spreads_entries_differently():
    one, two = Matcher(b"1" * 32), Matcher(b"2" * 32)
    for matcher in (one, two):
        matcher.add(1, "user@example.com")
    assert one._hashes != two._hashes


def test_an_entry_takes_twelve_bytes():
    assert array("Q").itemsize + array("I").itemsize == 12
