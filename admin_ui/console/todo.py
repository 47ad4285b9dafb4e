"""To-do: what a tenant should mend, worst first; an entry is gone when its reason is.

    found = await facts_of(rooms, visit)          what the rooms know, asked for at once
    items = items_of(found, when)                 pure: [Item], each with what it does to the mail and where to mend it
    headline(items)                               "One thing is broken and two need a look."

Nothing is judged here that a room judges: notices that stand, domains that a check found wrong, what was refused.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from admin_ui.console.onboarding import STEPS, onboarding_of
from appliance.core import clock
from appliance.domains import Check, CheckState
from appliance.notices import Severity
from appliance.rights import Right
from mta.signing.dns_records import RecordKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from admin_ui.console.onboarding import Onboarding
    from admin_ui.console.visit import Visit
    from admin_ui.rooms import Rooms
    from appliance.credentials import CredentialRecord, Trial
    from appliance.domains import DomainKey, DomainRecord
    from appliance.notices import Notice
    from appliance.tenancy import TenantRecord

MOST: Final = 12
_MOST_DOMAINS: Final = 200
_MOST_CREDENTIALS: Final = 100
_FRESH: Final = clock.DAY  # a refusal of before is no news
_ORDER: Final = {"bad": 0, "look": 1, "way": 2}
_OF_DOMAINS: Final = frozenset(
    {"domain-record", "domain-verified"}
)  # told by the domains themselves
_KINDS: Final = {Severity.CRITICAL: "bad", Severity.WARNING: "look", Severity.INFO: "way"}

_RECORDS: Final = {
    RecordKind.DKIM: ("DKIM record", "receivers cannot check our signature"),
    RecordKind.OWNERSHIP: ("ownership record", "nothing proves any more that it is yours"),
    RecordKind.SPF: ("SPF record", "receivers do not learn that this box may send for it"),
    RecordKind.RETURN_PATH: ("return path", "bounces come back to the box's own domain"),
    RecordKind.DMARC: ("DMARC record", "receivers are not told what to do with forged mail"),
}
"""Of each kind, the gravest first: its name, and what mail suffers while it is wrong."""

_NOTICES: Final = {
    "quota": ("What comes above it is refused until midnight UTC.", "See the usage", "/usage"),
    "bounces": ("Receivers judge you by it: stop writing to addresses that do not exist.", "See why", "/bounces"),
    "complaints": ("Above 0.3 % Gmail and Yahoo refuse mail: find out who did not want it.", "See them", "/bounces"),
    "blocklist": ("Receivers that ask this list refuse its mail.", "See the blocklists", "/blocklists"),
    "domain-record": ("Until it is as before, receivers may not believe that its mail is yours.", "See the domains", "/domains"),
    "egress-dns": ("Receivers distrust an address whose names do not agree.", "See the address", "/egress"),
    "webhook-disabled": ("Your application hears of nothing until it is enabled again.", "See the webhook", "/webhooks"),
}  # fmt: skip


class Item(NamedTuple):
    """One thing to do, as organisms.html draws it."""

    kind: str  # bad | look | way
    title: str
    text: str
    act: str  # words of the button
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rooms know."""

    tenant: TenantRecord
    now: int
    domains: tuple[DomainRecord, ...] = ()
    notices: tuple[Notice, ...] = ()
    refused: tuple[tuple[CredentialRecord, Trial], ...] = ()
    onboarding: Onboarding | None = None


async def facts_of(rooms: Rooms, visit: Visit, tenant: TenantRecord) -> Facts:
    """Everything at once."""
    scope = visit.scope
    domains, feed, refused, onboarding = await asyncio.gather(
        rooms.domains.page(scope, limit=_MOST_DOMAINS),
        rooms.notifications.feed(scope, 0),  # of nobody: what stands, whatever somebody chose
        _refused(rooms, visit),
        _onboarding(rooms, visit),
    )
    notices = tuple(entry.notice for entry in feed.entries)
    return Facts(
        tenant=tenant,
        now=visit.stage.now(),
        domains=domains,
        notices=notices,
        refused=refused,
        onboarding=onboarding,
    )


async def _onboarding(rooms: Rooms, visit: Visit) -> Onboarding | None:
    """None once it is over, which costs one question, and for who has no part in it."""
    if not visit.may(Right.DOMAINS_MANAGE) or await rooms.tries.has_delivered(visit.scope):
        return None
    return await onboarding_of(rooms, visit.scope)


async def _refused(rooms: Rooms, visit: Visit) -> tuple[tuple[CredentialRecord, Trial], ...]:
    if not visit.may(Right.CREDENTIALS_READ):
        return ()
    credentials = await rooms.credentials.page(visit.scope, limit=_MOST_CREDENTIALS)
    tries = await rooms.tries.of(visit.scope, [one.id for one in credentials])
    fresh = visit.stage.now() - _FRESH
    return tuple(
        (one, trial)
        for one in credentials
        if (trial := tries.get(one.id)) and trial.is_refused and trial.refused_at > fresh
    )


def items_of(facts: Facts, when: Callable[[int], str]) -> list[Item]:
    """What is to be done, worst first. `when` writes a time."""
    found = [
        *_of_tenant(facts.tenant, when),
        *(item for one in facts.domains for item in _of_domain(one, facts, when)),
        *(item_of_notice(one) for one in facts.notices if one.kind not in _OF_DOMAINS),
        *(_of_refusal(one, trial, when) for one, trial in facts.refused),
    ]
    ordered = sorted(found, key=lambda one: _ORDER[one.kind])
    return [*_of_onboarding(facts.onboarding), *ordered]


