"""Hints: settings that are allowed and hardly meant say what follows and what to do."""

from __future__ import annotations

import msgspec

from appliance.core.settings import Delivery, Settings
from appliance.core.settings_hints import hints


def hinted(*, is_believed: bool, **delivery: bool) -> list[str]:
    settings = Settings(delivery=msgspec.structs.replace(Delivery(), **delivery))
    return hints(settings, servers=("192.0.2.53", "192.0.2.54"), is_believed=is_believed)


def test_dane_without_a_name_server_that_is_believed_says_what_to_do() -> None:
    (words,) = hinted(is_believed=False)
    assert "delivery.dane does nothing" in words
    assert "192.0.2.53, 192.0.2.54" in words
    for remedy in ('dns.nameservers = ["127.0.0.1"]', "dns.trusted", "delivery.dane = false"):
        assert remedy in words


def test_where_dane_works_or_is_switched_off_nothing_is_said() -> None:
    assert hinted(is_believed=True) == []
    assert hinted(is_believed=False, dane=False) == []


def test_no_starttls_beside_policies_that_demand_it_is_told() -> None:
    (words,) = hinted(is_believed=True, starttls=False)
    assert "delivery.starttls is false" in words
    assert hinted(is_believed=True, starttls=False, mta_sts=False, dane=False) == []
