"""Pages and rows of the file format: what SQLite writes is read, and nothing crashes on garbage."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mta.spool.salvage.cells import Kind, NotARowError, columns, kind_of, read_page, varint


@pytest.mark.parametrize(
    ("octets", "value", "length"),
    [
        ("00", 0, 1),
        ("7f", 127, 1),
        ("8100", 128, 2),
        ("ffffffffffffffffff", -1, 9),
        ("81808080808080807f", (1 << 57) + 127, 9),
    ],
)
def test_numbers_of_one_to_nine_octets(octets, value, length):
    assert varint(bytes.fromhex(octets) + b"\x55", 0) == (value, length)


@pytest.mark.parametrize(
    ("record", "values"),
    [
        ("0100", None),  # a header of one octet, and an octet too many
        ("0200", (None,)),
        ("0208", (0,)),
        ("0209", (1,)),
        ("0201ff", (-1,)),
        ("030113" + "05" + "616263", (5, "abc")),
        ("0210" + "6162", (b"ab",)),
        ("0211" + "6162", ("ab",)),
        ("0211" + "ffff", None),  # no UTF-8
        ("0211" + "61", None),  # cut off
        ("0207" + "0000000000000000", None),  # a fraction, which no column of ours holds
        ("020a", None),  # reserved
        ("0501", None),
        ("", None),
    ],
)
def test_a_record_is_read_or_refused(record, values):
    octets = bytes.fromhex(record)
    if values is None:
        with pytest.raises(NotARowError):
            columns(octets)
    else:
        assert columns(octets) == values


@given(st.binary(max_size=200))
def test_no_octets_at_all_crash_the_reading_of_a_record(octets):
    with contextlib.suppress(NotARowError):
        columns(octets)


@given(st.sampled_from(list(Kind)), st.binary(min_size=511, max_size=511))
@example(Kind.INDEX_INNER, bytes(511))
def test_no_octets_at_all_crash_the_reading_of_a_page(kind, rest):
    try:
        page = read_page(bytes((kind,)) + rest)
    except NotARowError:
        return
    assert all(len(cell.local) <= 512 for cell in page.cells)


def test_what_is_of_no_tree_is_no_page():
    assert kind_of(bytes(512)) is None
    with pytest.raises(NotARowError):
        read_page(bytes(512))
