"""What a time line and a table of steps tell."""

from __future__ import annotations

import pytest

from admin_ui.console.messages import read_box
from admin_ui.console.timeline import _steps, waits
from appliance.core.errors import UsageError


def test_each_step_begins_when_the_answer_before_it_came():
    rows = list(
        _steps([[20, "CONNECT mx [::1]:25", "220 hi"], [31, "EHLO me", "250 ok"], [31, ".", "250"]])
    )
    assert [(one.name, one.starts, one.took) for one in rows] == [
        ("Connect, greeting", 0, 20),
        ("EHLO", 20, 11),
        ("End of data", 31, 0),
    ]


def test_another_connection_goes_on_where_the_first_ended():
    rows = list(_steps([[20, "CONNECT a", "(refused)"], [5, "CONNECT b", "220 hi"]]))
    assert [(one.starts, one.took) for one in rows] == [(0, 20), (20, 5)]


@pytest.mark.parametrize(
    ("ms", "words"),
    [(-3, "+0 ms"), (5, "+5 ms"), (131, "+0.1 s"), (59_900, "+59.9 s"), (240_000, "+4 m")],
)
def test_differences_are_as_exact_as_they_are_short(ms, words):
    assert waits(ms) == words


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("", {}),
        ("ada@x.example", {"address": "ada@x.example"}),
        ("ada*", {"address": "ada*"}),
        ("ada", {"address": "ada*"}),
        ("@x.example", {"domain": "x.example"}),
        ("x.example", {"domain": "x.example"}),
        ("<1@x.example>", {"message": "<1@x.example>"}),
        ("05p3k8r2m0001", {"message": "05p3k8r2m0001"}),
    ],
)
def test_the_search_box_reads_what_was_typed(typed, read):
    assert read_box(typed) == read


def test_two_letters_are_too_few():
    with pytest.raises(UsageError):
        read_box("ab")
