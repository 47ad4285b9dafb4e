"""The chart component draws what was counted, with nothing that the content policy forbids."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from admin_ui.console.charts import Kind, Mark, Plot, Series, Tone, draw

REPOSITORY = Path(__file__).parents[3]
ENVIRONMENT = Environment(
    loader=FileSystemLoader(REPOSITORY / "admin_ui" / "components"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def rendered(plot, words='{{ chart(drawn, title="Sent") }}'):
    door = '{% from "charts.html" import chart, legend, share %}'
    return ENVIRONMENT.from_string(door + words).render(drawn=draw(plot))


def plan():
    return Plot(
        finding="Held at Microsoft since day 2.",
        labels=("1", "2", "3"),
        names=("Day 1", "Day 2", "<i>Day 3"),
        column="Day",
        now=2,
        now_word="today",
        series=(
            Series(name="Plan", tone=Tone.PLAN, kind=Kind.STEP, values=(50, 100, 200)),
            Series(name="Rate", tone=Tone.DONE, kind=Kind.LINE, values=(1, 2, 3)),
            Series(
                name="Sent", tone=Tone.DONE, values=(45, 90, 40), marks=(None, Mark.HELD, Mark.HELD)
            ),
            Series(name="Budget", tone=Tone.DONE, kind=Kind.OUTLINE, values=(None, None, 100)),
        ),
    )


def test_a_chart_is_one_image_with_its_finding_its_columns_and_its_table():
    figure = ET.fromstring(rendered(plan()))
    drawing = figure.find(".//svg[@role='img']")
    assert drawing is not None
    assert (drawing.get("tabindex"), drawing.get("aria-label")) == (
        "0", "Held at Microsoft since day 2.",
    )  # fmt: skip
    tips = [group.get("data-tip") for group in drawing.iterfind(".//g[@data-tip]")]
    assert tips[1] == "Day 2|Plan 100|Rate 2|Sent 90, held"
    rows = [[cell.text for cell in row] for row in figure.iterfind(".//tbody/tr")]
    assert rows[0] == ["Day 1", "50", "1", "45", "no data"]
    assert rows[2][0] == "<i>Day 3"


def test_a_chart_has_no_style_no_script_and_no_colour_of_its_own():
    assert not re.search(
        r"style=|<script|\bon\w+=|#[0-9a-f]{3}|rgb|fill=|stroke=", rendered(plan())
    )


def test_classes_that_the_component_uses_are_in_the_sheet():
    css = (REPOSITORY / "admin_ui/assets/css/charts.css").read_text()
    used = {
        word for words in re.findall(r'class="([^"]+)"', rendered(plan())) for word in words.split()
    }
    plain = {"held", "plot"}  # they look as what they are in or beside
    assert {word for word in used - plain if f".{word}" not in css} == set()


def test_no_data_is_a_sentence_and_no_drawing():
    text = rendered(Plot(finding="x", labels=(), series=(), empty="No mail yet."))
    assert "No mail yet." in text
    assert "<svg" not in text


def test_a_share_is_a_bar_between_nothing_and_all():
    for value, most, width in ((690, 1380, "50.0%"), (5, 0, "0%"), (9, 3, "100%"), (-1, 3, "0%")):
        text = rendered(plan(), f"{{{{ share({value}, {most}, 'failed') }}}}")
        assert f'width="{width}" height="8"/></svg>' in text, text
