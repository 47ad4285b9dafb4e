from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import ConfigError
from mta.answer_text import searchable
from mta.outcome.category import Category
from mta.outcome.rules import RuleBook, faults, parse_rules
from mta.reply import Reply
from mta.status import Phase

FILE = """
[providers]
big = [".big.example"]

[[rule]]
id = "of-big"
provider = "big"
text = ["go away"]
category = "blocked"
samples = ["550 Go away, please"]

[[rule]]
id = "codes"
code = ["45x", "550"]
enhanced = ["*.2.2", ""]
phase = ["rcpt"]
category = "mailbox_full"
samples = ["452 4.2.2", "550 anything"]

[[rule]]
id = "words"
text = ["not there", "isn't here"]
regex = 'user .{0,20}(?:not there|isn t here)'
category = "user_unknown"
hard = true
samples = ["551 user joe: NOT  there", "500 the user isn't here"]
"""

BOOK = parse_rules(FILE, "rules.toml")


def _found(book: RuleBook, line: str, phase: Phase | None = None, host: str = "") -> str:
    rule = book.find(Reply.from_text(int(line[:3]), line[4:]), phase=phase, provider=host)
    return rule.id if rule else ""


def test_every_sample_is_caught() -> None:
    assert faults(BOOK) == []


@pytest.mark.parametrize(
    ("line", "phase", "host", "rule"),
    [
        ("550 go away", None, "mx.big.example", "of-big"),
        ("550 go away", None, "MX.BIG.EXAMPLE.:25", "of-big"),
        ("550 go away", None, "big.example", "of-big"),
        ("550 go away", None, "notbig.example", ""),
        ("550 go away", None, "", ""),
        ("550 goes away", None, "mx.big.example", ""),
        ("550 5.2.2 x", Phase.RCPT, "", "codes"),
        ("452 x", Phase.RCPT, "", "codes"),
        ("450 4.2.20 x", Phase.RCPT, "", ""),
        ("552 5.2.2 x", Phase.RCPT, "", ""),
        ("550 5.2.2 x", Phase.DOT, "", ""),
        ("550 5.2.2 x", None, "", ""),
        ("551 the user (Joe) is not there.", None, "", "words"),
        ("551 not there: user", None, "", ""),
    ],
)
def test_all_conditions_of_a_rule_must_hold(
    line: str, phase: Phase | None, host: str, rule: str
) -> None:
    assert _found(BOOK, line, phase, host) == rule


def test_the_first_rule_in_the_file_wins() -> None:
    line = "550 user went: go away, not there"
    assert _found(BOOK, line, Phase.RCPT, "mx.big.example") == "of-big"
    assert _found(BOOK, line, Phase.RCPT) == "codes"
    assert _found(BOOK, line) == "words"


def test_addresses_in_an_answer_are_not_searched() -> None:
    text = "<not.there@user.example>:  User\tUNKNOWN; (see a@b)"
    assert searchable(text) == " user unknown see "


@given(st.text(max_size=300), st.integers(200, 599), st.sampled_from(["", "5.1.1", "9.9", "\n"]))
def test_no_answer_can_break_the_search(text: str, code: int, enhanced: str) -> None:
    BOOK.find(Reply(code, enhanced, text), phase=None, provider=text)


def test_what_is_remembered_is_bounded() -> None:
    book = parse_rules(FILE, "rules.toml")
    for n in range(10_000):
        book.find(Reply(550, f"5.{n}.1", ""), phase=None, provider="")
    assert len(book._by_codes) <= 4096


def test_a_sample_that_goes_astray_is_named() -> None:
    text = FILE.replace('"551 user joe: NOT  there"', '"551 gone", "452 4.2.2 user not there"')
    assert faults(parse_rules(text, "x")) == ["rule 'words': its sample '551 gone' matches no rule"]
    text = FILE.replace('phase = ["rcpt"]\n', "").replace(
        "551 user joe: NOT  there", "550 user not there"
    )
    assert faults(parse_rules(text, "x")) == [
        "rule 'words': its sample '550 user not there' goes to 'codes'"
    ]


@pytest.mark.parametrize("code", ["²²²", "5\u0665\u0660", "9" * 5000])
def test_a_sample_with_a_code_of_odd_digits_is_named(code: str) -> None:
    book = parse_rules(FILE.replace("551 user joe", f"{code} user joe"), "x")
    assert [words[:12] for words in faults(book)] in ([], ["rule 'words'"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('category = "user_unknown"', 'categry = "user_unknown"', "rules.toml:20: rule 'words': .*categry"),
        ('category = "user_unknown"', 'category = "unknown"', "rules.toml:20: rule 'words': .*unknown"),
        ('id = "words"', 'id = "codes"', "rules.toml:20: rule 'codes': there is a rule of this name"),
        ("user .{0,20}(?:", "user ((", "rules.toml:20: rule 'words': "),
        ('text = ["not there", "isn\'t here"]\n', "", "rules.toml:20: rule 'words': a regex needs a text"),
        ('provider = "big"', 'provider = "huge"', "rules.toml:5: rule 'of-big': provider 'huge' .* which has: big"),
        ('code = ["45x", "550"]', 'code = ["650"]', "rules.toml:12: rule 'codes': "),
        ('enhanced = ["*.2.2", ""]', 'enhanced = ["5.2"]', "rules.toml:12: rule 'codes': "),
        ('phase = ["rcpt"]', 'phase = ["lunch"]', "rules.toml:12: rule 'codes': .*lunch"),
        ('samples = ["550 Go away, please"]', "samples = []", "rules.toml:5: rule 'of-big': "),
        ('text = ["go away"]', 'text = ["Go away"]', "rules.toml:5: rule 'of-big': "),
        ('text = ["go away"]', "", "rules.toml:5: rule 'of-big': .*would match everything"),
        ('text = ["go away"]', 'text = ["--"]', "rules.toml:5: rule 'of-big': .*no word"),
        ("[[rule]]", "[[rule", r"rules.toml:\d+: not TOML: "),
        ("[providers]", "[provider]", "rules.toml: .*provider"),
    ],
)  # fmt: skip
def test_a_fault_in_the_file_is_told_with_line_and_rule(old: str, new: str, words: str) -> None:
    assert old in FILE
    with pytest.raises(ConfigError, match=words):
        parse_rules(FILE.replace(old, new), "rules.toml")


def test_every_category_has_its_sentence() -> None:
    from mta.outcome.category import SENTENCES

    assert set(SENTENCES) == set(Category)
