"""The shaping file that comes with the box: what each provider's answers lead to."""

from __future__ import annotations

import pytest

from mta.outcome.classify import classify
from mta.shaping.book import SHIPPED, faults, load_book, shipped_book
from mta.shaping.matching import reply_of
from mta.shaping.model import Action, ActionKind, Rate, TlsNeed
from mta.status import Phase, Scope

BOOK = load_book(SHIPPED)
HOSTS = {
    "": "mx.example.org",
    "google": "gmail-smtp-in.l.google.com",
    "microsoft": "hotmail-com.olc.protection.outlook.com",
    "microsoft365": "example-com.mail.protection.outlook.com",
    "yahoo": "mta5.am0.yahoodns.net",
    "apple": "mx01.mail.icloud.com",
    "comcast": "mx1h1.comcast.net",
    "gmx": "mx00.gmx.net",
    "orange": "smtp-in.orange.fr",
    "mimecast": "us-smtp-inbound-1.mimecast.com",
    "barracuda": "d12345a.ess.barracudanetworks.com",
    "qq": "mx1.qq.com",
    "netease": "163mx01.mxmail.netease.com",
}
OF_ADDRESS = {ActionKind.SLOW, ActionKind.SUSPEND}
SAMPLES = [(rule, sample) for rule in BOOK.rules for sample in rule.samples]


def heard(line: str, provider: str, phase: Phase | None = Phase.DOT) -> list[str]:
    return [rule.id for rule in BOOK.find(reply_of(line), phase=phase, provider=provider)]


def words(action: Action) -> str:
    """An action as one reads it."""
    kind, seconds = action.kind.value, f" {action.seconds / 60:g} min" if action.seconds else ""
    rate = f" {action.rate}" if action.rate else ""
    return f"{kind}{rate}{f' {action.connections} conn' if action.connections else ''}{seconds}"


# -- every rule, every sample ------------------------------------------------


def test_every_rule_fires_on_its_samples() -> None:
    assert len(BOOK.rules) > 30
    assert faults(BOOK) == []


@pytest.mark.parametrize(("rule", "sample"), SAMPLES, ids=[r.id for r, _ in SAMPLES])
def test_a_sample_fires_no_other_providers_rule(rule, sample):
    for phase in rule.phases or [None]:
        for provider in BOOK.providers:
            found = BOOK.find(reply_of(sample), phase=phase, provider=provider)
            assert {hit.provider for hit in found} <= {provider, ""}
            if rule.provider not in (provider, ""):
                assert rule not in found


def test_answers_are_told_apart_by_themselves_too():
    """Were a sample said by another provider, that one's rules would not take it for theirs."""
    taken = {
        (rule.id, hit.id)
        for rule, sample in SAMPLES
        for provider in BOOK.providers
        for phase in rule.phases or [None]
        for hit in BOOK.find(reply_of(sample), phase=phase, provider=provider)
        if provider and hit.provider == provider != rule.provider
    }
    # Microsoft's two systems share these codes and mean different things by them; and a business
    # receiver that is busy has a rule of its own for it.
    assert taken == {("microsoft-rate-limited-address", "microsoft365-busy")}


def test_a_rule_about_our_address_hears_answers_that_are_judged_to_be_about_it():
    """Else it would count for nothing: whose fault an answer is, bounces.toml and the step tell."""
    about = [pair for pair in SAMPLES if OF_ADDRESS & {each.kind for each in pair[0].actions}]
    assert len(about) > 30
    for rule, sample in about:
        for phase in rule.phases or (Phase.GREETING, Phase.MAIL, Phase.RCPT, Phase.DOT):
            verdict = classify(reply_of(sample), phase=phase, provider=HOSTS[rule.provider])
            assert verdict.scope in (Scope.SESSION, Scope.HOST), (rule.id, sample, phase)


