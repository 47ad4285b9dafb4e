"""Rules of blocklists, pure: what to ask, what an answer means, which egress may be drained.

RFC 5782: an address is asked for backwards, by octets or by nibbles; a list must list 127.0.0.2 and
must not list 127.0.0.1, in IPv6 the same addresses mapped (::ffff:7f00:2). Rules lean to "nobody can
say": an address is listed only by a code whose meaning the file knows, and a refusal spoils the answer.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.blocklists.model import Family, ListState, Probe, Target, Verdict
from appliance.core.scope import BOX
from mta.egress import EgressState
from mta.status import TrafficClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from appliance.blocklists.catalogue import Blocklist
    from appliance.blocklists.model import Listing
    from mta.egress import EgressEntry, EgressPlan

WHY: Final = "listed on "
"""How the reason of a drained egress begins; what drains for another reason is left alone."""

_LOOPBACK: Final = ipaddress.ip_network("127.0.0.0/8")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestEntry:
    """An address that every list must list, or must not."""

    __test__ = False  # pytest: this is none of yours

    address: str
    must: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What DNS said to one question: codes, none (the name is not there), or why nobody can say."""

    codes: tuple[str, ...] = ()
    trouble: str = ""


TEST_ENTRIES: Final = {
    Family.IPV4: (
        TestEntry(address="127.0.0.2", must=True),
        TestEntry(address="127.0.0.1", must=False),
    ),
    Family.IPV6: (
        TestEntry(address="::ffff:7f00:2", must=True),
        TestEntry(address="::ffff:7f00:1", must=False),
    ),
}


def question(address: str, zone: str) -> str:
    """The name to ask for: 5.113.0.203.zen.spamhaus.org; in IPv6 a label a nibble."""
    backwards = ipaddress.ip_address(address).reverse_pointer
    return f"{backwards.removesuffix('.in-addr.arpa').removesuffix('.ip6.arpa')}.{zone}"


def family_of(address: str) -> Family:
    """Which kind of address it is."""
    return Family.IPV6 if ":" in address else Family.IPV4


def is_public(address: str) -> bool:
    """Whether lists can know the address: it is reached from everywhere."""
    found = ipaddress.ip_address(address)
    return found.is_global and not found.is_multicast


def targets_of(plan: EgressPlan, *, private_too: bool = False) -> tuple[Target, ...]:
    """Every address that mail leaves from, whether its egress is enabled or not."""
    return tuple(
        Target(egress=name, address=address)
        for name, entry in sorted(plan.entries.items())
        for address in (entry.egress.address, entry.egress.address6)
        if address and (private_too or is_public(address))
    )


def judge(entry: Blocklist, heard: Heard) -> tuple[Verdict, str]:
    """What an answer says of an address; why, when nobody can say."""
    refusals = [entry.refusal(code) for code in heard.codes if entry.is_refusal(code)]
    if heard.trouble:
        return Verdict.UNKNOWN, heard.trouble
    if refusals:
        return Verdict.UNKNOWN, f"it does not answer us ({'; '.join(refusals)})"
    if any(entry.meaning_of(code) for code in heard.codes):
        return Verdict.LISTED, ""
    if heard.codes:
        return Verdict.UNKNOWN, f"it says {', '.join(heard.codes)}, which nobody has explained"
    return Verdict.CLEAR, ""


def judge_probe(entry: Blocklist, tests: Sequence[tuple[TestEntry, Heard]]) -> Probe:
    """Whether a list may be believed, by its answers for the test entries of its families.

    One entry that must be listed is enough: not every list has the one for IPv6.
    """
    said = [code for _, heard in tests for code in heard.codes]
    refusals = sorted({entry.refusal(code) for code in said if entry.is_refusal(code)})
    if refusals:
        return _unusable(f"it does not answer us ({'; '.join(refusals)})")
    for test, heard in tests:
        if heard.codes and not test.must:
            return _unusable(f"it lists {test.address}, which no list may: it lists everything")
    troubles = sorted({heard.trouble for _, heard in tests if heard.trouble})
    if troubles:
        return Probe(state=ListState.UNREACHABLE, why="; ".join(troubles))
    if any(_is_code(code) for test, heard in tests if test.must for code in heard.codes):
        return Probe(state=ListState.USABLE)
    needed = next(test.address for test, _ in tests if test.must)
    return _unusable(
        f"it does not list {needed}, which every list must: it is dead, or shuts us out"
    )


def meaning(entry: Blocklist, codes: Iterable[str]) -> str:
    """What the codes of a listing mean, for people."""
    found = dict.fromkeys(entry.meaning_of(code) for code in codes)
    return "; ".join(words for words in found if words)


def why_not_drain(plan: EgressPlan, name: str) -> str:
    """Why the egress must go on: the box, or a pool that it is in, has no other that is enabled."""
    if not _has_another(plan, plan.entries, name):
        return "it is the only enabled address of the box"
    shared = plan.pool_for("", BOX, TrafficClass.BULK)  # that of mail which names none
    for pool in (*plan.pools.values(), shared):
        members = [member.egress for member in pool.members]
        if name in members and not _has_another(plan, members, name):
            whose = f"of pool {pool.name}" if pool.name else "that no tenant has for itself"
            return f"it is the only enabled address {whose}"
    return ""


def is_drained_by_us(entry: EgressEntry | None) -> bool:
    """Whether an egress drains because a list has it."""
    if entry is None:
        return False
    return entry.state is EgressState.DRAINING and entry.why.startswith(WHY)


def others_holding(open_listings: Iterable[Listing], gone: Listing) -> list[Listing]:
    """Listings for which the egress stays drained when `gone` is gone, oldest first."""
    held = (one for one in open_listings if one.egress == gone.egress and one.drained)
    return sorted((one for one in held if one.id != gone.id), key=lambda one: one.id)


def _has_another(plan: EgressPlan, names: Iterable[str], name: str) -> bool:
    others = (plan.entries.get(other) for other in names if other != name)
    return any(entry is not None and entry.state is EgressState.ENABLED for entry in others)


def _unusable(why: str) -> Probe:
    return Probe(state=ListState.UNUSABLE, why=why)


def _is_code(code: str) -> bool:
    return ipaddress.ip_address(code) in _LOOPBACK
