"""Asks DNS about a sending domain and has the answers judged (MTA-8).

Takes a few round trips at once and never fails for what DNS says: a record that nobody could look
up is `unknown`, with the reason. Give it a fresh Resolver, or it repeats what it cached before the
owner published anything. SPF records are followed to a bounded number of names.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from appliance.core.dns import DnsTemporaryError, NoRecordError, NoSuchNameError
from appliance.domains import astray, rules, spf
from appliance.domains.model import Check, CheckState, KeyState, Report
from appliance.domains.records import dkim_of, ownership_of, records_of, return_path_of
from appliance.domains.rules import Found

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from appliance.core.dns import Answer, MxAnswer
    from appliance.domains.model import BoxNames, DomainRecord

MAX_SPF_NAMES: Final = 30


class Lookup(Protocol):
    """What is needed of appliance.core.dns.Resolver."""

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of the name servers that are asked."""

    async def txt(self, name: str) -> Answer:
        """TXT records."""

    async def cname(self, name: str) -> Answer:
        """Aliases."""

    async def mx(self, name: str) -> MxAnswer:
        """MX records."""


async def check_domain(domain: DomainRecord, box: BoxNames, lookup: Lookup, now: int) -> Report:
    """Look at every record of the domain."""
    ownership, signing, policy, sender, bounces = await asyncio.gather(
        _check_ownership(domain, lookup),
        _check_dkim(domain, lookup),
        _check_dmarc(domain, lookup),
        _check_spf(domain, box, lookup),
        _check_return_path(domain, box, lookup),
    )
    checks = (ownership, *signing, sender, policy, bounces)
    found = await asyncio.gather(*(_look_astray(one, domain, box, lookup) for one in checks))
    return Report(at=now, checks=tuple(found), servers=lookup.servers)


async def _look_astray(check: Check, domain: DomainRecord, box: BoxNames, lookup: Lookup) -> Check:
    """A record that is missing, where a DNS host may have put it."""
    wanted = [
        one for one in records_of(domain, box) if (one.kind, one.name) == (check.kind, check.name)
    ]
    if check.state is not CheckState.MISSING or not wanted:
        return check
    record = wanted[0]
    ask = lookup.cname if record.type == "CNAME" else lookup.txt
    places = astray.places(record, domain.name)
    answers = await asyncio.gather(*(_found(ask(place)) for place in places))
    for place, found in zip(places, answers, strict=True):
        for text in found.values:
            if astray.means(record, text):
                return astray.told(check, record, place, text)
    return check


async def _check_ownership(domain: DomainRecord, lookup: Lookup) -> Check:
    record = ownership_of(domain)
    return rules.judge_text(record, await _found(lookup.txt(record.name)))


async def _check_dkim(domain: DomainRecord, lookup: Lookup) -> list[Check]:
    records = [dkim_of(domain, key) for key in domain.keys if key.state is not KeyState.WITHDRAWN]
    answers = await asyncio.gather(*(_found(lookup.txt(record.name)) for record in records))
    keys = {record.name.partition("._domainkey.")[0]: record.value for record in records}
    return [
        rules.judge_dkim(record, found, keys)
        for record, found in zip(records, answers, strict=True)
    ]


async def _check_dmarc(domain: DomainRecord, lookup: Lookup) -> Check:
    places = rules.dmarc_places(domain.name)
    answers = await asyncio.gather(*(_found(lookup.txt(place)) for place in places))
    return rules.judge_dmarc(domain.name, zip(places, answers, strict=True))


async def _check_return_path(domain: DomainRecord, box: BoxNames, lookup: Lookup) -> Check:
    record = return_path_of(domain, box)
    cname, mx = await asyncio.gather(
        _found(lookup.cname(record.name)), _found_mx(lookup.mx(record.name))
    )
    return rules.judge_return_path(record, box, cname, mx)


async def _check_spf(domain: DomainRecord, box: BoxNames, lookup: Lookup) -> Check:
    top = await _found(lookup.txt(domain.name))
    records: dict[str, spf.SpfRecord] = {}
    waiting = [(domain.name, top)]
    while waiting:
        names: list[str] = []
        for name, found in waiting:
            text = next(filter(spf.is_spf, found.values), "")
            if text:
                records[name] = spf.parse(text)
                names.extend(spf.references(records[name]))
            elif not found.trouble:
                records[name] = spf.ABSENT
        fresh = [name for name in dict.fromkeys(names) if name not in records]
        fresh = fresh[: max(0, MAX_SPF_NAMES - len(records))]
        answers = await asyncio.gather(*(_found(lookup.txt(name)) for name in fresh))
        waiting = list(zip(fresh, answers, strict=True))
    return rules.judge_spf(domain.name, top, records, box)


async def _found(question: Awaitable[Answer]) -> Found:
    try:
        return Found((await question).values)
    except (NoSuchNameError, NoRecordError):
        return Found()
    except DnsTemporaryError as error:
        return Found(trouble=str(error))


async def _found_mx(question: Awaitable[MxAnswer]) -> Found:
    try:
        return Found(tuple(record.exchange for record in (await question).records))
    except (NoSuchNameError, NoRecordError):
        return Found()
    except DnsTemporaryError as error:
        return Found(trouble=str(error))
