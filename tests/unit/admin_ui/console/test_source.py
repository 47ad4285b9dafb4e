"""The bytes of a message as a page shows them."""

from __future__ import annotations

from admin_ui.console.source import MOST, fields_of, lines_of, text_of


def test_folded_fields_are_one_and_encoded_ones_are_read():
    fields = fields_of(
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n next\r\nX: 1\r\n\r\nbody: no field"
    )
    assert [(one.name, one.value) for one in fields] == [
        ("Subject", "=?utf-8?q?Gr=C3=BC=C3=9Fe?= next"),
        ("X", "1"),
    ]
    assert fields[0].read == "Grüße next"


def test_what_only_looks_encoded_stays_as_it_is():
    (field,) = fields_of(b"Subject: =?odd-charset?b?////?=\r\n\r\n")
    assert field.value == "=?odd-charset?b?////?="


def test_signs_that_hide_or_turn_text_are_shown():
    text = text_of("a\x00b\x1b[31m\u202etxt.exe".encode())
    assert text == "a\u2400b\u241b[31m\ufffdtxt.exe"


def test_long_runs_of_base64_are_folded_and_short_ones_are_not():
    line = b"A" * 76 + b"\r\n"
    assert len(lines_of(line * 8)) == 9  # and the end
    shown = lines_of(b"X: 1\r\n\r\n" + line * 100)
    assert [one.text for one in shown if one.is_note] == ["... 98 more lines (7.4 KB of base64)"]
    assert shown[0].name == "X:"


def test_a_large_message_is_cut_with_words():
    assert lines_of(b"x\r\n" * MOST)[-1].text.endswith("download it to see all")
