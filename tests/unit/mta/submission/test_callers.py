"""Connections that bring nothing are counted by client and minute, in bounded memory."""

from __future__ import annotations

from mta.submission.callers import Callers


def test_a_client_may_open_so_many_a_minute() -> None:
    callers = Callers(3)
    assert [callers.take("a", 5.0) for _ in range(4)] == [True, True, True, False]
    assert callers.take("b", 5.0)
    assert callers.take("a", 61.0)


def test_a_connection_that_brought_something_does_not_count() -> None:
    callers = Callers(2)
    for second in range(50):
        assert callers.take("a", float(second))
        callers.forgive("a")
    assert callers.take("a", 51.0)
    assert callers.take("a", 51.0)
    assert not callers.take("a", 51.0)


def test_one_that_is_forgiven_after_its_minute_gives_nothing_away() -> None:
    callers = Callers(1)
    assert callers.take("a", 59.0)
    callers.forgive("a")
    callers.forgive("a")
    assert callers.take("a", 61.0)
    assert not callers.take("a", 61.0)


def test_it_is_told_once_a_minute() -> None:
    callers = Callers(1)
    callers.take("a", 0.0)
    assert [callers.is_news("a"), callers.is_news("a"), callers.is_news("b")] == [True, False, True]
    callers.take("a", 60.0)
    assert callers.is_news("a")


def test_many_clients_take_bounded_memory() -> None:
    callers = Callers(1, max_clients=10)
    for number in range(1000):
        assert callers.take(str(number), 0.0)
        callers.is_news(str(number))
    assert (len(callers._counts), len(callers._told)) == (10, 10)
