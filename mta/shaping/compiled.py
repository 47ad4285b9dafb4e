"""Compiled: one table of config/shaping.toml, as written, made into the value that the mta uses; pure.

Fails with ValueError, or re.error for a regular expression, in words for the person who wrote it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mta.answer_text import searchable
from mta.shaping.model import Action, ActionKind, Limits, Provider, Rate, Rule

if TYPE_CHECKING:
    from mta.shaping.written import Entry, Named, Section, Speed, Then

_OF_ONE_ANSWER: Final = frozenset({ActionKind.BOUNCE, ActionKind.NEXT_ADDRESS})
_TRIES_AGAIN: Final = frozenset({ActionKind.DEFER, ActionKind.NEXT_ADDRESS})


def default_provider(section: Section) -> Provider:
    """[default]."""
    return Provider(
        name="", title="", suffixes=(), limits=_limits(section), retry=tuple(section.retry)
    )


def provider(name: str, section: Named) -> Provider:
    """[provider.NAME]."""
    return Provider(
        name=name,
        title=section.title or name,
        suffixes=section.mx,
        limits=_limits(section),
        feedback_loop=section.feedback_loop,
        retry=tuple(section.retry),
    )


def _limits(section: Section) -> Limits:
    return Limits(
        connections=section.connections,
        zone_connections=section.zone_connections,
        messages_per_connection=section.messages_per_connection,
        connection_rate=section.connection_rate.rate if section.connection_rate else None,
        message_rate=section.message_rate.rate if section.message_rate else None,
        recipients_per_message=section.recipients_per_message,
        tls=section.tls,
        connect_timeout=section.connect_timeout,
        greeting_timeout=section.greeting_timeout,
        command_timeout=section.command_timeout,
        data_timeout=section.data_timeout,
        dot_timeout=section.dot_timeout,
        idle_timeout=section.idle_timeout,
    )


def rule(entry: Entry, line: int) -> Rule:
    """[[rule]], which begins in that line."""
    if not (entry.code or entry.enhanced or entry.text):
        raise ValueError("give it a code, enhanced or text; it would hear everything")
    phrases = tuple(searchable(phrase) for phrase in entry.text)
    if not all(phrase.strip() for phrase in phrases):
        raise ValueError("a text has no word in it")
    return Rule(
        id=entry.id,
        provider=entry.provider,
        actions=_actions(entry.then),
        samples=entry.samples,
        times=entry.times,
        within=entry.within,
        codes=_codes(entry),
        phases=frozenset(entry.phase),
        phrases=phrases,
        pattern=re.compile(entry.regex) if entry.regex else None,
        note=entry.note,
        line=line,
    )


def _actions(then: tuple[Then, ...]) -> tuple[Action, ...]:
    kinds = {each.do for each in then}
    if len(kinds) < len(then):
        raise ValueError("it does the same thing twice")
    if ActionKind.BOUNCE in kinds and kinds & _TRIES_AGAIN:
        raise ValueError("it cannot bounce an answer and try again")
    return tuple(_action(each) for each in then)


def _action(then: Then) -> Action:
    is_slow, needs_time = then.do is ActionKind.SLOW, then.do not in _OF_ONE_ANSWER
    rate = _rate(then.rate)
    if needs_time and then.seconds is None:
        raise ValueError(f'{then.do} needs its time, such as for = "30 min"')
    if not needs_time and then.seconds is not None:
        raise ValueError(f"{then.do} is about one answer and takes no `for`")
    if is_slow and rate is None and then.connections is None:
        raise ValueError("slow needs a rate, connections, or both")
    if not is_slow and (then.rate or then.connections):
        raise ValueError(f"{then.do} takes neither rate nor connections")
    return Action(
        kind=then.do, seconds=then.seconds or 0.0, rate=rate, connections=then.connections or 0
    )


def _codes(entry: Entry) -> re.Pattern[str] | None:
    """One pattern over "550 5.1.1"."""
    if not entry.code and not entry.enhanced:
        return None
    codes = [code.replace("x", r"\d") for code in entry.code] or [r"\d+"]
    enhanced = [_enhanced(each) for each in entry.enhanced] or [r"\S*"]
    return re.compile(f"(?:{'|'.join(codes)}) (?:{'|'.join(enhanced)})", re.ASCII)


def _enhanced(written: str) -> str:
    """The pattern of "4.7.28", "*.7.*" or "5.7.606-649"."""
    start, _, detail = written.rpartition(".")
    first, dash, last = detail.partition("-")
    if dash:
        numbers = range(int(first), int(last) + 1)
        if not numbers:
            raise ValueError(f"{written!r} ends before it begins")
        detail = f"(?:{'|'.join(map(str, numbers))})"
    each = f"{start}.{detail}" if start else written
    return each.replace(".", r"\.").replace("*", r"\d+")


def _rate(speed: Speed | None) -> Rate | None:
    return speed.rate if speed else None