def test_no_answer_of_a_rule_suppresses_the_recipient():
    for rule, sample in SAMPLES:
        verdict = classify(
            reply_of(sample), phase=Phase.RCPT, provider=HOSTS[rule.provider], sole_recipient=True
        )
        assert not verdict.suppress, rule.id


# -- what is said, and what follows ------------------------------------------

TOO_FAST = "The user you are trying to contact is receiving mail at a rate that prevents additional messages"
BUSY = ["slow 1/min 1 conn 90 min"]


@pytest.mark.parametrize(
    ("provider", "line", "rules", "actions"),
    [
        # Anybody
        ("", "421 4.7.0 Messages from 192.0.2.1 temporarily deferred", ["busy"], BUSY),
        ("", "451 4.7.1 rate limited due to IP reputation", ["busy"], BUSY),
        ("", "450 Server busy", ["busy"], BUSY),
        ("orange", "421 4.3.2 Server Busy - try later", ["busy"], BUSY),
        ("", "550 5.7.1 Server busy", [], []),
        ("", "451 4.7.1 Greylisted, temporarily deferred", [], []),
        # Google
        ("google", "421 4.7.28 [192.0.2.1 15] Our system has detected an unusual rate of unsolicited mail originating from your IP address.", ["google-unusual-rate"], ["slow 10/min 30 min"]),
        ("google", "421 4.7.0 Our system has detected an unusual rate of unsolicited mail", ["google-unusual-rate-words"], ["slow 10/min 30 min"]),
        ("google", "550 5.7.1 Our system has detected that this message is likely unsolicited mail.", ["google-suspicious-message"], ["suspend_tenant 60 min"]),
        ("google", "421 4.7.0 Our system has detected that this message is suspicious due to the very low reputation of the sending IP address.", ["google-low-reputation-of-address"], ["suspend 60 min"]),
        ("google", "421 4.7.23 The sending IP has no PTR record", ["google-no-ptr", "google-rules-for-senders-temporary"], ["suspend 60 min", "defer 60 min"]),
        ("google", "421 4.7.29 not sent over a TLS connection", ["google-rules-for-senders-temporary"], ["defer 60 min"]),
        *(("google", f"421 4.7.{n} rate limited", ["google-rules-for-senders-temporary", "google-rules-for-senders-tenant"], ["defer 60 min", "suspend_tenant 60 min"]) for n in (26, 27, 30, 31, 32, 40)),
        *(("google", f"550 5.7.{n} blocked", ["google-rules-for-senders-final", "google-rules-for-senders-tenant"], ["bounce", "suspend_tenant 60 min"]) for n in (26, 27, 30, 31, 32, 40)),
        ("google", f"450 4.2.1 {TOO_FAST}", ["google-recipient-too-fast"], ["defer 60 min"]),
        ("google", f"550 5.2.1 {TOO_FAST}", ["google-recipient-too-fast-final"], ["defer 60 min"]),
        ("google", "550 5.2.1 The email account that you tried to reach is disabled.", [], []),
        ("google", "550 5.1.1 The email account that you tried to reach does not exist.", [], []),
        ("google", "552 5.2.2 The recipient's inbox is out of storage space.", [], []),
        ("google", "452 4.2.2 The recipient's inbox is out of storage space.", [], []),
        # Yahoo
        ("yahoo", "421 4.7.0 [TSS01] Messages from 192.0.2.1 temporarily deferred", ["yahoo-ts01"], ["slow 10/min 1 conn 30 min"]),
        ("yahoo", "421 4.7.0 [TS01] Messages from 192.0.2.1 temporarily deferred", ["yahoo-ts01"], ["slow 10/min 1 conn 30 min"]),
        ("yahoo", "421 4.7.1 [TS02] Messages temporarily deferred", ["yahoo-ts02"], ["slow 1/min 30 min"]),
        ("yahoo", "421 4.7.1 [TS03] All messages will be permanently deferred", ["yahoo-ts03"], ["slow 10/min 30 min"]),
        ("yahoo", "421 4.7.0 [TSS04] Messages temporarily deferred", ["yahoo-tss04"], ["suspend 120 min"]),
        ("yahoo", "421 4.7.0 [IPTS04] Messages temporarily deferred", ["yahoo-tss04"], ["suspend 120 min"]),
        ("yahoo", "421 4.7.0 [TSS05] Messages temporarily deferred", ["yahoo-tss05"], ["suspend 240 min"]),
        ("yahoo", "421 4.7.0 [IPTS05] Messages temporarily deferred", ["yahoo-tss05"], ["suspend 240 min"]),
        ("yahoo", "553 5.7.1 [BL21] Connections will not be accepted", ["yahoo-block-list"], ["suspend 120 min", "next_address"]),
        ("yahoo", "553 5.7.1 blue", [], []),
        ("yahoo", "421 4.7.0 [TX99] Messages temporarily deferred", ["busy"], BUSY),
        # Microsoft consumer
        *(("microsoft", f"421 RP-00{n} (BAY004) Unfortunately, some messages weren't sent", ["microsoft-throttled"], ["slow 10/min 1 conn 30 min"]) for n in (1, 2, 3)),
        ("microsoft", "451 4.7.650 The mail server has been temporarily rate limited due to IP reputation (S775)", ["microsoft-rate-limited-address"], ["suspend 30 min"]),
        ("microsoft", "451 4.7.651 The mail server has been temporarily rate limited due to IP reputation (S3114)", ["microsoft-rate-limited-address"], ["suspend 30 min"]),
        ("microsoft", "421 exceeded the maximum number of connections", ["microsoft-too-many-connections"], ["slow 1 conn 60 min"]),
        *(("microsoft", f"550 5.7.1 part of their network is on our block list ({code}).", ["microsoft-network-on-block-list"], ["suspend 120 min", "next_address"]) for code in ("S3140", "S3150")),
        *(("microsoft", f"550 {code} (SNT004) Unfortunately, messages weren't sent", ["microsoft-address-refused"], ["suspend 240 min", "next_address"]) for code in ("OU-001", "DY-001", "DY-002", "SC-002", "SC-003", "SC-004")),
        ("microsoft", "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", [], []),
        # Microsoft 365
        *(("microsoft365", f"451 4.7.{n} Server busy. Please try again later", ["microsoft365-busy"], ["slow 10/min 1 conn 30 min"]) for n in (500, 650, 699)),
        ("microsoft365", "451 4.7.700 Server overloaded", ["content-deferred"], ["suspend_tenant 30 min"]),
        *(("microsoft365", f"550 5.7.{n} Access denied, banned sending IP", ["microsoft365-banned-address"], ["suspend 720 min", "next_address"]) for n in (606, 649)),
        ("microsoft365", "550 5.7.605 Access denied", [], []),
        ("microsoft365", "550 5.7.650 Access denied", [], []),
        ("microsoft365", "550 5.4.1 Recipient address rejected: Access denied", [], []),
        ("microsoft365", "550 5.1.10 RESOLVER.ADR.RecipientNotFound", [], []),
        # Apple, Comcast, QQ
        ("apple", "421 4.7.0 [BS02] Blocked", ["apple-unavailable"], ["suspend 15 min"]),
        ("apple", "450 4.3.2 Service unavailable", ["apple-unavailable"], ["suspend 15 min"]),
        ("apple", "421 4.7.1 [HCM1] Messages temporarily deferred", ["apple-hcm1"], ["suspend 15 min"]),
        ("comcast", "421 4.1.0 Throttled. #RL0000", ["comcast-throttled"], ["slow 10/min 120 min"]),
        ("qq", "550 Ip frequency limited", ["qq-frequency-limited"], ["suspend 60 min", "defer 60 min"]),
        ("qq", "550 Mailbox not found", [], []),
        ("netease", "550 Ip frequency limited", [], []),
    ],
)  # fmt: skip
def test_known_answers_lead_to_what_they_should(provider, line, rules, actions):
    found = BOOK.find(reply_of(line), phase=Phase.DOT, provider=provider)
    assert [rule.id for rule in found] == rules
    assert [words(action) for rule in found for action in rule.actions] == actions


