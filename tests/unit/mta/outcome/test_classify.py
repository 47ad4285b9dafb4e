from __future__ import annotations

import pytest

from mta.outcome.category import SENTENCES, Category
from mta.outcome.classify import Bounce, classify, scope_of
from mta.outcome.rules import parse_rules
from mta.reply import Reply
from mta.status import Phase, Scope

RULES = parse_rules(
    """
    [[rule]]
    id = "gone"
    text = ["gone"]
    category = "user_unknown"
    hard = true
    samples = ["550 gone"]

    [[rule]]
    id = "full"
    text = ["full"]
    category = "mailbox_full"
    reason = "No room."
    samples = ["552 full"]

    [[rule]]
    id = "says-550-means-450"
    text = ["later"]
    category = "rate_limited"
    treat = "temporary"
    scope = "host"
    samples = ["550 later"]

    [[rule]]
    id = "says-450-means-550"
    text = ["never"]
    category = "domain_unknown"
    hard = true
    treat = "permanent"
    samples = ["450 never"]
    """,
    "rules.toml",
)


@pytest.mark.parametrize(
    ("line", "phase", "permanent", "suppress"),
    [
        ("550 5.1.1 gone", Phase.RCPT, True, True),
        ("550 5.1.1 gone", Phase.ROUTE, True, True),
        ("550 5.1.1 gone", None, True, True),
        ("550 5.1.1 gone", Phase.MAIL, True, False),
        ("550 5.1.1 gone", Phase.EHLO, True, False),
        ("550 5.1.1 gone", Phase.DOT, True, False),
        ("450 4.1.1 gone", Phase.RCPT, False, False),
        ("550 4.1.1 gone", Phase.RCPT, True, False),
        ("550 5.7.1 gone", Phase.RCPT, True, False),
        ("550 5.70.1 gone", Phase.RCPT, True, True),
        ("552 5.2.2 full", Phase.RCPT, True, False),
        ("550 later", Phase.RCPT, False, False),
        ("450 never", Phase.RCPT, True, True),
        ("550 5.1.1 whatever", Phase.RCPT, True, False),
        ("199 gibberish", Phase.RCPT, False, False),
        ("354 go on", Phase.DOT, False, False),
    ],
)
def test_permanence_and_suppression(
    line: str, phase: Phase | None, permanent: bool, suppress: bool
) -> None:
    verdict = classify(Reply.from_text(int(line[:3]), line[4:]), phase=phase, rules=RULES)
    assert (verdict.is_permanent, verdict.suppress) == (permanent, suppress)
    assert verdict.kind is (Bounce.HARD if suppress else Bounce.SOFT)


def test_an_answer_to_the_dot_suppresses_only_a_sole_recipient() -> None:
    reply = Reply(550, "5.1.1", "gone")
    assert classify(reply, phase=Phase.DOT, sole_recipient=True, rules=RULES).suppress
    assert not classify(reply, phase=Phase.MAIL, sole_recipient=True, rules=RULES).suppress


def test_success_goes_by_no_rule() -> None:
    verdict = classify(Reply(250, "2.0.0", "gone"), phase=Phase.DOT, rules=RULES)
    assert (verdict.kind, verdict.is_permanent, verdict.rule) == (Bounce.SOFT, False, "")


def test_a_verdict_names_its_rule_and_reason() -> None:
    full = classify(Reply(552, "", "full"), phase=Phase.RCPT, rules=RULES)
    assert (full.category, full.reason, full.rule) == (Category.MAILBOX_FULL, "No room.", "full")
    gone = classify(Reply(550, "", "gone"), phase=Phase.RCPT, rules=RULES)
    assert gone.reason == SENTENCES[Category.USER_UNKNOWN]


def test_what_no_rule_knows_is_other_and_soft() -> None:
    verdict = classify(Reply(550, "", "?"), phase=Phase.RCPT, rules=RULES)
    assert (verdict.category, verdict.kind, verdict.rule) == (Category.OTHER, Bounce.SOFT, "")


@pytest.mark.parametrize(
    ("line", "phase", "scope"),
    [
        ("421 bye", Phase.GREETING, Scope.SESSION),
        ("421 4.2.1 bye", Phase.RCPT, Scope.SESSION),
        ("421 later", Phase.RCPT, Scope.SESSION),
        ("450 wait", Phase.CONNECT, Scope.SESSION),
        ("554 no", Phase.GREETING, Scope.HOST),
        ("502 what", Phase.EHLO, Scope.HOST),
        ("550 no route", Phase.ROUTE, Scope.RECIPIENT),
        ("450 no dns", Phase.ROUTE, Scope.HOST),
        ("450 4.7.1 no", Phase.MAIL, Scope.HOST),
        ("452 4.3.1 disk", Phase.MAIL, Scope.HOST),
        ("552 5.3.4 large", Phase.MAIL, Scope.MESSAGE),
        ("553 5.1.8 sender", Phase.MAIL, Scope.MESSAGE),
        ("550 5.1.1 whom", Phase.RCPT, Scope.RECIPIENT),
        ("452 4.3.1 disk", Phase.RCPT, Scope.RECIPIENT),
        ("550 later", Phase.RCPT, Scope.HOST),
        ("550 5.6.0 body", Phase.DOT, Scope.MESSAGE),
        ("552 5.2.3 large", Phase.DOT, Scope.MESSAGE),
        ("452 4.2.2 full", Phase.DOT, Scope.RECIPIENT),
        ("451 4.3.0 trouble", Phase.DOT, Scope.HOST),
        ("554 no", Phase.DATA, Scope.MESSAGE),
        ("550 5.1.1 whom", None, Scope.RECIPIENT),
    ],
)
def test_the_scope_follows_the_step(line: str, phase: Phase | None, scope: Scope) -> None:
    reply = Reply.from_text(int(line[:3]), line[4:])
    assert classify(reply, phase=phase, rules=RULES).scope is scope


def test_every_phase_has_a_scope() -> None:
    for phase in Phase:
        for code in (421, 450, 550):
            assert scope_of(Reply(code, "", ""), phase) in Scope
