"""A shaping file becomes values, or every fault of it is told with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import ConfigError
from mta.reply import Reply
from mta.shaping.book import ShapingBook, faults, parse_book
from mta.shaping.model import Action, ActionKind, Rate, TlsNeed
from mta.status import Phase

FILE = """\
[default]
connections = 10
messages_per_connection = 100
connection_rate = "100/min"
message_rate = "100/s"

[provider.big]
title = "Big Mail"
mx = [".big.example", ".big.test"]
connections = 5
zone_connections = 20
message_rate = "none"
tls = "required"
dot_timeout = "2 min"
feedback_loop = true
retry = ["5 min", "1 h"]

[provider.small]
mx = [".small.example"]

[[rule]]
id = "big-busy"
provider = "big"
text = ["too busy"]
times = 2
within = "30 min"
then = [{ do = "slow", rate = "1/min", connections = 1, for = "90 min" }]
samples = ["421 4.7.0 We are [TOO BUSY]"]

[[rule]]
id = "big-codes"
provider = "big"
code = ["4xx"]
enhanced = ["4.7.500-502", "4.2.*", ""]
then = [{ do = "suspend_tenant", for = "1 h" }, { do = "defer", for = "10 min" }]
samples = ["451 4.7.501 wait", "450 wait"]

[[rule]]
id = "by-phase"
code = ["4xx"]
phase = ["connect", "mail"]
then = [{ do = "next_address" }]
samples = ["421 go away"]

