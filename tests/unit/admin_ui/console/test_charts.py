"""A chart's geometry stays in its box, starts at 0 and survives every number."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_ui.console.chart_axis import steps, tick_word, value_word
from admin_ui.console.charts import Kind, Mark, Plot, Series, Tone, draw, legend_of

HOURS = tuple(f"{hour:02}" for hour in range(24))
NUMBERS = st.one_of(st.none(), st.floats(), st.integers(min_value=-5, max_value=10**12))
ROWS = st.integers(min_value=1, max_value=40).flatmap(
    lambda count: st.lists(
        st.tuples(st.sampled_from(Kind), st.lists(NUMBERS, min_size=count, max_size=count)),
        min_size=1,
        max_size=4,
    )
)


def sent(*values, **more):
    return Series(name="Delivered", tone=Tone.DONE, values=values, **more)


def plotted(*series, count=None, **more):
    words = tuple(str(day) for day in range(1, (count or len(series[0].values)) + 1))
    return draw(Plot(finding="Mail rose.", labels=words, series=series, **more))


@given(ROWS)
def test_every_bar_and_line_is_within_the_box_whatever_the_numbers_are(rows):
    series = [
        Series(name=f"S{number}", tone=Tone.DONE, kind=kind, values=tuple(values))
        for number, (kind, values) in enumerate(rows)
    ]
    chart = plotted(*series, now=0)
    for column in chart.columns:
        assert 0 <= column.x <= column.x + column.width <= 100.01
        assert column.bar_x >= -0.01 or all(s.kind in (Kind.LINE, Kind.DASHED) for s in series)
        for bar in column.bars:
            assert bar.y >= -0.01
            assert bar.height > 0
            assert bar.y + bar.height <= chart.height + 2.01  # the foot below the base line
    for trace in chart.traces:
        assert all(0 <= y <= chart.height for y in _heights(trace.d))


@given(
    st.floats(min_value=0, max_value=1e15, allow_subnormal=False),
    st.sampled_from((2, 5)),
    st.booleans(),
)
def test_the_lines_are_three_to_six_from_zero_and_reach_the_largest_value(highest, most, is_whole):
    found = steps(highest, most, is_whole=is_whole)
    assert found[0] == 0
    assert 3 <= len(found) <= 6
    assert found[-1] >= highest * (1 - 1e-6)
    assert not is_whole or all(value == int(value) for value in found)


@pytest.mark.parametrize(
    ("highest", "most", "wanted"),
    [
        (2350, 5, (0, 500, 1000, 1500, 2000, 2500)),
        (148, 5, (0, 40, 80, 120, 160)),
        (6200, 2, (0, 4000, 8000)),
        (2200, 2, (0, 1500, 3000)),
        (1, 5, (0, 1, 2)),
        (0, 5, (0, 1, 2)),
    ],
)
def test_steps_are_rounded_as_people_count(highest, most, wanted):
    assert steps(highest, most, is_whole=True) == wanted


def test_a_share_of_a_per_cent_gets_broken_steps():
    assert steps(1.1, 5, is_whole=False) == (0, 0.25, 0.5, 0.75, 1.0, 1.25)


@pytest.mark.parametrize(
    ("value", "top", "unit", "word"),
    [
        (2500, 2500, "", "2,500"),
        (4000, 8000, "", "4 k"),
        (1500, 3000, "", "1.5 k"),
        (1_500_000, 2_000_000, "", "1.5 M"),
        (0, 8000, "", "0"),
        (0.25, 1.25, "%", "0.25 %"),
    ],
)
def test_an_axis_is_short(value, top, unit, word):
    assert tick_word(value, top, unit) == word


def test_a_value_is_whole_in_words():
    assert value_word(1_204_118) == "1,204,118"
    assert value_word(1.2, "%") == "1.2 %"
    assert value_word(None) == "no data"
    assert value_word(100) == "100"


def test_bars_stack_from_the_base_up_in_the_order_of_the_series():
    failed = Series(name="Failed", tone=Tone.FAILED, values=(50,))
    (column,) = plotted(sent(100), failed).columns
    lower, upper = column.bars
    assert (lower.classes, upper.classes) == ("tone-done", "tone-failed")
    assert upper.y < lower.y
    assert upper.y + upper.height <= lower.y


def test_one_failure_among_thousands_is_seen():
    (column,) = plotted(sent(2500), Series(name="F", tone=Tone.FAILED, values=(1,))).columns
    assert column.bars[1].height >= 2
    assert column.bars[1].y >= 0


def test_one_column_is_a_bar_and_not_a_wall():
    chart = plotted(sent(3))
    assert chart.bar_width <= 6
    assert chart.columns[0].middle == 50


def test_nothing_but_zeros_is_a_chart_with_lines_and_no_bars():
    chart = plotted(sent(0, 0, 0))
    assert [tick.text for tick in chart.ticks] == ["0", "1", "2"]
    assert not any(column.bars for column in chart.columns)
    assert chart.empty == ""


@pytest.mark.parametrize("values", [(), (None, None), (math.nan, math.inf)])
def test_no_number_at_all_is_a_sentence(values):
    chart = plotted(sent(*values), count=2, empty="No mail yet.")
    assert chart.empty == "No mail yet."
    assert chart.columns == ()


def test_a_line_has_a_gap_where_nothing_is_known_and_a_dot_where_one_stands_alone():
    line = sent(1, 2, None, 3, kind=Kind.LINE)
    area, drawn = plotted(line).traces
    assert area.classes == "area tone-done"
    assert drawn.d.count("M") == 2
    assert drawn.d.endswith("h0.01")


def test_only_the_first_line_has_an_area():
    chart = plotted(sent(1, 2, kind=Kind.LINE), sent(2, 1, kind=Kind.LINE))
    assert [trace.classes.split()[0] for trace in chart.traces] == ["area", "line", "line"]


def test_lines_alone_reach_from_edge_to_edge_and_beside_bars_the_middle_of_each():
    assert [column.middle for column in plotted(sent(1, 2, kind=Kind.LINE)).columns] == [0, 100]
    beside = plotted(sent(1, 2), sent(1, 2, kind=Kind.DASHED))
    assert [column.middle for column in beside.columns] == [25, 75]


def test_a_plan_is_stairs_over_the_whole_width():
    (trace,) = plotted(sent(1, 2, kind=Kind.STEP), height=100).traces
    assert trace.d == "M0 50.0 V50.0 H500 V0.0 H1000"


def test_a_held_and_a_stepped_back_day_have_colour_sign_and_word():
    chart = plotted(sent(100, 90, 80, marks=(None, Mark.STEPPED_BACK, Mark.HELD)))
    plain, back, held = chart.columns
    assert plain.signs == ()
    assert [back.bars[0].classes, back.signs[0].mark] == ["tone-failed", Mark.STEPPED_BACK]
    assert [held.bars[0].classes, held.signs[0].mark] == ["tone-waiting", Mark.HELD]
    assert held.tip == "3|Delivered 80, held"
    assert [entry.name for entry in chart.legend] == [
        "Delivered", "Delivered, held", "Delivered, stepped back",
    ]  # fmt: skip


def test_a_sign_that_has_no_room_in_its_bar_stands_above_it():
    held = sent(1, 1000, marks=(Mark.HELD, None))
    column = plotted(held).columns[0]
    (sign,) = column.signs
    assert (sign.mark, sign.classes) == (Mark.HELD, "sign is-above tone-waiting")
    assert sign.y < column.bars[0].y


def test_what_is_not_finished_is_faint_unless_an_outline_says_what_may_come():
    assert plotted(sent(5, 2), now=1).columns[1].classes == "column is-unfinished"
    budget = Series(name="Budget", tone=Tone.DONE, kind=Kind.OUTLINE, values=(None, 8))
    today = plotted(sent(5, 2), budget, now=1).columns[1]
    assert today.classes == "column"
    assert [bar.classes for bar in today.bars] == ["outline tone-done", "tone-done"]
    assert today.bars[0].y < today.bars[1].y


def test_the_column_of_now_always_has_its_label_and_the_others_fit():
    chart = draw(Plot(finding="x", labels=HOURS, now=13, series=(sent(*range(24)),)))
    for width, most in (("narrow", 9), ("wide", 24)):
        shown = [label.text for label in chart.labels if f"at-{width}" in label.widths]
        assert "13" in shown
        assert 2 <= len(shown) <= most


def test_the_word_over_now_stays_over_the_plot():
    chart = draw(
        Plot(finding="x", labels=HOURS, now=23, now_word="today", series=(sent(*range(24)),))
    )
    assert chart.now is not None
    assert (chart.now.text, chart.now.x < 100) == ("today", True)


def test_a_tooltip_and_a_row_say_the_same_and_a_name_cannot_add_a_line():
    series = Series(name="a|b", tone=Tone.DONE, values=(412,))
    chart = plotted(series, names=("14:00",), column="Hour")
    assert chart.columns[0].tip == "14:00|a/b 412"
    assert (chart.heading, chart.rows) == (("Hour", "a|b"), (("14:00", "412"),))


def test_too_few_and_too_many_values_are_no_error():
    assert len(plotted(sent(1), count=3).columns) == 3
    assert len(plotted(sent(1, 2, 3, 4), count=2).rows) == 2


def test_one_legend_for_charts_that_stand_together_has_each_word_once():
    charts = [plotted(sent(9, marks=(mark,))) for mark in (None, Mark.HELD)]
    assert [entry.name for entry in legend_of(charts)] == ["Delivered", "Delivered, held"]


def _heights(path: str) -> list[float]:
    found = re.findall(r"[ML][\d.e+-]+ ([\d.e+-]+)|V([\d.e+-]+)", path)
    return [float(one or other) for one, other in found]
