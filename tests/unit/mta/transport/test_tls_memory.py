"""Hosts whose TLS is broken are left in peace for a time."""

from __future__ import annotations

from mta.transport.tls_memory import TlsMemory

HOUR, DAY = 3600.0, 86_400.0


class Ticks:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_time_doubles_from_an_hour_to_a_day() -> None:
    clock = Ticks()
    memory = TlsMemory(now=clock)
    for wait in (HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, DAY, DAY):
        assert not memory.is_avoided("192.0.2.1")
        memory.failed("192.0.2.1")
        clock.now += wait - 1
        assert memory.is_avoided("mx.good.test", "192.0.2.1")
        clock.now += 1


def test_a_handshake_that_works_forgets_everything() -> None:
    clock = Ticks()
    memory = TlsMemory(now=clock)
    memory.failed("192.0.2.1")
    memory.avoid("mx.good.test", 60)
    memory.worked("mx.good.test", "192.0.2.1")
    assert not memory.is_avoided("mx.good.test", "192.0.2.1")
    memory.failed("192.0.2.1")
    clock.now += HOUR
    assert not memory.is_avoided("192.0.2.1")


def test_a_place_can_be_avoided_for_a_given_time_which_shortens_no_other() -> None:
    clock = Ticks()
    memory = TlsMemory(now=clock)
    memory.avoid("mx.good.test", 60)
    assert memory.is_avoided("mx.good.test", "192.0.2.1")
    memory.avoid("mx.good.test", 10)
    clock.now += 59
    assert memory.is_avoided("mx.good.test")
    clock.now += 1
    assert not memory.is_avoided("mx.good.test")


def test_the_memory_is_bounded() -> None:
    memory = TlsMemory(now=Ticks())
    for n in range(10_001):
        memory.failed(str(n))
    assert not memory.is_avoided("0")
    assert memory.is_avoided("1")
    assert memory.is_avoided("10000")