@pytest.mark.parametrize(
    ("rule", "times", "minutes"),
    [
        ("google-unusual-rate", 2, 60),
        ("google-unusual-rate-words", 2, 60),
        ("google-suspicious-message", 5, 60),
        ("google-low-reputation-of-address", 5, 60),
        ("yahoo-ts02", 3, 60),
        ("apple-unavailable", 5, 60),
        ("apple-hcm1", 3, 60),
        ("comcast-throttled", 2, 60),
        ("busy", 1, 60),
    ],
)
def test_how_often_it_must_be_said(rule, times, minutes):
    found = next(each for each in BOOK.rules if each.id == rule)
    assert (found.times, found.within) == (times, minutes * 60)


def test_what_the_step_tells():
    later = "450 4.7.1 Try again later"
    assert {
        heard(later, "", phase)[0] for phase in (Phase.CONNECT, Phase.GREETING, Phase.MAIL)
    } == {"deferred-before-the-message"}
    assert heard(later, "", Phase.RCPT) == []
    assert heard(later, "", Phase.DOT) == ["content-deferred"]
    assert heard("452 4.3.1 Disk full", "", Phase.DOT) == ["receiving-system-in-trouble"]
    assert heard("452 4.3.1 Disk full", "", Phase.RCPT) == []
    assert heard("450 4.2.1 x", "", Phase.DOT) == []
    for phase in (Phase.MAIL, Phase.RCPT, Phase.DOT):
        assert heard("450 4.7.1 Greylisting in action", "", phase) == []


