"""Providers, rules and answers for the tests of throttles, with what they do not care about filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.reply import Reply
from mta.shaping.blame import Answer
from mta.shaping.matching import ShapingBook
from mta.shaping.model import Action, ActionKind, Limits, Provider, Rate, Rule, TlsNeed, Zone
from mta.shaping.throttle import Fault, Subject, Throttle
from mta.status import Scope

if TYPE_CHECKING:
    from typing import Any

NOW = 1_800_000_000_000  # 2027-01-15 08:00 UTC
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
TEN, ONE, HUNDRED = Rate(10, 60.0), Rate(1, 60.0), Rate(100, 60.0)
PAIR = Subject("out1", "google")
UNUSUAL = "421 4.7.28 Our system has detected an unusual rate of unsolicited mail"


def limits(rate: Rate | None = HUNDRED, connections: int = 5, zone_connections: int = 0) -> Limits:
    return Limits(
        connections=connections,
        zone_connections=zone_connections,
        messages_per_connection=50,
        connection_rate=None,
        message_rate=rate,
        recipients_per_message=100,
        tls=TlsNeed.OPPORTUNISTIC,
    )


def provider(name: str = "google", configured: Limits | None = None) -> Provider:
    suffixes = (f".{name}.example",) if name else ()
    return Provider(name=name, title=name.title(), suffixes=suffixes, limits=configured or limits())


def book(*providers: Provider) -> ShapingBook:
    default = provider("", limits(Rate(100, 1.0), 10))
    by_name = {"": default, **{each.name: each for each in providers or (provider(),)}}
    return ShapingBook(providers=by_name, rules=(), source="test")


GOOGLE = Zone("google", provider())
SITE = Zone("mx.example.net:25", provider("", limits(Rate(100, 1.0), 10)))


def slow_to(rate: Rate | None = TEN, connections: int = 0, seconds: float = 1800.0) -> Action:
    return Action(kind=ActionKind.SLOW, seconds=seconds, rate=rate, connections=connections)


def action(kind: ActionKind, seconds: float = 3600.0) -> Action:
    return Action(kind=kind, seconds=seconds)


def rule(*actions: Action, name: str = "google-unusual-rate", times: int = 1) -> Rule:
    return Rule(
        id=name, provider="google", actions=actions, samples=(UNUSUAL,), times=times, within=3600.0
    )


def answer(*rules: Rule, said: str = UNUSUAL, **facts: Any) -> Answer:
    """From Google to egress out1, about the address that sends, unless told otherwise."""
    code, _, text = said.partition(" ")
    known: dict[str, Any] = {
        "egress": "out1",
        "zone": GOOGLE,
        "tenant_id": 7,
        "domain": "example.com",
        "host": "mx1.google.example",
        "scope": Scope.HOST,
    }
    return Answer(reply=Reply.from_text(int(code), text), rules=rules, **{**known, **facts})


def fault(at: int = NOW, rule_id: str = "google-unusual-rate") -> Fault:
    return Fault(rule_id, UNUSUAL, "mx1.google.example", at)


def throttle(subject: Subject = PAIR, **facts: Any) -> Throttle:
    known = {"fault": fault(), "changed_at": NOW, "heard_at": NOW}
    return Throttle(subject=subject, **{**known, **facts})
