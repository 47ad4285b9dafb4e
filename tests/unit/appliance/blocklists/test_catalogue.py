"""The file of lists: the shipped one is sound, and a mistake is told with its line."""

from __future__ import annotations

import pytest

from appliance.blocklists import Family, shipped_lists
from appliance.blocklists.catalogue import parse_lists
from appliance.core.errors import ConfigError

FILE = """
[[list]]
name = "First"
zone = "first.test"
families = ["ipv4", "ipv6"]
drain = true
lookup = "https://first.test/?ip={address}"
runbook = ["look", "wait"]
[list.codes]
"127.0.0.2" = "spam"
[list.refused]
"127.0.0.200" = "too often"

[[list]]
name = "Second"
zone = "second.test"
families = ["ipv4"]
drain = false
lookup = "https://second.test/"
runbook = ["wait"]
codes = { "127.0.0.*" = "spam" }
"""


def test_a_file_of_lists_is_read():
    first, second = parse_lists(FILE, "lists.toml")
    assert (first.zone, first.drain, second.drain) == ("first.test", True, False)
    assert first.families == (Family.IPV4, Family.IPV6)
    assert first.page_for("9.9.9.9") == "https://first.test/?ip=9.9.9.9"
    assert first.is_refusal("127.0.0.200")
    assert not second.is_refusal("127.0.0.200")
    assert second.is_refusal("127.255.255.1")  # whatever the file says


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('zone = "second.test"', 'zone = "first.test"', 16, "has an entry already"),
        ('name = "Second"', 'name = "First"', 15, "another list has this name"),
        ('"127.0.0.2" = "spam"', '"127.0.0.1" = "spam"', 10, "never a listing"),
        ('"127.0.0.2" = "spam"', '"127.255.255.254" = "spam"', 10, "refuses the question"),
        ('"127.0.0.2" = "spam"', '"127.0.0.200" = "spam"', 10, "refuses the question"),
        ('"127.0.0.2" = "spam"', '"192.0.2.1" = "spam"', 9, "127"),
        ('zone = "second.test"', 'zone = "Second Test"', 16, "zone"),
        ('zone = "second.test"', 'zone = "test"', 16, "zone"),
        ('zone = "second.test"', "", 14, "zone"),
        ("drain = false", 'drain = "no"', 18, "drain"),
        ("drain = false", "drain = false\ndrains = true", 19, "drains"),
        ('families = ["ipv4"]', 'families = ["ipv5"]', 17, "ipv5"),
        ('families = ["ipv4"]', "families = []", 17, "families"),
        ('runbook = ["wait"]', "runbook = []", 20, "runbook"),
        ('lookup = "https://second.test/"', 'lookup = "second.test"', 19, "lookup"),
        ('codes = { "127.0.0.*" = "spam" }', "codes = {}", 21, "codes"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(old, new, line, words):
    assert FILE.count(old) == 1
    with pytest.raises(ConfigError) as raised:
        parse_lists(FILE.replace(old, new), "lists.toml")
    assert str(raised.value).startswith(f"lists.toml:{line}: ")
    assert words in str(raised.value)


def test_what_is_not_toml_is_told():
    with pytest.raises(ConfigError, match=r"lists\.toml:2: not TOML: "):
        parse_lists("\n[[list\nzone = 1", "lists.toml")


def test_every_mistake_is_told_at_once():
    wrong = FILE.replace('zone = "second.test"', 'zone = "first.test"')
    wrong = wrong.replace('name = "Second"', 'name = "First"')
    with pytest.raises(ConfigError) as raised:
        parse_lists(wrong, "lists.toml")
    assert len(str(raised.value).splitlines()) == 2


def test_the_shipped_file_is_sound_and_says_what_to_do():
    lists = shipped_lists()
    assert len(lists) >= 8
    zen = lists[0]
    assert zen.zone == "zen.spamhaus.org"
    assert all(zen.meaning_of(f"127.0.0.{n}") for n in (2, 3, 4, 5, 6, 7, 9, 10, 11))
    assert all(zen.is_refusal(f"127.255.255.{n}") for n in (252, 254, 255))
    assert sum(Family.IPV6 in entry.families for entry in lists) >= 3
    assert not any("sorbs" in entry.zone for entry in lists)  # closed in June 2024
