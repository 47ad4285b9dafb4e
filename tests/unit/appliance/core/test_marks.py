"""What changed between two looks at control.db."""

from __future__ import annotations

from sqlalchemy import literal_column

from appliance.core.marks import EVERYBODY, Mark, Marks, Moved, moved, row

ROWS = row(literal_column("0"))
STANDING, NEWEST = Marks("jobs", ROWS), Marks("audit", ROWS, newest=3)


def jobs(*rows: tuple[int, int]) -> dict[str, frozenset[Mark]]:
    return {"jobs": frozenset(Mark("jobs", tenant, "", 1, value) for tenant, value in rows)}


def audit(*rows: tuple[int, int]) -> dict[str, frozenset[Mark]]:
    return {"audit": frozenset(Mark("audit", tenant, "user.role", n, 0) for tenant, n in rows)}


def test_a_standing_row_that_comes_changes_or_goes_is_a_change_of_its_tenant():
    assert moved([STANDING], jobs((1, 5), (2, 7)), jobs((1, 5), (2, 8))) == {Moved("jobs", 2, "")}
    assert moved([STANDING], jobs(), jobs((1, 5))) == {Moved("jobs", 1, "")}
    assert moved([STANDING], jobs((1, 5)), {}) == {Moved("jobs", 1, "")}
    assert moved([STANDING], jobs((1, 5)), jobs((1, 5))) == set()


def test_an_old_row_that_is_pushed_out_by_a_new_one_is_no_change():
    before, after = audit((1, 1), (2, 2), (3, 3)), audit((2, 2), (3, 3), (4, 4))
    assert moved([NEWEST], before, after) == {Moved("audit", 4, "user.role")}


def test_a_row_that_was_committed_late_is_found_below_newer_ones():
    before, after = audit((1, 1), (3, 3)), audit((1, 1), (2, 2), (3, 3))
    assert moved([NEWEST], before, after) == {Moved("audit", 2, "user.role")}


def test_more_than_was_looked_at_concerns_everybody():
    before, after = audit((1, 1), (2, 2), (3, 3)), audit((7, 7), (7, 8), (7, 9))
    assert moved([NEWEST], before, after) == {Moved("audit", EVERYBODY, "")}
