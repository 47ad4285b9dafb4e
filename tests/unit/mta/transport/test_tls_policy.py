"""MTA-20: what is tried with a host, by the receiver's policy, shaping and the settings."""

from __future__ import annotations

import pytest

from mta.shaping.model import TlsNeed
from mta.transport.base import MxHost, TlsDemand
from mta.transport.dane import Tlsa
from mta.transport.tls_policy import ways

PLAIN = MxHost(name="mx.good.test", preference=10, addresses=("192.0.2.1",))
DANE = MxHost(name="mx", preference=10, addresses=(), dane=(Tlsa(3, 1, 1, b"a" * 32),))
UNUSABLE = MxHost(name="mx", preference=10, addresses=(), dane=())

OPPORTUNISTIC, TESTING, VERIFIED, WAIVED = TlsDemand
ANY, REQUIRED, VALID, NONE = (
    TlsNeed.OPPORTUNISTIC,
    TlsNeed.REQUIRED,
    TlsNeed.VERIFIED,
    TlsNeed.NONE,
)


def tried(
    host: MxHost, demand: TlsDemand, need: TlsNeed, *, starttls: bool = True, avoided: bool = False
) -> list[str]:
    found = ways(host, demand, need, starttls=starttls, is_avoided=avoided)
    return [f"{way.mode}, {way.trust}" for way in found]


OFFERED = ["opportunistic, unverified", "none, unverified"]
CLEAR = ["none, unverified"]
ENCRYPTED = ["required, unverified"]
STS = ["required, mta-sts verified"]
TLSA = ["required, dane verified"]


@pytest.mark.parametrize(
    ("host", "demand", "need", "expected"),
    [
        (PLAIN, OPPORTUNISTIC, ANY, OFFERED),
        (PLAIN, OPPORTUNISTIC, REQUIRED, ENCRYPTED),
        (PLAIN, OPPORTUNISTIC, VALID, ["required, verified"]),
        (PLAIN, OPPORTUNISTIC, NONE, CLEAR),
        (PLAIN, TESTING, ANY, STS + OFFERED),
        (PLAIN, TESTING, REQUIRED, STS + ENCRYPTED),
        (PLAIN, TESTING, VALID, ["required, verified"]),
        (PLAIN, TESTING, NONE, STS + OFFERED),  # what is published outweighs "none"
        *((PLAIN, VERIFIED, need, STS) for need in TlsNeed),
        *((DANE, demand, need, TLSA) for demand in TlsDemand for need in TlsNeed),
        *((UNUSABLE, OPPORTUNISTIC, need, ENCRYPTED) for need in (ANY, REQUIRED, NONE)),
        (UNUSABLE, OPPORTUNISTIC, VALID, ["required, verified"]),
        (UNUSABLE, TESTING, ANY, STS + ENCRYPTED),
        (UNUSABLE, VERIFIED, ANY, STS),
        (PLAIN, WAIVED, ANY, OFFERED),
        (PLAIN, WAIVED, NONE, CLEAR),
        (PLAIN, WAIVED, REQUIRED, ENCRYPTED),  # our own demand is not the receiver's to waive
    ],
)
def test_the_stricter_demand_wins(
    host: MxHost, demand: TlsDemand, need: TlsNeed, expected: list[str]
) -> None:
    assert tried(host, demand, need) == expected


@pytest.mark.parametrize("option", [{"starttls": False}, {"avoided": True}])
def test_broken_or_switched_off_tls_is_given_up_only_where_nobody_demands_it(
    option: dict[str, bool],
) -> None:
    assert tried(PLAIN, OPPORTUNISTIC, ANY, **option) == CLEAR
    assert tried(PLAIN, OPPORTUNISTIC, REQUIRED, **option) == ENCRYPTED
    assert tried(PLAIN, VERIFIED, ANY, **option) == STS
    assert tried(DANE, OPPORTUNISTIC, ANY, **option) == TLSA
    assert tried(UNUSABLE, OPPORTUNISTIC, ANY, **option) == ENCRYPTED


def test_a_demand_says_whose_it_is() -> None:
    for host, demand, need, words in (
        (DANE, OPPORTUNISTIC, ANY, "DANE"),
        (UNUSABLE, OPPORTUNISTIC, ANY, "DANE"),
        (PLAIN, VERIFIED, ANY, "MTA-STS"),
        (PLAIN, OPPORTUNISTIC, VALID, "shaping"),
    ):
        (way,) = ways(host, demand, need, starttls=True, is_avoided=False)
        assert words in way.why
