"""Asks blocklists about addresses, and has the answers judged.

Each list is tested first; one that fails is not asked about addresses, which are then unknown. At
most MAX_AT_ONCE questions are under way. Never fails for what DNS says, and never writes anything.
Give it a fresh Resolver, or it repeats what it cached before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from appliance.blocklists.model import Answer, ListState, Probe, Survey, Target, Verdict
from appliance.blocklists.rules import (
    TEST_ENTRIES,
    Heard,
    family_of,
    judge,
    judge_probe,
    question,
)
from appliance.core.dns import DnsTemporaryError, NoRecordError, NoSuchNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appliance.blocklists.catalogue import Blocklist
    from appliance.core import dns

MAX_AT_ONCE: Final = 16
_MAX_TEXT: Final = 500


class Lookup(Protocol):
    """What is needed of appliance.core.dns.Resolver."""

    async def addresses(self, name: str, *, ipv6: bool) -> dns.Answer:
        """A records."""

    async def txt(self, name: str) -> dns.Answer:
        """TXT records."""


async def look_up(
    lists: Sequence[Blocklist],
    targets: Sequence[Target],
    lookup: Lookup,
    *,
    on_answer: Callable[[Answer], None] = lambda _: None,
) -> Survey:
    """Test the lists, then look every address up in those that know its family."""
    asker = _Asker(lookup, on_answer)
    probes = await asyncio.gather(*(asker.probe(entry) for entry in lists))
    answers = await asyncio.gather(
        *(
            asker.answer(entry, probe, target)
            for entry, probe in zip(lists, probes, strict=True)
            for target in targets
            if family_of(target.address) in entry.families
        )
    )
    by_zone = {entry.zone: probe for entry, probe in zip(lists, probes, strict=True)}
    return Survey(probes=by_zone, answers=tuple(answers))


class _Asker:
    """Asks, a bounded number of questions at once."""

    def __init__(self, lookup: Lookup, on_answer: Callable[[Answer], None]) -> None:
        self._lookup, self._on_answer = lookup, on_answer
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)

    async def probe(self, entry: Blocklist) -> Probe:
        """How the list does with the test entries of its families."""
        tests = [test for family in entry.families for test in TEST_ENTRIES[family]]
        heard = await asyncio.gather(*(self._hear(entry, test.address) for test in tests))
        return judge_probe(entry, list(zip(tests, heard, strict=True)))

    async def answer(self, entry: Blocklist, probe: Probe, target: Target) -> Answer:
        """What the list says of the address."""
        if probe.state is ListState.USABLE:
            found = await self._ask(entry, target)
        else:
            found = Answer(zone=entry.zone, target=target, verdict=Verdict.UNKNOWN, why=probe.why)
        self._on_answer(found)
        return found

    async def _ask(self, entry: Blocklist, target: Target) -> Answer:
        heard = await self._hear(entry, target.address)
        verdict, why = judge(entry, heard)
        listed = verdict is Verdict.LISTED
        return Answer(
            zone=entry.zone,
            target=target,
            verdict=verdict,
            codes=heard.codes,
            text=await self._text(entry, target.address) if listed else "",
            why=why,
        )

    async def _hear(self, entry: Blocklist, address: str) -> Heard:
        try:
            async with self._slots:
                found = await self._lookup.addresses(question(address, entry.zone), ipv6=False)
        except (NoSuchNameError, NoRecordError):
            return Heard()
        except DnsTemporaryError as error:
            return Heard(trouble=str(error))
        return Heard(codes=tuple(sorted(found.values)))

    async def _text(self, entry: Blocklist, address: str) -> str:
        """What the list tells people; it has none for many."""
        try:
            async with self._slots:
                found = await self._lookup.txt(question(address, entry.zone))
        except (NoSuchNameError, NoRecordError, DnsTemporaryError):
            return ""
        words = " ".join(found.values)
        return "".join(char if char.isprintable() else " " for char in words)[:_MAX_TEXT]
