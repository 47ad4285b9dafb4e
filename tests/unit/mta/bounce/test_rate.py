from __future__ import annotations

from appliance.core import clock
from mta.bounce.rate import Rate
from mta.submission.login import network_of


def test_a_client_may_bring_so_many_a_minute() -> None:
    rate = Rate(2, network_of)
    assert [rate.take("192.0.2.1", 0) for _ in range(3)] == [True, True, False]
    assert rate.take("192.0.2.2", 0)
    assert rate.take("192.0.2.1", clock.MINUTE)


def test_one_ipv6_network_is_one_client() -> None:
    rate = Rate(1, network_of)
    assert rate.take("2001:db8::1", 0)
    assert not rate.take("2001:db8::2", 0)
    assert rate.take("2001:db8:0:1::1", 0)


def test_a_flood_of_clients_takes_bounded_memory() -> None:
    rate = Rate(1, network_of, max_clients=10)
    for number in range(1000):
        rate.take(f"192.0.2.{number}", 0)
    assert len(rate._counts) == 10
