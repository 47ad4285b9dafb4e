"""What a receiver's EHLO offers, whatever it says; found by fuzzing."""

from __future__ import annotations

import pytest

from mta.transport.transaction import Offer


@pytest.mark.parametrize(
    ("size", "limit"),
    [
        ("1000", 1000),
        (" 1000 ", 1000),
        ("", 0),
        ("x", 0),
        ("-1", 0),
        ("²", 0),
        ("\u0663", 0),
        ("9" * 30, 0),
    ],
)
def test_the_size_a_receiver_takes_is_a_number_or_unknown(size: str, limit: int) -> None:
    assert Offer.of({"size": size}) == Offer(size=True, max_size=limit)