def test_our_own_words_about_a_dead_network_slow_nobody():
    for line in ("451 4.4.1 no connection", "451 4.4.2 closed", "451 4.5.0 nonsense", "451 4.7.5 TLS failed"):  # fmt: skip
        assert heard(line, "", Phase.CONNECT if "4.4" in line else Phase.STARTTLS) == []


# -- providers ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "connections", "messages"),
    [
        ("", 10, 100),
        ("google", 5, 50),
        ("microsoft", 5, 50),
        ("microsoft365", 5, 50),
        ("yahoo", 5, 20),
        ("apple", 10, 5),
        ("comcast", 25, 1000),
        ("gmx", 4, 20),
        ("orange", 2, 100),
        ("mimecast", 10, 100),
        ("barracuda", 10, 15),
        ("qq", 4, 8),
        ("netease", 4, 7),
    ],
)
def test_providers_and_their_limits(provider, connections, messages):
    found = BOOK.provider_of([HOSTS[provider], f"x.{HOSTS[provider]}"])
    assert found.name == provider
    limits = found.limits
    assert (limits.connections, limits.messages_per_connection) == (connections, messages)
    assert (limits.connection_rate, limits.message_rate) == (Rate(100, 60), Rate(100, 1))
    assert (limits.tls is TlsNeed.REQUIRED) == (provider == "google")
    assert not provider or limits.zone_connections >= limits.connections
    assert found.feedback_loop == (provider in ("microsoft", "yahoo", "comcast"))


def test_every_provider_is_in_the_tables_above():
    assert set(HOSTS) == set(BOOK.providers)


def test_microsofts_two_systems_are_two_providers_with_a_site_for_each_domain():
    sites = [
        BOOK.zone_of(f"{host}:25", [host])
        for host in ("a-com.mail.protection.outlook.com", "b-com.p-v1.mx.microsoft")
    ]
    assert {zone.key for zone in sites} == {"microsoft365"}
    host = "hotmail-com.olc.protection.outlook.com"
    assert BOOK.zone_of(f"{host}:25", [host]).key == "microsoft"


def test_it_is_read_once():
    assert shipped_book() is shipped_book()
