"""Lines: every key is found on the line where a person sees it."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.settings_lines import line_of, lines_of
from appliance.core.settings_options import as_toml
from appliance.core.settings_reference import reference_toml

SAMPLE = '''\
# a comment with [brackets] and = signs
top = 1
[delivery]   # after a table
remote_port = 25 # x = 3

"quoted.key" = "a # no comment"
helo = """
[not.a.table]
also = "not a key"
"""
raw = \'\'\'
= [ { \'\'\'
after = 'C:\\'
[dns]
nameservers = [ # first
  "192.0.2.1",
  # nothing = here
  "192.0.2.2", [1,
  2]
]
a.b.c = { x = 1, y = { z = "}" } }
[[trusted]]
network = "10.0.0.0/8"
[[trusted]]
network = "10.1.0.0/16"
  [trusted.sub]
  key = true
when = 2026-01-01T00:00:00Z
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("delivery",), 3),
        (("delivery", "remote_port"), 4),
        (("delivery", "quoted.key"), 6),
        (("delivery", "helo"), 7),
        (("delivery", "raw"), 11),
        (("delivery", "after"), 13),
        (("dns", "nameservers"), 15),
        (("dns", "nameservers", 0), 16),
        (("dns", "nameservers", 1), 18),
        (("dns", "nameservers", 2, 1), 19),
        (("dns", "a", "b", "c"), 21),
        (("dns", "a", "b", "c", "y", "z"), 21),
        (("trusted", 0, "network"), 23),
        (("trusted", 1, "network"), 25),
        (("trusted", 1, "sub", "key"), 27),
        (("trusted", 1, "sub", "when"), 28),
    ],
)
def test_a_key_is_found_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(SAMPLE)
    assert lines_of(SAMPLE).get(path) == line


def test_what_has_no_line_takes_that_of_what_is_around_it() -> None:
    lines = lines_of(SAMPLE)
    assert line_of(lines, ("delivery", "missing")) == 3
    assert line_of(lines, ("nowhere", "at", "all")) is None


def test_every_key_of_the_reference_file_is_found_in_order() -> None:
    text = reference_toml()
    rows = text.splitlines()
    for path, line in lines_of(text).items():
        if isinstance(path[-1], str):
            assert path[-1] in rows[line - 1]


@given(st.text(max_size=200))
def test_the_scan_ends_on_any_text(text: str) -> None:
    lines_of(text)


_keys = st.text(min_size=1, max_size=6)
_values = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)


def _paths(value: Any, at: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    return [at, *(path for key, item in items for path in _paths(item, (*at, key)))]


@given(st.dictionaries(_keys, _values, max_size=5))
def test_every_path_of_a_file_is_known_on_the_line_it_was_written(table: dict[str, Any]) -> None:
    text = "".join(f"{as_toml({key: value})[2:-2]}\n" for key, value in table.items())
    assert tomllib.loads(text) == table
    lines = lines_of(text)
    for number, (key, value) in enumerate(table.items(), start=1):
        for path in _paths(value, (key,)):
            assert lines[path] == number
