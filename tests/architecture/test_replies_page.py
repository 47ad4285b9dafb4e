"""docs/replies.md says what the shipped rules do with the replies of receivers."""

from __future__ import annotations

from pathlib import Path

from tests.support.reply_table import page

PAGE = Path(__file__).parents[2] / "docs" / "replies.md"


def test_the_page_says_what_the_rules_do():
    assert PAGE.read_text() == page(), "python -m tests.support.reply_table > docs/replies.md"
