from __future__ import annotations

import pytest

from appliance.core import ids
from appliance.core.errors import UsageError
from appliance.run.cli.filters import Chosen, a_label, filters_of, message_id, site_name


class Session:
    """A session whose box knows every name as number 7, or must not be asked."""

    def __init__(self, *, known=False):
        self.box, self._known = self, known

    def ask(self, work):
        assert self._known, "names were looked up without need"
        return 7, 0


def test_nothing_chosen_is_one_filter_that_matches_everything():
    assert Chosen().is_empty
    assert filters_of(Session(), Chosen()) == [{}]


def test_each_id_is_a_filter_of_its_own_narrowed_by_the_rest():
    first, second = (ids.to_text(number) for number in (1 << 40, 1 << 41))
    chosen = Chosen(ids=(first, second), domain="Example.COM.")
    assert not chosen.is_empty
    assert filters_of(Session(), chosen) == [
        {"domain": "example.com", "message_id": 1 << 40},
        {"domain": "example.com", "message_id": 1 << 41},
    ]


def test_names_become_ids():
    wanted = Chosen(tenant="acme", address="a@b.example", status="held", tag="news", egress="out1")
    assert filters_of(Session(known=True), wanted) == [
        {
            "tenant_id": 7,
            "address": "a@b.example",
            "status": "held",
            "tag": "news",
            "egress": "out1",
        }
    ]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("mx.example.net", "mx.example.net"),
        (" MX.example.net:25 ", "mx.example.net"),
        ("mx1.example.net,mx2.example.net:25|sts", "mx1.example.net,mx2.example.net"),
        ("", ""),
    ],
)
def test_a_site_is_named_by_its_hosts_wherever_it_was_copied_from(typed, name):
    assert site_name(typed) == name


def test_what_is_no_message_id_is_refused_in_words():
    with pytest.raises(UsageError, match="is not a message id"):
        message_id("12")


def test_a_domain_is_looked_for_as_the_queue_knows_it():
    assert a_label(" Bücher.example. ") == "xn--bcher-kva.example"
    with pytest.raises(UsageError, match="is no domain name"):
        a_label("ü" * 70)
