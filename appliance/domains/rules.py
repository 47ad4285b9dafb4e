"""Rules of domains, pure: names, selectors, who may prove a name, and how records are judged."""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import idna

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.domains import spf
from appliance.domains.model import (
    BoxNames,
    Check,
    CheckState,
    DomainKey,
    DomainRecord,
    KeyState,
    Report,
)
from mta.signing.dns_records import DnsRecord, RecordKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

OVERLAP_AFTER_QUEUE: Final = 7 * clock.DAY
"""A receiver may verify a signature late: forwarded, or looked at again by a filter (MTA-7)."""

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_SELECTOR: Final = re.compile(r"pb(\d{1,6})[re]")
_TOKEN_LENGTH: Final = 26
_ALIKE: Final = 60  # every RSA key begins alike: what follows is ours
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"


class Found(NamedTuple):
    """What DNS answered: values, or `trouble` when it could not say."""

    values: tuple[str, ...] = ()
    trouble: str = ""


def checked_name(text: str) -> str:
    """A domain name in lower case, as A-labels, without its last dot. Raises UsageError in words."""
    name = text.strip().rstrip(".").lower()
    try:
        name = name if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise UsageError(f"{text!r} is no domain name: {error}") from error
    labels = name.split(".")
    if len(labels) < 2 or len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise UsageError(f"{text!r} is no domain name: write it in full, as in example.com")
    return name


def checked_selector(text: str) -> str:
    """A selector: one or several DNS labels (RFC 6376 3.1)."""
    selector = text.strip().lower()
    if len(selector) > 63 or not all(map(_LABEL.fullmatch, selector.split("."))):
        raise UsageError(f"{text!r} is no selector: letters, digits, hyphens, as in s2026a")
    return selector


def make_token(choose: Callable[[str], str]) -> str:
    """What proves a domain; 130 bits, so nobody guesses another tenant's."""
    return "".join(choose(_LETTERS) for _ in range(_TOKEN_LENGTH))


def next_selectors(existing: Iterable[str]) -> tuple[str, str]:
    """Selectors for a new pair of keys, RSA and Ed25519; a number is never used twice."""
    numbers = [int(match[1]) for name in existing if (match := _SELECTOR.fullmatch(name))]
    number = max(numbers, default=0) + 1
    return f"pb{number}r", f"pb{number}e"


def owner_of(verified: Mapping[str, int], name: str) -> int | None:
    """The tenant whose verified domain covers the name: itself, else the nearest parent (MTA-2)."""
    while name:
        if name in verified:
            return verified[name]
        _, _, name = name.partition(".")
    return None


def why_not_verify(verified: Mapping[str, int], name: str, tenant_id: int) -> str:
    """Why the tenant may not have the name though it proved it; "" if it may.

    A parent or child that another tenant has verified is no obstacle: whoever can write the
    name's own TXT record controls it, and the nearest verified name wins.
    """
    if verified.get(name, tenant_id) == tenant_id:
        return ""
    return f"another tenant of this box has verified {name}: ask the box's admin to release it"


def withdraw_at(now: int, queue_life: int) -> int:
    """Until when a retiring selector stays published."""
    return now + queue_life + OVERLAP_AFTER_QUEUE


def next_states(
    keys: Iterable[DomainKey], seen: frozenset[str], now: int, queue_life: int
) -> dict[int, tuple[KeyState, int]]:
    """What changes of the keys, given the selectors whose records were seen: id -> state, withdraw_at.

    A pending key that was seen takes over from the active ones of its algorithm.
    """
    keys = tuple(keys)
    changes: dict[int, tuple[KeyState, int]] = {}
    for key in keys:
        if key.state is KeyState.RETIRING and key.withdraw_at <= now:
            changes[key.id] = (KeyState.WITHDRAWN, key.withdraw_at)
        if key.state is not KeyState.PENDING or key.selector not in seen:
            continue
        changes[key.id] = (KeyState.ACTIVE, 0)
        for old in keys:
            if old.state is KeyState.ACTIVE and old.algorithm == key.algorithm:
                changes[old.id] = (KeyState.RETIRING, withdraw_at(now, queue_life))
    return changes