def _of_onboarding(found: Onboarding | None) -> Iterator[Item]:
    """Before all others: what is broken of a set-up that goes on is part of it."""
    if found is not None and not found.is_over:
        number = list(STEPS).index(found.step) + 1
        title = f"Set up: step {number} of {len(STEPS)}, {STEPS[found.step].lower()}"
        yield Item("way", title, found.words, "Go on", "/onboarding")


def _of_tenant(tenant: TenantRecord, when: Callable[[int], str]) -> Iterator[Item]:
    if tenant.suspended:
        why = f": {tenant.suspended_reason}" if tenant.suspended_reason else ""
        text = f"By the operator of the box, {when(tenant.suspended_at)}{why}. What waits is kept."
        yield Item("bad", "Your sending is suspended", text, "See what waits", "/queue")
    if tenant.sandboxed:
        text = "Everything is accepted and shown here; nothing reaches a receiver."
        yield Item("way", "This is a sandbox: nothing is delivered", text, "Settings", "/settings")


def _of_domain(found: DomainRecord, facts: Facts, when: Callable[[int], str]) -> Iterator[Item]:
    href = f"/domains/{found.id}"
    if not found.verified:
        text = "Mail from its addresses is refused until its ownership record is seen."
        yield Item("bad", f"{found.name} is not proved to be yours", text, "See the records", href)
        return
    if wrong := wrong_of(found):
        yield _of_records(found, wrong, facts, when)
    for key in found.keys:
        if key.is_old(facts.now):
            yield _of_key(found, key, facts.now)


def wrong_of(found: DomainRecord) -> list[Check]:
    """Records that the last check found wrong, the gravest first."""
    checks = found.report.checks if found.report else ()
    bad = [one for one in checks if one.state in (CheckState.MISSING, CheckState.DIFFERENT)]
    order = list(_RECORDS)
    return sorted(bad, key=lambda one: order.index(one.kind))


def _of_records(
    found: DomainRecord, wrong: Sequence[Check], facts: Facts, when: Callable[[int], str]
) -> Item:
    first, others = wrong[0], {one.kind for one in wrong[1:]} - {wrong[0].kind}
    name, effect = _RECORDS[first.kind]
    verb = "does not match" if first.state is CheckState.DIFFERENT else "is missing"
    more = f" Also wrong: {', '.join(_RECORDS[one][0] for one in _RECORDS if one in others)}."
    since = min(_broke(found, facts.notices), default=0)
    text = f"Since {when(since)} {effect}." if since else f"{effect[0].upper()}{effect[1:]}."
    return Item(
        "bad" if since and first.kind is RecordKind.DKIM else "look",
        f"The {name} of {found.name} {verb}",
        text + (more if others else ""),
        "Fix the record",
        f"/domains/{found.id}",
    )


def _broke(found: DomainRecord, notices: Iterable[Notice]) -> Iterator[int]:
    """Since when records are wrong that were right before."""
    for one in notices:
        if one.kind == "domain-record" and one.subject.startswith(f"{found.name}: "):
            yield one.raised_at


def _of_key(found: DomainRecord, key: DomainKey, now: int) -> Item:
    months = (now - key.created_at) // (30 * clock.DAY)
    text = "Change it: the old key stays valid until what it signed has arrived."
    title = f"DKIM key {key.selector} of {found.name} is {months} months old"
    return Item("way", title, text, "Start rotation", f"/domains/{found.id}")


def item_of_notice(one: Notice) -> Item:
    """A notice that stands. Of a kind that nobody described it says what the finder said."""
    kind = "bad" if one.kind == "quota" and one.subject == "100 %" else _KINDS[one.severity]
    text, act, href = _NOTICES.get(one.kind, (one.next_step, "See it", "/notifications"))
    return Item(kind, sentence(one.text), text, act, href)


def sentence(text: str) -> str:
    """A finder's words as a sentence begins; names keep their case."""
    return f"The {text[4:]}" if text.startswith("the ") else text


def _of_refusal(one: CredentialRecord, trial: Trial, when: Callable[[int], str]) -> Item:
    what = f"a message from {trial.refused_sender}" if trial.refused_sender else "a sign-in"
    text = f"The last, {when(trial.refused_at)}, was {what}: {trial.refused_words}"
    return Item("look", f"“{one.name}” was refused", text, "See it", f"/credentials/{one.id}")


_NUMBERS: Final = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def headline(items: Sequence[Item]) -> str:
    """How many are broken, how many need a look."""
    broken = sum(one.kind == "bad" for one in items)
    look = sum(one.kind == "look" for one in items)
    if not broken and not look:
        return "Nothing is broken." if items else "Nothing needs doing."
    if not look:
        return f"{_things(broken)} {'is' if broken == 1 else 'are'} broken."
    needs = "needs a look" if look == 1 else "need a look"
    if not broken:
        return f"{_things(look)} {needs}."
    return f"{_things(broken)} {'is' if broken == 1 else 'are'} broken and {_count(look).lower()} {needs}."


def _things(number: int) -> str:
    return f"{_count(number)} thing{'s' * (number != 1)}"


def _count(number: int) -> str:
    return _NUMBERS[number] if number < len(_NUMBERS) else f"{number}"
