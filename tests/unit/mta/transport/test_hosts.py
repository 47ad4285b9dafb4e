"""Back-off of hosts: they are tried last for a while, never forbidden."""

from __future__ import annotations

from mta.transport.hosts import LONGEST_WAIT, HostMemory

A, B, C = ("a.lab", "192.0.2.1"), ("b.lab", "192.0.2.2"), ("c.lab", "192.0.2.3")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_failed_address_is_tried_last_until_its_time_is_over() -> None:
    clock = Clock()
    hosts = HostMemory(now=clock)
    hosts.failed(("192.0.2.1", 25))
    assert hosts.good_first([A, B, C], 25) == [B, C, A]
    assert hosts.good_first([A, B, C], 2525) == [A, B, C]  # another port is another place
    clock.now = 60.0
    assert hosts.good_first([A, B, C], 25) == [A, B, C]


def test_the_time_doubles_up_to_a_bound_and_a_success_forgets() -> None:
    clock = Clock()
    hosts = HostMemory(now=clock)
    waits = []
    for _ in range(7):
        hosts.failed(("192.0.2.1", 25))
        until = clock.now
        while hosts.is_bad(("192.0.2.1", 25)):
            clock.now += 30
        waits.append(clock.now - until)
    assert waits == [60, 120, 240, 480, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
    hosts.worked(("192.0.2.1", 25))
    hosts.failed(("192.0.2.1", 25))
    clock.now += 60
    assert not hosts.is_bad(("192.0.2.1", 25))


def test_the_memory_is_bounded() -> None:
    hosts = HostMemory(now=lambda: 0.0)
    for n in range(10_001):
        hosts.failed((f"host-{n}", 25))
    assert not hosts.is_bad(("host-0", 25))
    assert hosts.is_bad(("host-10000", 25))
