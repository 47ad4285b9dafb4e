"""docs/replies.md: what receivers say, and what the product's own rules make of it.

    python -m tests.support.reply_table > docs/replies.md

Every sample reply of config/shaping.toml and config/bounces.toml is said to the rules, step by step and
as often as its rules want it; the table is what they answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from appliance.core import clock
from mta.message import Attempt, RecipientResult
from mta.outcome.classify import classify
from mta.outcome.decide import RetrySchedule
from mta.outcome.record import Recorder
from mta.outcome.rules import shipped_rules
from mta.reply import Reply
from mta.scheduling.results import ANOTHER_ADDRESS, treatment_of
from mta.shaping.blame import Answer
from mta.shaping.book import shipped_book
from mta.shaping.matching import reply_of
from mta.shaping.model import Rule, Zone
from mta.shaping.throttle import Throttle
from mta.shaping.throttles import Heard, Throttles
from mta.status import Phase, Scope, Status
from tests.support.recipients import NOW, message, recipient

STEPS: Final = {
    Phase.MAIL: "`MAIL`",
    Phase.RCPT: "`RCPT`",
    Phase.DOT: "the message",
}
USUAL: Final = 5 * clock.MINUTE
HEAD: Final = """\
# Replies, and what Pillarbox does

What receivers say, and what follows by the rules that come with the box: `config/shaping.toml` (who is slowed, and for how
long) and `config/bounces.toml` (what becomes of the recipient). Nobody wrote this page by hand: each sample reply of both files
was said to the rules, and this is what they did. `python -m tests.support.reply_table > docs/replies.md` writes it; a test
compares.

- *Step*: what the reply answered; "any" where it makes no difference. Whatever is said before `MAIL` bounces nobody: another
  try may meet another host.
- *Recipient*: "later" is after the next of the usual waits (`queue.retry`). "Bounced" is final for this message; only
  "suppressed" keeps the address from being written to again.
- *From then on*: what changes for other mail. "Address" is the one of ours that was answered, at this provider (without a name:
  at this set of MX hosts); "tenant" is one tenant's mail from that address to that provider; "domain" is all mail from that
  address to the recipient's domain there. Speed comes back by itself after the time given, in steps at least 10 minutes apart;
  after a suspension it begins with 10/min over one connection.

`pillarbox shaping explain DOMAIN` shows what holds now, and why.
"""
_ROWS: Final = "| Reply | Step | Recipient | From then on |\n| --- | --- | --- | --- |"


class Told(NamedTuple):
    """What follows from a reply."""

    recipient: str
    others: str


def page() -> str:
    """The whole of docs/replies.md."""
    return "\n".join([HEAD, *_shaping(), *_bounces()]) + "\n"


def _shaping() -> Iterator[str]:
    book = shipped_book()
    for name in [*filter(None, book.providers), ""]:
        samples = [one for rule in book.rules if rule.provider == name for one in rule.samples]
        if samples:
            yield f"## {book.providers[name].title or 'Everybody'}\n"
            host = _hosts(book.providers[name].suffixes)[0]
            yield from _table(dict.fromkeys(samples), name, host)


def _bounces() -> Iterator[str]:
    """One sample of each rule of bounces.toml, but what the provider's own table has already."""
    yield "## Other replies\n"
    yield "As a receiver without a name says them, unless the host is given. `config/bounces.toml` has more of each kind.\n"
    yield _ROWS
    book = shipped_book()
    for rule in shipped_rules().rules:
        reply, hosts = reply_of(rule.samples[0]), _hosts(rule.hosts)
        if not any(one.provider for host in hosts for one in _rules_for(reply, Phase.MAIL, host)):
            shown = f" (`{hosts[0]}`)" if rule.hosts else ""
            provider = book.provider_of(hosts[:1]).name
            yield from _rows(rule.samples[0], provider, hosts[0], shown)
    yield ""


