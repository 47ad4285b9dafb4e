"""Records: the DNS records of a sending domain as pages show them: what is asked for, what was found, in words.

Pure, over what the rooms say (appliance/domains).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from admin_ui.api.domains import check_of
from admin_ui.console.words import sentence
from appliance.domains import CheckState, KeyState
from appliance.domains.rules import alike
from mta.signing.dns_records import RecordKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.domains import Check, DomainRecord, Domains
    from mta.signing.dns_records import DnsRecord

_TITLES: Final = {
    RecordKind.OWNERSHIP: "Ownership",
    RecordKind.DKIM: "DKIM",
    RecordKind.SPF: "SPF",
    RecordKind.DMARC: "DMARC",
    RecordKind.RETURN_PATH: "Return path",
}
_BADGES: Final = {
    CheckState.OK: ("Found", "good"),
    CheckState.MISSING: ("Missing", "bad"),
    CheckState.DIFFERENT: ("Wrong", "bad"),
    CheckState.UNKNOWN: ("No answer", "look"),
}
_NOT_YET: Final = ("Not looked at yet", "way")
_COPY: Final = "Copy its name and its value to your DNS host"
_BREAK: Final = re.compile(r"[:;] ")
_FOUND: Final = 5  # values that are shown
_KINDS: Final = ("bad", "look", "way", "good")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A value that DNS gave: as far as it is as it must be, and from where on it is not."""

    same: str
    rest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One record on the page."""

    id: str
    title: str
    record: DnsRecord
    word: str
    kind: str  # of its badge
    says: str  # what is wrong, in a sentence
    problem: str  # and what to do
    found: tuple[Seen, ...]
    nothing_at: (
        str  # the name at which there is nothing; "" when there is something, or nobody asked
    )

    @property
    def is_right(self) -> bool:
        """Whether it is as it must be."""
        return self.kind == "good"


def shown_of(domains: Domains, found: DomainRecord) -> tuple[Shown, ...]:
    """All records of a domain, those to fix first."""
    checks = {(one.kind, one.name): one for one in found.report.checks} if found.report else {}
    rows = [
        _shown(n, one, check_of(one, checks), found) for n, one in enumerate(domains.records(found))
    ]
    return tuple(sorted(rows, key=lambda row: _KINDS.index(row.kind)))


def _shown(number: int, record: DnsRecord, check: Check | None, found: DomainRecord) -> Shown:
    word, kind = _BADGES[check.state] if check else _NOT_YET
    says, what = _parts(record, check)
    return Shown(
        id=f"record-{number}",
        title=_title(record, found),
        record=record,
        word=word,
        kind=kind,
        says=says,
        problem=what,
        found=_seen(record, check) if check else (),
        nothing_at=record.name if check and check.state is CheckState.MISSING else "",
    )


def _seen(record: DnsRecord, check: Check) -> tuple[Seen, ...]:
    """What was found. Of SPF and DMARC much may be right: only a key is compared sign by sign."""
    values = check.found[:_FOUND]
    if check.state is not CheckState.DIFFERENT or record.kind is not RecordKind.DKIM:
        return tuple(Seen(same=value, rest="") for value in values)
    cuts = [alike(record.value, value) for value in values]
    return tuple(
        Seen(same=value[:cut], rest=value[cut:]) for value, cut in zip(values, cuts, strict=True)
    )


def _parts(record: DnsRecord, check: Check | None) -> tuple[str, str]:
    """What is wrong, and what to do: two sentences of the room's one."""
    if check is None or check.state is CheckState.OK:
        return "", ""
    if check.state is CheckState.UNKNOWN:
        return "DNS could not say", f"{sentence(check.problem)} It is asked again by itself."
    says, _, what = _BREAK.sub("\n", check.problem, count=1).partition("\n")
    if record.value in what:  # it stands above
        what = _COPY
    elif check.state is CheckState.MISSING:
        what = f"{sentence(what)} {_COPY}".strip()
    return sentence(says).removesuffix("."), sentence(what)


def _title(record: DnsRecord, found: DomainRecord) -> str:
    if record.kind is not RecordKind.DKIM:
        return _TITLES[record.kind]
    key = next((one for one in found.keys if record.name.startswith(f"{one.selector}.")), None)
    algorithm = "Ed25519" if key is not None and "ed25519" in key.algorithm else "RSA"
    news = {KeyState.PENDING: ", new", KeyState.RETIRING: ", old"}
    return f"DKIM, {algorithm} key{news.get(key.state, '') if key else ''}"


def zone_of(domains: Domains, found: DomainRecord) -> str:
    """All records as lines of a zone file."""
    lines = [one.zone_line() for one in domains.records(found)]
    return "\n".join([f"; DNS records of {found.name} for Pillarbox", *lines, ""])


def letter_of(rows: Sequence[Shown], name: str) -> str:
    """A mailto: link with what is open, for whoever runs the DNS."""
    parts = [
        f"{row.record.type}  {row.record.name}\n{row.record.value}"
        for row in rows
        if not row.is_right
    ]
    body = f"These records are missing in the DNS of {name}:\n\n" + "\n\n".join(parts)
    return f"mailto:?subject={quote(f'DNS records for {name}')}&body={quote(body)}"
