"""Classify: what an answer means; pure. One vocabulary for answers heard and notices that came back.

Whether trying again makes sense follows from the Reply, unless a rule says otherwise in so many
words. Whether the address is to be suppressed follows from the rules (config/bounces.toml), within
facts that no rule can change: an unreadable or unknown answer is soft; x.7.x answers are about the
sender and never suppress the recipient; an answer that several recipients share suppresses none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mta.outcome.category import SENTENCES, Category
from mta.outcome.rules import RuleBook, shipped_rules
from mta.status import Phase, Scope

if TYPE_CHECKING:
    from mta.outcome.rules import Rule
    from mta.reply import Reply


class Bounce(StrEnum):
    """Hard: the address cannot be reached by anybody, ever. Soft: everything else."""

    HARD = "hard"
    SOFT = "soft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an answer means."""

    kind: Bounce
    is_permanent: bool  # trying the same again is pointless
    category: Category
    scope: Scope
    reason: str  # one sentence for people
    rule: str = ""  # which rule said so, "" when none did

    @property
    def suppress(self) -> bool:
        """Whether the address goes on the suppression list."""
        return self.kind is Bounce.HARD


_SUCCESS: Final = Verdict(
    kind=Bounce.SOFT,
    is_permanent=False,
    category=Category.OTHER,
    scope=Scope.RECIPIENT,
    reason="The receiver took it.",
)
_OF_CONNECTION: Final = frozenset(
    {Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.AUTH}
)
_OF_RECIPIENT: Final = frozenset({None, Phase.ROUTE, Phase.RCPT})


def classify(
    reply: Reply,
    *,
    phase: Phase | None,
    provider: str = "",
    sole_recipient: bool = False,
    rules: RuleBook | None = None,
) -> Verdict:
    """Judge an answer.

    `phase` None: from a notice. `provider`: name of the host that answered. `sole_recipient`: the
    transaction had one recipient, so that what was said to DATA or the final dot is about it.
    `rules` None: the shipped ones.
    """
    if reply.is_success:
        return _SUCCESS
    rule = (rules or shipped_rules()).find(reply, phase=phase, provider=provider)
    permanent = reply.is_permanent
    if rule is None:
        category, hard, scope = Category.OTHER, False, None
    else:
        category, hard, scope = rule.category, rule.hard, rule.scope
        permanent = permanent if rule.permanent is None else rule.permanent
    is_hard = hard and permanent and _is_about_recipient(reply, phase, sole=sole_recipient)
    return Verdict(
        kind=Bounce.HARD if is_hard else Bounce.SOFT,
        is_permanent=permanent,
        category=category,
        scope=_scope(reply, phase, scope),
        reason=_reason(rule, category),
        rule=rule.id if rule else "",
    )


def _is_about_recipient(reply: Reply, phase: Phase | None, *, sole: bool) -> bool:
    if reply.enhanced[2:4] == "7." or reply.enhanced.startswith("4"):
        return False  # RFC 3463: security or policy; or a code that contradicts itself
    return phase in _OF_RECIPIENT or (sole and phase in (Phase.DATA, Phase.DOT))


def _reason(rule: Rule | None, category: Category) -> str:
    return rule.reason if rule and rule.reason else SENTENCES[category]


def _scope(reply: Reply, phase: Phase | None, said: Scope | None) -> Scope:
    """A 421 ends the session whatever it talks about; else the rule, else the step it answered."""
    if reply.code == 421 and phase is not Phase.ROUTE:
        return Scope.SESSION
    return said or scope_of(reply, phase)


def scope_of(reply: Reply, phase: Phase | None) -> Scope:
    """Who a failure is about, as the step and the enhanced code tell (RFC 5321 4.2.1, RFC 3463)."""
    if phase in _OF_CONNECTION:
        return Scope.HOST if reply.is_permanent else Scope.SESSION
    if phase is Phase.ROUTE:
        return Scope.RECIPIENT if reply.is_permanent else Scope.HOST
    if phase is Phase.RCPT or phase is None:
        return Scope.RECIPIENT
    return _scope_of_message(reply, phase)


def _scope_of_message(reply: Reply, phase: Phase) -> Scope:
    """MAIL, DATA and the final dot: the receiver's trouble, a recipient, or the message itself."""
    subject = reply.enhanced[2:].partition(".")[0]
    if subject in ("3", "4") and reply.enhanced[2:] != "3.4":
        return Scope.HOST
    if phase is Phase.MAIL:
        # Before it knows the message, a 4xx is about the address that sends.
        return Scope.MESSAGE if reply.is_permanent else Scope.HOST
    if subject in ("1", "2") and reply.enhanced[2:] not in ("1.7", "1.8", "2.3"):
        return Scope.RECIPIENT
    return Scope.MESSAGE
