"""Whose hosts these are: by whole labels, and only if all of them agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.shaping.book import parse_book

BOOK = parse_book(
    """
[default]
connections = 1
messages_per_connection = 1
[provider.google]
mx = [".google.com", ".googlemail.com"]
[provider.inner]
mx = [".special.google.com"]
[provider.consumer]
mx = [".olc.protection.outlook.com"]
[provider.business]
mx = [".mail.protection.outlook.com", ".mx.microsoft"]
""",
    "x",
)
SUFFIXES = {
    end: one.name for one in BOOK.providers.values() for end in one.suffixes
}  # fmt: skip


@pytest.mark.parametrize(
    ("hosts", "provider"),
    [
        (["aspmx.l.google.com"], "google"),
        (["ASPMX.L.Google.COM."], "google"),
        (["google.com"], "google"),
        (["aspmx.l.google.com", "alt1.aspmx2.googlemail.com"], "google"),
        (["evilgoogle.com"], ""),
        (["google.com.evil.example"], ""),
        (["aspmx.l.google.com.evil.example"], ""),
        (["aspmx.l.google.co"], ""),
        # All of them, or none.
        (["aspmx.l.google.com", "backup.example.org"], ""),
        (["aspmx.l.google.com", "x.mail.protection.outlook.com"], ""),
        (["hotmail-com.olc.protection.outlook.com"], "consumer"),
        (["example-com.mail.protection.outlook.com"], "business"),
        (["example-com.a-v1.mx.microsoft"], "business"),
        (["example-com.mail.protection.outlook.com", "hotmail-com.olc.protection.outlook.com"], ""),
        # The longer suffix counts.
        (["mx.special.google.com"], "inner"),
        (["mx.special.google.com", "mx.google.com"], ""),
        ([], ""),
        ([""], ""),
        (["."], ""),
        (["192.0.2.1"], ""),
    ],
)
def test_known_hosts(hosts: list[str], provider: str) -> None:
    assert BOOK.provider_of(hosts).name == provider


def test_the_hosts_of_a_site_may_be_told_one_by_one() -> None:
    assert BOOK.provider_of(host for host in ("a.google.com", "b.google.com")).name == "google"


label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
names = st.lists(label, min_size=1, max_size=4).map(".".join)


def ends_in_labels(host: str, suffix: str) -> bool:
    """The same, said in another way."""
    wanted = suffix.strip(".").split(".")
    return host.split(".")[-len(wanted) :] == wanted


@given(names, st.sampled_from(["", *SUFFIXES, *(end.lstrip(".") for end in SUFFIXES)]))
def test_a_host_is_a_providers_only_by_whole_labels(name: str, end: str) -> None:
    host = name + end
    fitting = [suffix for suffix in SUFFIXES if ends_in_labels(host, suffix)]
    expected = SUFFIXES[max(fitting, key=len)] if fitting else ""
    assert BOOK.provider_of([host]).name == expected


@given(st.lists(st.sampled_from(sorted(SUFFIXES)), min_size=1, max_size=5), names)
def test_a_site_is_a_providers_only_if_all_hosts_are(ends: list[str], name: str) -> None:
    owners = {SUFFIXES[end] for end in ends}
    found = BOOK.provider_of([f"h{number}{end}" for number, end in enumerate(ends)]).name
    assert found == (owners.pop() if len(owners) == 1 else "")
    assert BOOK.provider_of([*(f"h{end}" for end in ends), f"{name}.example"]).name == ""


@given(st.lists(st.text(max_size=40), max_size=3))
def test_no_host_name_can_break_it(hosts: list[str]) -> None:
    BOOK.provider_of(hosts)
