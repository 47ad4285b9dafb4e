from __future__ import annotations

import pytest

from appliance.core import ids
from appliance.core.errors import UsageError
from appliance.run.cli.filters import Chosen, a_label, filters_of, message_id


class Nowhere:
    """A box whose records must not be looked at."""

    def ask(self, work):
        raise AssertionError("names were looked up without need")


class Known:
    """A box where every name is 7."""

    def ask(self, work):
        return {"tenant_id": 7}


def test_nothing_chosen_is_one_filter_that_matches_everything():
    assert Chosen().is_empty
    assert filters_of(Nowhere(), Chosen()) == [{}]


def test_each_id_is_a_filter_of_its_own_narrowed_by_the_rest():
    first, second = (ids.to_text(number) for number in (1 << 40, 1 << 41))
    chosen = Chosen(ids=(first, second), domain="Example.COM.")
    assert not chosen.is_empty
    assert filters_of(Nowhere(), chosen) == [
        {"domain": "example.com", "message_id": 1 << 40},
        {"domain": "example.com", "message_id": 1 << 41},
    ]


def test_names_become_ids():
    wanted = Chosen(tenant="acme", address="a@b.example", status="held")
    assert filters_of(Known(), wanted) == [
        {"tenant_id": 7, "address": "a@b.example", "status": "held"}
    ]


def test_what_is_no_message_id_is_refused_in_words():
    with pytest.raises(UsageError, match="is not a message id"):
        message_id("12")


def test_a_domain_is_looked_for_as_the_queue_knows_it():
    assert a_label(" Bücher.example. ") == "xn--bcher-kva.example"
    with pytest.raises(UsageError, match="is no domain name"):
        a_label("ü" * 70)