def _hosts(ends: tuple[str, ...]) -> list[str]:
    """Hosts of these receivers: of the providers with a name, where there are any."""
    named = [end for one in shipped_book().providers.values() for end in one.suffixes]
    found = [end for end in named if ends and end.endswith(ends)]
    return [f"mx1{end}" for end in found or ends or (".example.org",)]


def _rules_for(reply: Reply, phase: Phase, host: str) -> tuple[Rule, ...]:
    book = shipped_book()
    return book.find(reply, phase=phase, provider=book.provider_of([host]).name)


def _table(samples: Iterable[str], provider: str, host: str) -> Iterator[str]:
    yield _ROWS
    for sample in samples:
        yield from _rows(sample, provider, host, "")
    yield ""


def _rows(sample: str, provider: str, host: str, shown: str) -> Iterator[str]:
    """A row for all steps at which the same follows."""
    by_outcome: dict[Told, list[Phase]] = {}
    for phase in STEPS:
        by_outcome.setdefault(_told(reply_of(sample), phase, provider, host), []).append(phase)
    cell = f"`{sample}`{shown}".replace("|", "\\|")
    for told, phases in by_outcome.items():
        steps = "any" if len(phases) == len(STEPS) else ", ".join(STEPS[one] for one in phases)
        yield f"| {cell} | {steps} | {told.recipient} | {told.others} |"
        cell = ""  # the same reply


def _told(reply: Reply, phase: Phase, provider: str, host: str) -> Told:
    """Say it as often as its rules want it."""
    book = shipped_book()
    rules = _rules_for(reply, phase, host)
    throttles = Throttles(lambda: book)
    answer = Answer(
        egress="out",
        zone=Zone(provider or "mx1.example.org", book.providers[provider]),
        tenant_id=7,
        domain="example.net",
        host=host,
        reply=reply,
        scope=classify(reply, phase=phase, provider=host).scope,
        rules=rules,
    )
    changed: list[str] = []
    first = Heard()
    for times in range(1, max((rule.times for rule in rules), default=0) + 1):
        heard = throttles.heard(answer, NOW)
        first = heard if times == 1 else first
        within = max((rule.within for rule in rules if rule.times == times), default=0.0)
        often = f"heard {times} times in {_span(round(within * 1000))}: " if times > 1 else ""
        now = {one.subject: one for one in throttles.live()}
        changed += [f"{often}{_throttled(now[one.subject])}" for one in heard.changes]
    return Told(_became(reply, phase, host, first), "; ".join(changed) or "-")


def _throttled(one: Throttle) -> str:
    whom = "tenant" if one.subject.tenant_id else "domain" if one.subject.domain else "address"
    if one.suspended_until:
        return f"{whom} suspended {_span(one.suspended_until - NOW)}"
    return f"{whom} {one.speed} for {_span(one.quiet)}"


def _became(reply: Reply, phase: Phase, host: str, heard: Heard) -> str:
    schedule = RetrySchedule(waits=(USUAL,), jitter=0.0, lifetime=1 << 50, bulk_lifetime=1 << 50)
    attempt = Attempt(
        results=(RecipientResult(n=0, reply=reply, phase=phase, scope=_scope(reply, phase, host)),),
        host=host,
        address="192.0.2.1",
        egress="out",
        tls="",
        steps=(),
        started_at=NOW,
        ended_at=NOW,
    )
    treatments = {0: treatment_of(heard, ())}
    recorder = Recorder(schedule, lambda: 0.5)
    (found,) = recorder.attempt(message(), [recipient()], attempt, NOW, treatments)
    if found.decision.status is Status.BOUNCED:
        suppressed = found.verdict is not None and found.verdict.suppress
        return "bounced, suppressed" if suppressed else "bounced"
    wait = found.decision.due_at - NOW
    return {USUAL: "later", ANOTHER_ADDRESS: "at once, from another address"}.get(
        wait, f"not before {_span(wait)}"
    )


def _scope(reply: Reply, phase: Phase, host: str) -> Scope:
    return classify(reply, phase=phase, provider=host).scope


def _span(ms: int) -> str:
    minutes = round(ms / clock.MINUTE)
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


if __name__ == "__main__":
    print(page(), end="")
