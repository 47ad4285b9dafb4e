"""The shaping book: which provider a site belongs to, which rules hear an answer; pure.

A provider is found by the ends of its MX hosts, label by label: ".google.com" means aspmx.l.google.com
and google.com, never evilgoogle.com. Where suffixes of two providers overlap, the longer one counts. A
site whose hosts do not all lead to the same provider belongs to none.

Answers: all rules of the provider itself that fit, so that one may suspend while another defers the
recipient; only where none fits, the first rule for everybody. A rule hears no provider but its own.
About 10 us an answer, most of it for splitting its words; which rules fit the codes is worked out once
for each pair and remembered (bounded, for remote hosts choose them).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mta.answer_text import searchable
from mta.reply import Reply
from mta.shaping.model import Zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mta.shaping.model import Provider, Rule
    from mta.status import Phase


_REMEMBERED: Final = 4096


class ShapingBook:
    """Providers and rules of one file; never changes."""

    __slots__ = ("_by_suffix", "_coded", "_rules_of", "providers", "rules", "source")

    def __init__(
        self, *, providers: Mapping[str, Provider], rules: tuple[Rule, ...], source: str
    ) -> None:
        self.providers = MappingProxyType(dict(providers))
        """By name; "" is the default section."""
        self.rules = rules
        self.source = source
        self._by_suffix = {end: one.name for one in providers.values() for end in one.suffixes}
        self._rules_of = {name: tuple(r for r in rules if r.provider == name) for name in providers}
        self._coded: dict[tuple[str, int, str], tuple[Rule, ...]] = {}

    def provider_of(self, hosts: Iterable[str]) -> Provider:
        """Whose hosts these all are; else the default section."""
        names = {self._owner(host) for host in hosts}
        return self.providers[names.pop() if len(names) == 1 else ""]

    def zone_of(self, site_key: str, hosts: Iterable[str]) -> Zone:
        """What limits and throttles of this site apply to."""
        provider = self.provider_of(hosts)
        return Zone(provider.name or site_key, provider)

    def find(self, reply: Reply, *, phase: Phase | None, provider: str) -> tuple[Rule, ...]:
        """Every rule that hears this answer of the provider (its name; "" = one without a name)."""
        text = searchable(reply.text)
        if provider:
            rules = self._fitting(reply, provider)
            own = tuple([rule for rule in rules if _hears(rule, text, phase)])
            if own:
                return own
        for rule in self._fitting(reply, ""):
            if _hears(rule, text, phase):
                return (rule,)
        return ()

    def _fitting(self, reply: Reply, provider: str) -> tuple[Rule, ...]:
        """The provider's rules that fit the codes."""
        key = (provider, reply.code, reply.enhanced)
        found = self._coded.get(key)
        if found is None:
            if len(self._coded) >= _REMEMBERED:
                self._coded.clear()
            codes, rules = f"{reply.code} {reply.enhanced}", self._rules_of.get(provider, ())
            found = tuple(r for r in rules if r.codes is None or r.codes.fullmatch(codes))
            self._coded[key] = found
        return found

    def _owner(self, host: str) -> str:
        """Name of the provider with the longest suffix of this host."""
        rest = f".{host.rstrip('.').lower()}"
        while rest:
            if rest in self._by_suffix:
                return self._by_suffix[rest]
            dot = rest.find(".", 1)
            rest = rest[dot:] if dot > 0 else ""
        return ""


def _hears(rule: Rule, text: str, phase: Phase | None) -> bool:
    """Whether phase, phrases and regular expression fit; provider and codes do already."""
    if rule.phases and phase not in rule.phases:
        return False
    if rule.phrases and not any(phrase in text for phrase in rule.phrases):
        return False
    return rule.pattern is None or rule.pattern.search(text) is not None


def faults(book: ShapingBook) -> list[str]:
    """Every sample that its own rule does not hear, in words; empty when all is well."""
    return [
        f"{book.source}:{rule.line}: rule {rule.id!r}: its sample {sample!r} {taker}"
        for rule in book.rules
        for sample in rule.samples
        if (taker := _wrong_taker(book, rule, sample))
    ]


def _wrong_taker(book: ShapingBook, rule: Rule, sample: str) -> str:
    """What becomes of the sample instead; "" when its rule hears it, at every phase it names."""
    phases: tuple[Phase | None, ...] = tuple(sorted(rule.phases)) or (None,)
    for phase in phases:
        found = book.find(reply_of(sample), phase=phase, provider=rule.provider)
        if rule not in found:
            return f"goes to {found[0].id!r}" if found else "matches no rule"
    return ""


def reply_of(sample: str) -> Reply:
    """A sample as the answer it stands for."""
    return Reply.from_text(int(sample[:3]), sample[4:])