def seen_selectors(report: Report, domain: DomainRecord) -> frozenset[str]:
    """The selectors of the domain whose records are as they must be."""
    names = {check.name for check in report.checks if check.state is CheckState.OK}
    return frozenset(
        key.selector for key in domain.keys if f"{key.selector}._domainkey.{domain.name}" in names
    )


def with_problem(report: Report, kind: RecordKind, problem: str) -> Report:
    """The report with a check turned into a problem that DNS does not know of."""
    return replace(
        report,
        checks=tuple(
            replace(check, state=CheckState.DIFFERENT, problem=problem)
            if check.kind is kind
            else check
            for check in report.checks
        ),
    )


def judge_text(record: DnsRecord, found: Found) -> Check:
    """A TXT record that must stand there exactly (ownership)."""
    if found.trouble:
        return _unknown(record.kind, record.name, found)
    if record.value in (value.strip() for value in found.values):
        return Check(kind=record.kind, name=record.name, state=CheckState.OK, found=found.values)
    if not found.values:
        return _missing(record)
    problem = f"the TXT record says something else; it must be {record.value}"
    return _different(record.kind, record.name, found, problem)


def judge_dkim(
    record: DnsRecord, found: Found, others: Mapping[str, str] = MappingProxyType({})
) -> Check:
    """The public key at a selector: the same, another one, withdrawn, or none.

    `others`: what must stand at the domain's selectors, by name: two are easily swapped.
    """
    if found.trouble:
        return _unknown(record.kind, record.name, found)
    if not found.values:
        return _missing(record)
    wanted = tags(record.value).get("p", "")
    published = [tags(value).get("p", "") for value in found.values]
    if len(published) > 1:
        problem = "there are several TXT records; receivers take any one of them: keep one"
    elif published[0] == wanted:
        return Check(kind=record.kind, name=record.name, state=CheckState.OK, found=found.values)
    elif not published[0]:
        problem = "the record holds no key (p= is empty, which means withdrawn)"
    elif wanted.startswith(published[0]):
        problem = (
            f"the published key is cut off after {len(published[0])} of {len(wanted)} characters:"
            " paste the value again, whole, or as quoted strings of at most 255 characters each"
        )
    else:
        problem = _other_key(record, wanted, published[0], others)
    return _different(record.kind, record.name, found, problem)


def _other_key(record: DnsRecord, wanted: str, there: str, others: Mapping[str, str]) -> str:
    """What is wrong with a key that is not ours."""
    swapped = [name for name, value in others.items() if tags(value).get("p") == there]
    if swapped:
        own = record.name.partition("._domainkey.")[0]
        return f"it holds the key of the selector {swapped[0]}: publish that of {own} here"
    if set(there) & set("\"'\\"):
        return (
            "the key has quotation marks or backslashes in it: paste the value again, without them"
        )
    same = alike(wanted, there)
    if same < _ALIKE:
        return "the record holds another key, perhaps of an earlier set-up: paste the value again, whole"
    return f"the key differs from its character {same + 1} on, of {len(wanted)}: paste the value again, whole"


def alike(one: str, other: str) -> int:
    """How many signs two texts begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def merged_spf(texts: Sequence[str]) -> str:
    """One SPF record that says what several do: their terms in order, and the last's `all` (RFC 7208 3.2)."""
    every = [term for text in texts for term in text.split()[1:]]
    ends = [term for term in every if term.lower().lstrip("+-~?") == "all"]
    terms = [term for term in dict.fromkeys(every) if term not in ends]
    return " ".join(("v=spf1", *terms, *ends[-1:]))


def published_spf(domain: DomainRecord) -> str:
    """The SPF record that the domain has, "" for none that was seen; of several, as they must be one."""
    checks = domain.report.checks if domain.report else ()
    found = [one for one in checks if one.kind is RecordKind.SPF and one.name == domain.name]
    return merged_spf(found[0].found) if found and found[0].found else ""


