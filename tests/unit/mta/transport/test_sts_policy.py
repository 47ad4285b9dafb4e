"""MTA-STS (RFC 8461): records, policy files and patterns."""

from __future__ import annotations

import pytest

from mta.transport.sts_policy import MAX_AGE, Mode, Policy, Unsound, id_in, parse

GOOD = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=1"], "1"),
        (["v=STSv1; x=y; id = abc ; z"], "abc"),
        (["v=spf1 -all", "v=STSv1; id=1;"], "1"),
        ([], ""),
        (["v=spf1 -all"], ""),
        (["v=STSv1; id=1", "v=STSv1; id=2"], ""),  # two of them: none (section 3.1)
        (["v=STSv1"], ""),
        (["v=STSv1; id="], ""),
        (["v=STSv1; id=no-dashes"], ""),
        (["v=STSv1; id=" + "a" * 33], ""),
        (["v=STSv10; id=1"], ""),
        (["id=1; v=STSv1"], ""),
    ],
)
def test_the_id_in_the_record(texts: list[str], found: str) -> None:
    assert id_in(texts) == found


@pytest.mark.parametrize("text", [GOOD, GOOD.replace("\r\n", "\n"), GOOD.rstrip(), "\n" + GOOD])
def test_a_policy_is_read(text: str) -> None:
    policy = parse(text)
    assert policy == Policy(Mode.ENFORCE, ("mail.example.com", "*.example.net"), 604_800)
    assert policy.lines() == tuple(GOOD.splitlines())


def test_unknown_fields_and_repeated_ones_are_passed_over() -> None:
    policy = parse(GOOD + "future: yes\nmode: none\nmax_age: 1\nmx: MAIL.example.com.\n")
    assert (policy.mode, policy.max_age, len(policy.mx)) == (Mode.ENFORCE, 604_800, 2)


def test_a_policy_that_was_taken_back_needs_no_mx() -> None:
    assert parse("version: STSv1\nmode: none\nmax_age: 86400\n").mode is Mode.NONE


def test_a_policy_holds_a_year_at_most() -> None:
    assert parse(GOOD.replace("604800", "9999999999")).max_age == MAX_AGE


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version: STSv1", "version: STSv2", "does not say version"),
        ("version: STSv1\r\n", "", "does not say version"),
        ("mode: enforce", "mode: sometimes", "no mode that is known"),
        ("max_age: 604800", "max_age: -1", "no number of seconds"),
        ("max_age: 604800", "max_age: ٣", "no number of seconds"),
        ("max_age: 604800", "", "no number of seconds"),
        ("mx: mail.example.com\r\nmx: *.example.net\r\n", "", "names no mx"),
        ("mail.example.com", "not a host", "no host name"),
        ("mail.example.com", "mail.*.com", "no host name"),
        ("mail.example.com", "*", "no host name"),
        ("mode: enforce", "<html>", "cannot be read"),
    ],
)
def test_a_policy_that_is_unsound_says_why(old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(Unsound, match=words):
        parse(GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("mail.example.com", True),
        ("MAIL.Example.com.", True),
        ("mx.example.net", True),
        ("example.net", False),
        ("a.mx.example.net", False),  # a wildcard stands for one label
        ("mail.example.com.evil.test", False),
        ("xmail.example.com", False),
        ("mx.notexample.net", False),
        ("", False),
    ],
)
def test_the_patterns_name_hosts(host: str, allowed: bool) -> None:
    assert parse(GOOD).allows(host) is allowed
