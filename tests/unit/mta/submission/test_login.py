from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

from appliance.core import clock
from appliance.core.errors import SecretError
from mta.policy.refusal import Refused
from mta.submission.failures import LocalLedger
from mta.submission.login import Login, LoginRules, Uses, network_of
from tests.support.smtp_box import PASSWORD, credential, directory, hashed

if TYPE_CHECKING:
    from mta.directory import Directory

NOW = 1_790_000_000_000


class Counter:
    """Login with everything counted."""

    def __init__(self, known: Directory, *, failures: int = 3, delay: float = 1.0) -> None:
        self.slept: list[float] = []
        self.compared: list[bytes] = []
        self.now = NOW
        self.login = Login(
            directory=lambda: known,
            matches=self.matches,
            ledger=LocalLedger(now=lambda: self.now),
            rules=LoginRules(failures=failures, delay=delay),
            decoy=b"decoy",
            now=lambda: self.now,
            sleep=self.sleep,
        )

    def matches(self, secret: str, stored: bytes) -> bool:
        self.compared.append(stored)
        return hashed(secret) == stored

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def status(self, user: str, password: str, address: str = "192.0.2.1") -> str:
        try:
            await self.login.check(address, user, password)
        except Refused as refusal:
            return f"{refusal.reply.code} {refusal.reply.enhanced}"
        return "ok"


async def test_the_right_password_logs_in_whatever_the_case_of_the_user() -> None:
    counter = Counter(directory(credential()))
    assert (await counter.login.check("192.0.2.1", "SHOP", PASSWORD)).id == 3
    assert counter.slept == []


async def test_an_unknown_user_is_compared_and_slowed_like_a_wrong_password() -> None:
    counter = Counter(directory(credential()))
    assert await counter.status("nobody", "x") == "535 5.7.8"
    assert counter.compared == [b"decoy"]
    assert await counter.status("shop", "x", "192.0.2.2") == "535 5.7.8"
    assert counter.slept == [1.0, 1.0]


async def test_answers_grow_slower_and_then_are_refused_unlooked_at() -> None:
    counter = Counter(directory(credential()))
    for _ in range(3):
        assert await counter.status("shop", "x") == "535 5.7.8"
    assert counter.slept == [1.0, 2.0, 3.0]
    compared = len(counter.compared)
    assert await counter.status("shop", PASSWORD) == "421 4.7.0"
    assert len(counter.compared) == compared
    counter.now += 11 * clock.MINUTE
    assert await counter.status("shop", PASSWORD) == "ok"


async def test_a_user_is_refused_from_other_addresses_too() -> None:
    counter = Counter(directory(credential()))
    for host in range(3):
        await counter.status("shop", "x", f"198.51.100.{host}")
    assert await counter.status("shop", PASSWORD, "203.0.113.1") == "421 4.7.0"


async def test_an_application_that_is_known_is_not_shut_out_by_strangers() -> None:
    counter = Counter(directory(credential()))
    assert await counter.status("shop", PASSWORD, "203.0.113.1") == "ok"
    for host in range(3):
        await counter.status("shop", "x", f"198.51.100.{host}")
    assert await counter.status("shop", PASSWORD, "203.0.113.1") == "ok"


async def test_an_address_is_refused_for_every_user() -> None:
    counter = Counter(directory(credential()))
    for user in "abc":
        await counter.status(user, "x")
    assert await counter.status("shop", PASSWORD) == "421 4.7.0"
    assert await counter.status("shop", PASSWORD, "192.0.2.9") == "ok"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"revoked": True}, "revoked"),
        ({"expires_at": NOW}, "expired"),
        ({"networks": (ipaddress.ip_network("10.0.0.0/8"),)}, "192.0.2.1"),
    ],
)
async def test_a_login_that_may_not_be_used_says_why(changes: dict[str, object], word: str) -> None:
    counter = Counter(directory(credential(**changes)))
    with pytest.raises(Refused, match=word) as caught:
        await counter.login.check("192.0.2.1", "shop", PASSWORD)
    assert caught.value.reply.code == 535


async def test_whether_a_login_is_revoked_is_told_only_to_who_has_its_password() -> None:
    counter = Counter(directory(credential(revoked=True)))
    with pytest.raises(Refused, match="wrong"):
        await counter.login.check("192.0.2.1", "shop", "x")


async def test_a_missing_key_is_our_failure_and_not_the_clients() -> None:
    counter = Counter(directory(credential()))

    def missing(secret: str, stored: bytes) -> bool:
        raise SecretError("master key version 2 is missing")

    counter.login._matches = missing
    assert await counter.status("shop", PASSWORD) == "454 4.7.0"
    assert counter.login.failed == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_client_is_an_address_or_a_subscribers_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_uses_are_coalesced() -> None:
    uses = Uses()
    uses.note_use(3, "192.0.2.1", 1)
    uses.note_use(3, "192.0.2.2", 2)
    assert {key: (use.address, use.at) for key, use in uses.drain().items()} == {
        3: ("192.0.2.2", 2)
    }
    assert uses.drain() == {}