def judge_dmarc(domain: str, asked: Iterable[tuple[str, Found]]) -> Check:
    """The first policy on the way up from the domain (RFC 7489 6.6.3, as a tree walk)."""
    kind, name = RecordKind.DMARC, f"_dmarc.{domain}"
    for place, found in asked:
        if found.trouble:
            return _unknown(kind, place, found)
        policies = [
            value for value in found.values if value.replace(" ", "").startswith("v=DMARC1")
        ]
        if not policies:
            continue
        if len(policies) > 1:
            return _different(kind, place, found, "there are several DMARC records: keep one")
        policy = tags(policies[0]).get("p", "").lower()
        if policy not in {"none", "quarantine", "reject"}:
            return _different(
                kind, place, found, "the record lacks p=none, p=quarantine or p=reject"
            )
        return Check(kind=kind, name=place, state=CheckState.OK, found=(policies[0],))
    problem = "there is no DMARC record; Gmail and Yahoo refuse bulk mail without one"
    return Check(kind=kind, name=name, state=CheckState.MISSING, problem=problem)


def judge_return_path(record: DnsRecord, box: BoxNames, cname: Found, mx: Found) -> Check:
    """The bounce domain: an alias of the box's own, or an MX that names the box."""
    trouble = cname if cname.trouble else mx
    if box.bounce_domain in cname.values or box.hostname in mx.values:
        values = cname.values or mx.values
        return Check(kind=record.kind, name=record.name, state=CheckState.OK, found=values)
    if trouble.trouble:
        return _unknown(record.kind, record.name, trouble)
    found = Found(cname.values or mx.values)
    if not found.values:
        return _missing(record)
    problem = f"it points elsewhere; it must be an alias (CNAME) of {box.bounce_domain}"
    return _different(record.kind, record.name, found, problem)


def judge_spf(
    domain: str, found: Found, records: Mapping[str, spf.SpfRecord], box: BoxNames
) -> Check:
    """The domain's SPF record: one, readable, within ten look-ups, naming the box."""
    texts = tuple(value for value in found.values if spf.is_spf(value))
    if found.trouble:
        return _unknown(RecordKind.SPF, domain, found)
    if not texts:
        problem = "there is no SPF record"
        return Check(kind=RecordKind.SPF, name=domain, state=CheckState.MISSING, problem=problem)
    problem = _spf_problem(domain, texts, records, box)
    state = CheckState.DIFFERENT if problem else CheckState.OK
    return Check(kind=RecordKind.SPF, name=domain, state=state, problem=problem, found=texts)


def _spf_problem(
    domain: str, texts: tuple[str, ...], records: Mapping[str, spf.SpfRecord], box: BoxNames
) -> str:
    if len(texts) > 1:
        return "there are several SPF records, which is an error to every receiver: make them one"
    for name, record in records.items():
        if record.problem:
            return f"the record of {name} cannot be read: {record.problem}"
    lookups = spf.count_lookups(records, domain)
    if lookups > spf.MAX_LOOKUPS:
        return (
            f"it takes {lookups} DNS look-ups, receivers stop at {spf.MAX_LOOKUPS} and treat it as an error:"
            " remove services that no longer send, or replace includes by their addresses"
        )
    named = any(box.bounce_domain in record.includes for record in records.values())
    if not named and not spf.covers(records.values(), box.addresses):
        return f"it does not name this box: add include:{box.bounce_domain}"
    return ""


def tags(text: str) -> dict[str, str]:
    """The tag list of a DKIM or DMARC record (RFC 6376 3.2), white space removed."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {
        name.strip().lower(): "".join(value.split()) for name, _, value in pairs if name.strip()
    }


def dmarc_places(domain: str) -> tuple[str, ...]:
    """Where a DMARC record may stand: the domain, then its parents with two labels or more."""
    labels = domain.split(".")
    parents = (
        ".".join(labels[start:]) for start in range(max(0, len(labels) - 5), len(labels) - 1)
    )
    return tuple(dict.fromkeys(f"_dmarc.{name}" for name in (domain, *parents)))


def _missing(record: DnsRecord) -> Check:
    problem = f"there is no such {record.type} record; publish it with the value {record.value}"
    return Check(kind=record.kind, name=record.name, state=CheckState.MISSING, problem=problem)


def _different(kind: RecordKind, name: str, found: Found, problem: str) -> Check:
    return Check(
        kind=kind, name=name, state=CheckState.DIFFERENT, problem=problem, found=found.values
    )


def _unknown(kind: RecordKind, name: str, found: Found) -> Check:
    return Check(kind=kind, name=name, state=CheckState.UNKNOWN, problem=found.trouble)


def without_report(found: DomainRecord) -> DomainRecord:
    """The domain as all but its owner see it."""
    return replace(found, report=None, checked_at=0)
