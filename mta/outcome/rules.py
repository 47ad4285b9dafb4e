"""Rules: config/bounces.toml as compiled values; which rule an answer matches.

Loaded once, whole or not at all: an unknown key, a category that does not exist, a rule twice, a
pattern that does not compile or a rule without a sample raises ConfigError naming the file, the
line and the rule. `faults` tells which rule misses a sample of its own, or loses it to an earlier one.

A match costs microseconds however many rules there are: an index from one word of each phrase to its
rule leaves few phrases to search for; which rules follow from the codes alone is worked out once for
each pair and remembered (bounded); a regular expression runs only behind a phrase.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from appliance.core.errors import ConfigError
from appliance.core.shipped import FOLDER
from appliance.core.toml_text import tables_of, text_of
from mta.answer_text import searchable
from mta.outcome.category import Category  # noqa: TC001 - msgspec reads annotations at run time
from mta.reply import Reply
from mta.status import Phase, Scope  # noqa: TC001 - msgspec reads annotations at run time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SHIPPED: Final = FOLDER / "bounces.toml"
_REMEMBERED: Final = 4096  # pairs of codes; remote hosts choose them, so there is a bound
_CODE: Final = r"^[2-5x][0-9x][0-9x]$"
_ENHANCED: Final = r"^$|^[245*]\.([0-9]{1,3}|\*)\.([0-9]{1,3}|\*)$"

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,60}$")]
_Phrase = Annotated[str, msgspec.Meta(min_length=2, pattern=r"^[^A-Z]*$")]
_Words = Annotated[str, msgspec.Meta(min_length=1)]


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule as it stands in the file."""

    id: _Name
    category: Category
    samples: Annotated[tuple[_Words, ...], msgspec.Meta(min_length=1)]
    provider: _Name | None = None
    code: tuple[Annotated[str, msgspec.Meta(pattern=_CODE)], ...] = ()
    enhanced: tuple[Annotated[str, msgspec.Meta(pattern=_ENHANCED)], ...] = ()
    phase: tuple[Phase, ...] = ()
    text: tuple[_Phrase, ...] = ()
    regex: str = ""
    hard: bool = False
    treat: Literal["temporary", "permanent"] | None = None
    scope: Scope | None = None
    reason: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rule: tuple[_Entry, ...]
    providers: dict[str, tuple[_Words, ...]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, ready to use."""

    id: str
    category: Category
    hard: bool
    permanent: bool | None  # None: as the code says
    scope: Scope | None  # None: as the phase says
    reason: str
    samples: tuple[str, ...]
    hosts: tuple[str, ...]  # suffixes; empty = any host
    phases: frozenset[Phase]
    codes: re.Pattern[str] | None
    phrases: tuple[str, ...]  # as `searchable` writes them
    pattern: re.Pattern[str] | None

    def fits_codes(self, reply: Reply) -> bool:
        """Whether code and enhanced code fit."""
        return self.codes is None or self.codes.fullmatch(_codes(reply)) is not None

    def fits(self, text: str, phase: Phase | None, host: str) -> bool:
        """Whether host, phase and regular expression fit; the codes and phrases do already."""
        if self.hosts and not host.endswith(self.hosts):
            return False
        if self.phases and phase not in self.phases:
            return False
        return self.pattern is None or self.pattern.search(text) is not None


class RuleBook:
    """The rules in their order."""

    __slots__ = ("_by_codes", "_by_word", "rules")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self._by_word = _index(rules)
        self._by_codes: dict[tuple[int, str], frozenset[int]] = {}

    def find(self, reply: Reply, *, phase: Phase | None, provider: str) -> Rule | None:
        """The first rule that matches."""
        text, host = searchable(reply.text), _host(provider)
        for place in sorted(self._said(text, reply) | self._coded(reply)):
            if self.rules[place].fits(text, phase, host):
                return self.rules[place]
        return None

    def _said(self, text: str, reply: Reply) -> set[int]:
        """Rules that have a phrase in the text."""
        return {
            place
            for word in set(text.split())
            for place, phrase in self._by_word.get(word, ())
            if phrase in text and self.rules[place].fits_codes(reply)
        }

    def _coded(self, reply: Reply) -> frozenset[int]:
        """Rules without phrases that fit the codes."""
        key = (reply.code, reply.enhanced)
        found = self._by_codes.get(key)
        if found is None:
            if len(self._by_codes) >= _REMEMBERED:
                self._by_codes.clear()
            silent = ((n, rule) for n, rule in enumerate(self.rules) if not rule.phrases)
            found = frozenset(n for n, rule in silent if rule.fits_codes(reply))
            self._by_codes[key] = found
        return found


def _index(rules: tuple[Rule, ...]) -> dict[str, tuple[tuple[int, str], ...]]:
    """For the longest word of each phrase: place of the rule, phrase. Long words are rare ones."""
    index: dict[str, list[tuple[int, str]]] = {}
    for place, rule in enumerate(rules):
        for phrase in rule.phrases:
            index.setdefault(max(phrase.split(), key=len), []).append((place, phrase))
    return {word: tuple(entries) for word, entries in index.items()}


def load_rules(path: Path) -> RuleBook:
    """Read a rules file. Raises ConfigError."""
    return parse_rules(text_of(path, "the bounce rules"), str(path))


@functools.cache
def shipped_rules() -> RuleBook:
    """The rules that come with the box, read once."""
    return load_rules(SHIPPED)


def parse_rules(text: str, source: str) -> RuleBook:
    """Compile the rules of a file. Raises ConfigError naming line and rule."""
    tables = tables_of(text, source)
    try:
        file = msgspec.convert(tables, _File)
    except msgspec.ValidationError as error:
        raise ConfigError(_place(text, source, str(error)) + str(error)) from error
    rules: dict[str, Rule] = {}
    for number, entry in enumerate(file.rule):
        try:
            if entry.id in rules:
                raise ValueError("there is a rule of this name already")
            rules[entry.id] = _compile(entry, file.providers)
        except (ValueError, re.error) as error:
            raise ConfigError(_place(text, source, f"[{number}]") + str(error)) from error
    return RuleBook(tuple(rules.values()))


def faults(book: RuleBook) -> list[str]:
    """Every sample that its own rule does not catch, in words; empty when all is well."""
    found = []
    for rule in book.rules:
        host = f"mx1{rule.hosts[0]}" if rule.hosts else ""
        phase = min(rule.phases) if rule.phases else None
        for sample in rule.samples:
            hit = book.find(_reply_of(sample), phase=phase, provider=host)
            if hit is not rule:
                taker = f"goes to {hit.id!r}" if hit else "matches no rule"
                found.append(f"rule {rule.id!r}: its sample {sample!r} {taker}")
    return found


def _reply_of(sample: str) -> Reply:
    code, _, text = sample.partition(" ")
    is_code = code.isascii() and code.isdigit() and len(code) <= 3
    return Reply.from_text(int(code), text) if is_code else Reply(0, "", sample)


def _compile(entry: _Entry, providers: Mapping[str, tuple[str, ...]]) -> Rule:
    if entry.provider is not None and entry.provider not in providers:
        known = ", ".join(sorted(providers)) or "none"
        raise ValueError(f"provider {entry.provider!r} is not in [providers], which has: {known}")
    if entry.regex and not entry.text:
        raise ValueError("a regex needs a text to run behind; it is not run on every answer")
    if not (entry.code or entry.enhanced or entry.text):
        raise ValueError("give it a code, enhanced or text; it would match everything")
    phrases = tuple(searchable(phrase) for phrase in entry.text)
    if not all(phrase.strip() for phrase in phrases):
        raise ValueError("a text has no word in it")
    return Rule(
        id=entry.id,
        category=entry.category,
        hard=entry.hard,
        permanent=None if entry.treat is None else entry.treat == "permanent",
        scope=entry.scope,
        reason=entry.reason,
        samples=entry.samples,
        hosts=providers[entry.provider] if entry.provider else (),
        phases=frozenset(entry.phase),
        codes=_codes_pattern(entry),
        phrases=phrases,
        pattern=re.compile(entry.regex) if entry.regex else None,
    )


def _codes(reply: Reply) -> str:
    return f"{reply.code} {reply.enhanced}"


def _codes_pattern(entry: _Entry) -> re.Pattern[str] | None:
    """One pattern over "550 5.1.1"."""
    if not entry.code and not entry.enhanced:
        return None
    codes = [code.replace("x", r"\d") for code in entry.code] or [r"\d+"]
    enhanced = [e.replace(".", r"\.").replace("*", r"\d+") for e in entry.enhanced] or [r"\S*"]
    return re.compile(f"(?:{'|'.join(codes)}) (?:{'|'.join(enhanced)})", re.ASCII)


def _host(provider: str) -> str:
    """Host name for comparing suffixes, which start with a dot, so that "google.com" matches too."""
    name = provider.partition(":")[0].rstrip(".").lower()
    return f".{name}" if name else ""


def _place(text: str, source: str, error: str) -> str:
    """Name file, line and rule, for the rule whose number an error text holds."""
    number = re.search(r"\[(\d+)\]", error)
    if number is None:
        return f"{source}: "
    starts = [m.start() for m in re.finditer(r"^[ \t]*\[\[ *rule *\]\]", text, re.MULTILINE)]
    if int(number.group(1)) >= len(starts):
        return f"{source}: "
    start = starts[int(number.group(1))]
    name = re.compile(r"^\s*id\s*=\s*[\"'](.*?)[\"']", re.MULTILINE).search(text, start)
    line = text.count("\n", 0, start) + 1
    return f"{source}:{line}: rule {name.group(1) if name else '?'!r}: "
