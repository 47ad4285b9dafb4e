from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

import pytest

from appliance.core import clock
from appliance.run.cli.output import (
    Output,
    Table,
    ago,
    ahead,
    counted,
    encode,
    plain,
    printable,
    rendered,
    span,
    when,
)

AT = 1_800_000_000_000  # 2027-01-15T08:00:00Z


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Record:
    name: str
    created_at: int
    removed_at: int
    count: int
    colour: Colour = Colour.RED
    tags: frozenset[str] = frozenset({"b", "a"})


def test_a_record_becomes_a_table_with_times_in_iso_and_null_for_never():
    assert plain(Record("x", AT, 0, 3)) == {
        "name": "x",
        "created_at": "2027-01-15T08:00:00.000Z",
        "removed_at": None,
        "count": 3,
        "colour": "red",
        "tags": ["a", "b"],
    }


@pytest.mark.parametrize("key", ["at", "next", "oldest", "expires", "accepted_at"])
def test_stored_times_are_known_by_their_names(key):
    assert plain({key: AT}) == {key: "2027-01-15T08:00:00.000Z"}


def test_truth_is_not_taken_for_a_time():
    assert plain({"at": True}) == {"at": True}


def test_octets_are_refused_because_they_may_be_a_secret():
    with pytest.raises(TypeError, match="bytes"):
        plain({"secret_hash": b"\x01"})


def test_json_has_no_octet_that_commands_a_terminal():
    hostile = "\x1b]0;owned\x07 \x9b31m \u202e \x7f"
    text = encode({"reply": hostile})
    assert all(char.isprintable() for char in text)
    assert json.loads(text) == {"reply": hostile}


def test_a_lone_surrogate_does_not_break_json():
    assert json.loads(encode({"file": "caf\udce9"})) == {"file": "caf\\udce9"}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain ümläut", "plain ümläut"),
        ("550 \x1b[31mno", "550 \\x1b[31mno"),
        ("two\r\nlines", "two\\r\\nlines"),
        ("\u202eevil", "\\u202eevil"),
    ],
)
def test_what_could_command_a_terminal_is_escaped(given, shown):
    assert printable(given) == shown


def test_a_table_keeps_markup_as_it_is_and_escapes_its_cells():
    text = rendered(Table(("A", "B"), [("[red]x[/red]", "\x1b[2J")], empty="none"))
    assert text.splitlines() == ["A             B", "[red]x[/red]  \\x1b[2J"]


def test_what_another_program_reads_is_never_wrapped():
    text = rendered(Table(("WORDS",), [("long " * 200,)], empty="none"))
    assert len(text.splitlines()) == 2


def test_an_empty_table_says_so():
    assert rendered(Table(("A",), [], empty="nothing waits")) == "nothing waits"


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0 ms"),
        (-5, "0 ms"),
        (999, "999 ms"),
        (1000, "1 s"),
        (59_999, "59 s"),
        (3 * clock.MINUTE + 20_000, "3 min"),
        (2 * clock.HOUR + 10 * clock.MINUTE, "2 h 10 min"),
        (12 * clock.HOUR + 10 * clock.MINUTE, "12 h"),
        (clock.DAY, "1 d"),
        (5 * clock.DAY + 7 * clock.HOUR, "5 d 7 h"),
        (40 * clock.DAY + clock.HOUR, "40 d"),
    ],
)
def test_durations_in_words(ms, words):
    assert span(ms) == words


def test_ages_and_next_tries_in_words():
    assert ago(AT - 2 * clock.MINUTE, AT) == "2 min ago"
    assert ago(0, AT) == "never"
    assert ahead(AT + clock.HOUR, AT) == "in 1 h"
    assert ahead(AT - 1, AT) == "due"


def test_a_time_is_shown_in_utc():
    assert when(AT) == "2027-01-15 08:00:00Z"
    assert when(0) == "-"


def test_counts_have_their_noun():
    assert counted(1, "recipient") == "1 recipient"
    assert counted(2000, "recipient") == "2,000 recipients"


def test_text_is_not_even_made_when_json_was_asked_for(capsys):
    out = Output()
    out.as_json = True

    def parts():
        raise AssertionError("made")
        yield ""

    out.show({"a": 1}, parts())
    out.note("a hint")
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": 1}
    assert captured.err == ""


def test_errors_go_to_standard_error_in_the_form_asked_for(capsys):
    out = Output()
    out.error("one\ntwo")
    out.as_json = True
    out.error("one\ntwo")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == 'one\ntwo\n{"error":"one\\ntwo"}\n'
