"""What is wrong with an address, and which record would make it right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.egress.judge import Facts, Found, judge, settled
from appliance.egress.model import AddressCheck, CheckState

GOOD = Facts(
    address="203.0.113.5",
    helo="out1.example.com",
    forward=Found(("203.0.113.9", "203.0.113.5")),
    reverse=Found(("out1.example.com",)),
    back={"out1.example.com": Found(("203.0.113.5",))},
)
GOOD6 = Facts(
    address="2001:db8::5",
    helo="out1.example.com",
    forward=Found(("2001:db8:0:0::5",)),
    reverse=Found(("out1.example.com",)),
    back={"out1.example.com": Found(("2001:db8::5",))},
)
SILENT = Found(trouble="no name server answered in time")


@pytest.mark.parametrize("facts", [GOOD, GOOD6])
def test_an_address_that_leads_there_and_back_is_right(facts):
    found = judge(facts, 5)
    assert (found.state, found.problems, found.warnings) == (CheckState.OK, (), ())
    assert (found.at, found.reverse) == (5, ("out1.example.com",))


@pytest.mark.parametrize(
    ("facts", "words", "record"),
    [
        (
            replace(GOOD, forward=Found()),
            "out1.example.com does not lead to 203.0.113.5:",
            "`out1.example.com. A 203.0.113.5`",
        ),
        (
            replace(GOOD, forward=Found(("198.51.100.1",))),
            "does not lead to 203.0.113.5 but to 198.51.100.1:",
            "`out1.example.com. A 203.0.113.5`",
        ),
        (
            replace(GOOD6, forward=Found()),
            "does not lead to 2001:db8::5",
            "`out1.example.com. AAAA 2001:db8::5`",
        ),
        (
            replace(GOOD, reverse=Found(), back={}),
            "203.0.113.5 has no reverse name",
            "`5.113.0.203.in-addr.arpa. PTR out1.example.com.`",
        ),
        (
            replace(GOOD, back={"out1.example.com": Found(("198.51.100.1",))}),
            "does not lead back to it",
            "`5.113.0.203.in-addr.arpa. PTR out1.example.com.`",
        ),
    ],
)
def test_what_is_wrong_comes_with_the_record_to_publish(facts, words, record):
    found = judge(facts, 5)
    assert found.state is CheckState.WRONG
    (problem,) = found.problems
    assert words in problem
    assert record in problem


def test_one_of_several_reverse_names_that_leads_back_is_enough():
    back = {"a.example": Found(("198.51.100.1",)), "out1.example.com": Found(("203.0.113.5",))}
    names = Found(("a.example", "out1.example.com"))
    assert judge(replace(GOOD, reverse=names, back=back), 5).state is CheckState.OK


def test_another_reverse_name_and_an_address_from_elsewhere_are_warnings():
    facts = replace(
        GOOD,
        reverse=Found(("host5.isp.example",)),
        back={"host5.isp.example": Found(("203.0.113.5",))},
        is_here=False,
    )
    found = judge(facts, 5)
    assert (found.state, found.problems) == (CheckState.OK, ())
    other, elsewhere = found.warnings
    assert "the reverse name of 203.0.113.5 is host5.isp.example" in other
    assert "no interface of this machine has 203.0.113.5" in elsewhere
    assert "203.0.113.5/32" in elsewhere


@pytest.mark.parametrize(
    "facts",
    [
        replace(GOOD, forward=SILENT),
        replace(GOOD, reverse=SILENT, back={}),
        replace(GOOD, back={"out1.example.com": SILENT}),
    ],
)
def test_what_dns_could_not_say_is_unknown_and_not_wrong(facts):
    found = judge(facts, 5)
    assert found.state is CheckState.UNKNOWN
    assert found.problems == ("no name server answered in time",)


def test_an_answer_that_nobody_could_give_changes_nothing_of_what_was_known():
    old = AddressCheck(address="203.0.113.5", at=1, state=CheckState.OK)
    unknown = replace(old, at=2, state=CheckState.UNKNOWN)
    wrong = replace(old, at=2, state=CheckState.WRONG)
    assert settled((old,), (unknown,)) == (old,)
    assert settled((old,), (wrong,)) == (wrong,)
    assert settled((), (unknown,)) == (unknown,)