[[rule]]
id = "by-words"
text = ["go away"]
regex = '^ go away '
then = [{ do = "bounce" }]
samples = ["550 Go away"]
"""

BOOK = parse_book(FILE, "shaping.toml")


def heard(
    line: str, provider: str = "", phase: Phase | None = None, book: ShapingBook = BOOK
) -> list[str]:
    reply = Reply.from_text(int(line[:3]), line[4:])
    return [rule.id for rule in book.find(reply, phase=phase, provider=provider)]


def test_a_provider_inherits_what_it_does_not_say() -> None:
    big, small, default = (BOOK.providers[name] for name in ("big", "small", ""))
    assert big.title == "Big Mail"
    assert big.limits.connections == 5
    assert big.limits.messages_per_connection == 100
    assert big.limits.connection_rate == Rate(100, 60)
    assert big.limits.message_rate is None
    assert big.limits.tls is TlsNeed.REQUIRED
    assert (big.limits.dot_timeout, big.limits.data_timeout) == (120, None)
    assert (big.feedback_loop, big.retry) == (True, (300, 3600))
    assert (small.title, small.limits, small.feedback_loop) == ("small", default.limits, False)
    assert default.limits.message_rate == Rate(100, 1)


def test_a_zone_is_a_named_provider_or_a_single_site() -> None:
    zone = BOOK.zone_of("mx1.big.example,mx2.big.test:25", ["mx1.big.example", "mx2.big.test"])
    assert (zone.key, zone.title) == ("big", "Big Mail")
    zone = BOOK.zone_of("mx.else.example:25", ["mx.else.example"])
    assert (zone.key, zone.provider.name, zone.title) == (
        "mx.else.example:25",
        "",
        "mx.else.example",
    )


def test_a_rule_knows_what_follows_and_where_it_stands() -> None:
    busy, codes = BOOK.rules[:2]
    slow = Action(kind=ActionKind.SLOW, seconds=5400, rate=Rate(1, 60), connections=1)
    assert (busy.actions, busy.times, busy.within) == ((slow,), 2, 1800)
    assert [action.kind for action in codes.actions] == [
        ActionKind.SUSPEND_TENANT,
        ActionKind.DEFER,
    ]
    assert FILE.splitlines()[codes.line - 1] == "[[rule]]"
    assert FILE.splitlines()[codes.line] == 'id = "big-codes"'


@pytest.mark.parametrize(
    ("line", "provider", "phase", "rules"),
    [
        ("421 4.7.0 too busy", "big", None, ["big-busy"]),
        ("421 4.7.0 too busy", "small", None, []),
        ("421 4.7.0 too busy", "", None, []),
        ("421 4.7.0 too busyness", "big", None, []),
        # All rules of the provider, and none for everybody where it has its own.
        ("451 too busy", "big", Phase.MAIL, ["big-busy", "big-codes"]),
        ("451 4.7.500 x", "big", None, ["big-codes"]),
        ("451 4.7.502 x", "big", None, ["big-codes"]),
        ("451 4.7.503 x", "big", None, []),
        ("451 4.7.50 x", "big", None, []),
        ("451 4.2.99 x", "big", None, ["big-codes"]),
        ("550 x", "big", None, []),
        # Of the rules for everybody only the first.
        ("421 go away", "", Phase.MAIL, ["by-phase"]),
        ("421 go away", "", Phase.RCPT, ["by-words"]),
        ("421 go away", "", None, ["by-words"]),
        ("421 4.7.0 go away", "big", Phase.CONNECT, ["by-phase"]),
        ("421 4.7.0 go away", "unheard-of", Phase.CONNECT, ["by-phase"]),
        ("550 please go away", "", None, []),
        ("550 <go.away@big.example>: no", "", None, []),
    ],
)  # fmt: skip
def test_all_conditions_of_a_rule_must_hold(
    line: str, provider: str, phase: Phase | None, rules: list[str]
) -> None:
    assert heard(line, provider, phase) == rules


def test_every_sample_is_heard_by_its_rule() -> None:
    assert faults(BOOK) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"421 4.7.0 We are [TOO BUSY]"', '"421 4.7.0 busy"',
         "shaping.toml:21: rule 'big-busy': its sample '421 4.7.0 busy' matches no rule"),
        ('"550 Go away"', '"550 Go  away!", "550 do go away"',
         "shaping.toml:45: rule 'by-words': its sample '550 do go away' matches no rule"),
        ('code = ["4xx"]\nphase = ["connect", "mail"]', 'code = ["xxx"]',
         "shaping.toml:44: rule 'by-words': its sample '550 Go away' goes to 'by-phase'"),
        ("'^ go away '", r"'\\bgo away'",
         "shaping.toml:45: rule 'by-words': its sample '550 Go away' matches no rule"),
    ],
)  # fmt: skip
def test_a_sample_that_goes_astray_is_named_with_its_line(old: str, new: str, words: str) -> None:
    assert old in FILE
    assert faults(parse_book(FILE.replace(old, new), "shaping.toml")) == [words]


THEN = 'then = [{ do = "slow", rate = "1/min", connections = 1, for = "90 min" }]'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        # The whole.
        ("[[rule]]", "[[rule", r"shaping.toml:21: not TOML: "),
        ("[default]", "[defaults]", r"shaping.toml:1: the file: .*defaults"),
        ("[default]\n", "[[default]]\n", r"shaping.toml:1: the file: default: "),
        ("[provider.small]", "[[provider.small]]", r"shaping.toml:18: provider 'small': write it as"),
        # [default].
        ("connections = 10\n", "", r"shaping.toml:1: \[default\]: .*connections"),
        ("connections = 10\n", "connections = 0\n", r"shaping.toml:2: \[default\]: connections: "),
        ("connections = 10\n", "connections = 1\nmx = []\n", r"shaping.toml:3: \[default\]: .*mx"),
        ('"100/min"', '"100/minute"', r"shaping.toml:4: \[default\]: connection_rate: .* is not a rate; write"),
        # Providers.
        ('mx = [".small.example"]', "", r"shaping.toml:18: provider 'small': .*mx"),
        ('mx = [".small.example"]', "mx = []", r"shaping.toml:19: provider 'small': mx: "),
        ('".small.example"', '"small.example"', r"shaping.toml:19: provider 'small': mx\[0\]: write it as .* dot in front"),
        ('".small.example"', '".small.example."', r"shaping.toml:19: provider 'small': mx\[0\]: "),
        ('".small.example"', '".Small.example"', r"shaping.toml:19: provider 'small': mx\[0\]: "),
        ('".small.example"', '".big.test"', r"shaping.toml:18: provider 'small': .big.test belongs to provider 'big' already"),
        ("zone_connections = 20", "zone_conections = 20", r"shaping.toml:11: provider 'big': .*zone_conections"),
        ('tls = "required"', 'tls = "maybe"', r"shaping.toml:13: provider 'big': tls: .*maybe"),
        ('dot_timeout = "2 min"', 'dot_timeout = "2 m"', r"shaping.toml:14: provider 'big': dot_timeout: .* is not a time; write"),
        ('"5 min", "1 h"', '"5 min", "never"', r"shaping.toml:16: provider 'big': retry\[1\]: 'never' is not a time"),
        ("[provider.small]", "[provider.other]", r"shaping.toml:18: provider 'other': a name has"),
        ("[provider.small]", '[provider."a:25"]', r"shaping.toml:18: provider 'a:25': a name has"),
        # Rules.
        ('id = "big-codes"', 'id = "big-busy"', r"shaping.toml:30: rule 'big-busy': there is a rule of this name already"),
        ('id = "by-phase"', 'id = "By Phase"', r"shaping.toml:39: rule 'By Phase': id: write it in a-z"),
        ('text = ["too busy"]', 'txt = ["too busy"]', r"shaping.toml:24: rule 'big-busy': .*txt"),
        ('text = ["too busy"]', 'text = ["Too busy"]', r"shaping.toml:24: rule 'big-busy': text\[0\]: "),
        ('text = ["too busy"]', 'text = ["--"]', r"shaping.toml:21: rule 'big-busy': a text has no word in it"),
        ('text = ["too busy"]', "", r"shaping.toml:21: rule 'big-busy': .*it would hear everything"),
        ('provider = "big"\ntext', 'provider = "huge"\ntext', r"shaping.toml:21: rule 'big-busy': there is no provider 'huge'; there are: big, small"),
        ('code = ["4xx"]\nenhanced', 'code = ["2xx"]\nenhanced', r"shaping.toml:33: rule 'big-codes': code\[0\]: "),
        ("4.7.500-502", "4.7", r"shaping.toml:34: rule 'big-codes': enhanced\[0\]: "),
        ("4.7.500-502", "4.7.502-500", r"shaping.toml:30: rule 'big-codes': .* ends before it begins"),
        ('"connect", "mail"', '"connect", "lunch"', r"shaping.toml:41: rule 'by-phase': phase\[1\]: .*lunch"),
        ("'^ go away '", "'go ((away'", r"shaping.toml:45: rule 'by-words': "),
        ("times = 2", "times = 0", r"shaping.toml:25: rule 'big-busy': times: "),
        ('within = "30 min"', 'within = "a while"', r"shaping.toml:26: rule 'big-busy': within: 'a while' is not a time"),
        ('samples = ["421 go away"]', "samples = []", r"shaping.toml:43: rule 'by-phase': samples: "),
        ('samples = ["421 go away"]', 'samples = ["go away"]', r"shaping.toml:43: rule 'by-phase': samples\[0\]: "),
        # What follows.
        (THEN, "then = []", r"shaping.toml:27: rule 'big-busy': then: "),
        ('do = "bounce"', 'do = "explode"', r"shaping.toml:49: rule 'by-words': then\[0\].do: .*explode"),
        ('do = "bounce"', 'do = "bounce", for = "1 h"', r"shaping.toml:45: rule 'by-words': bounce is about one answer and takes no `for`"),
        ('do = "bounce"', 'do = "suspend"', r"shaping.toml:45: rule 'by-words': suspend needs its time"),
        ('do = "bounce"', 'do = "slow", for = "1 h"', r"shaping.toml:45: rule 'by-words': slow needs a rate, connections, or both"),
        ('do = "bounce"', 'do = "slow", rate = "none", for = "1 h"', r"shaping.toml:45: rule 'by-words': slow needs a rate"),
        ('do = "bounce"', 'do = "defer", rate = "1/s", for = "1 h"', r"shaping.toml:45: rule 'by-words': defer takes neither rate nor connections"),
        ('do = "bounce"', 'do = "defer", For = "1 h"', r"shaping.toml:49: rule 'by-words': .*For"),
        ('do = "bounce"', 'do = "defer", for = "soon"', r"shaping.toml:49: rule 'by-words': then\[0\].for: 'soon' is not a time"),
        ('{ do = "bounce" }', '{ do = "bounce" }, { do = "bounce" }', r"shaping.toml:45: rule 'by-words': it does the same thing twice"),
        ('{ do = "bounce" }', '{ do = "bounce" }, { do = "next_address" }', r"shaping.toml:45: rule 'by-words': it cannot bounce an answer and try again"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_file_line_and_rule(old: str, new: str, words: str) -> None:
    assert old in FILE
    with pytest.raises(ConfigError, match=words):
        parse_book(FILE.replace(old, new, 1), "shaping.toml")


def test_all_faults_are_told_at_once() -> None:
    text = FILE.replace("times = 2", "times = 0").replace('do = "bounce"', 'do = "explode"')
    text = text.replace('".small.example"', '"small.example"')
    with pytest.raises(ConfigError) as caught:
        parse_book(text, "x.toml")
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [
        "x.toml:19",
        "x.toml:25",
        "x.toml:49",
    ]


def test_a_default_section_alone_is_a_file() -> None:
    book = parse_book("[default]\nconnections = 1\nmessages_per_connection = 1\n", "x")
    assert list(book.providers) == [""]
    assert heard("421 too busy", book=book) == []


@given(st.text(max_size=300), st.integers(400, 599), st.sampled_from(["", "5.1.1", "9.9", "\n"]))
def test_no_answer_can_break_the_search(text: str, code: int, enhanced: str) -> None:
    for provider in ("big", "", "unheard-of"):
        BOOK.find(Reply(code, enhanced, text), phase=None, provider=provider)


def test_what_is_remembered_is_bounded() -> None:
    book = parse_book(FILE, "x")
    for number in range(10_000):
        book.find(Reply(450, f"4.{number}.1", ""), phase=None, provider="big")
    assert len(book._coded) <= 4096
