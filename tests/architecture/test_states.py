"""docs/states.md draws the moves that the code allows, and has a sentence for each state and each wait."""

from __future__ import annotations

import re
from pathlib import Path

from mta.scheduling.why import SENTENCES, TITLES, Why
from mta.status import FINAL, MOVES, Status

TEXT = (Path(__file__).parents[2] / "docs" / "states.md").read_text()
PAGE, _, WAITS = TEXT.partition("## What a recipient waits for")
DIAGRAM = re.search(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)[1]
ARROWS = re.findall(r"^\s*(\S+) --> ([^:\s]+)", DIAGRAM, re.MULTILINE)


def test_the_diagram_has_the_moves_of_the_table_and_no_others():
    drawn = [(old, new) for old, new in ARROWS if "[*]" not in (old, new)]
    legal = {(str(old), str(new)) for old, targets in MOVES.items() for new in targets}
    assert set(drawn) == legal
    assert len(drawn) == len(legal)


def test_the_diagram_ends_in_the_final_states():
    assert {old for old, new in ARROWS if new == "[*]"} == set(FINAL)


def test_the_diagram_begins_where_a_message_may_be_accepted():
    assert {new for old, new in ARROWS if old == "[*]"} == {"queued", "held", "suppressed"}


def test_every_state_has_one_sentence():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == [str(status) for status in Status]
    assert all(len(words.split()) >= 5 for _, words in rows)


def test_every_wait_stands_there_with_its_words():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", WAITS, re.MULTILINE)
    assert rows == [(str(why), TITLES[why], SENTENCES[why]) for why in Why]
