"""What is written out as CSV reads back as it was, and no cell of it is a formula."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import UsageError
from appliance.run.exports import csv_text, order


@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=("Cs",)), max_size=30), min_size=2, max_size=4
        )
    )
)
def test_cells_come_back_and_none_is_computed(rows):
    read = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    assert [[cell.removeprefix("'") for cell in row] for row in read] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]
    assert not [cell for row in read for cell in row if cell.startswith(("=", "+", "-", "@"))]


def test_what_is_not_known_is_refused_by_its_field():
    with pytest.raises(UsageError) as told:
        order("secrets", {})
    assert told.value.field == "what"
