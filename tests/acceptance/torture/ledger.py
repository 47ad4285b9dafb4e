"""The ledger: what clients were told, what receivers took, how it ended. It judges, and knows no network.

A recipient is a pair (number of the letter, address). Times are seconds of one monotonic clock.

    lost         acknowledged, and neither taken by a receiver nor ended in a way its domain may end
    doubled      taken again. Excused when the receiver never gave its answer to the take before, or when
                 the process that owned the message died in between: its outcome was not yet durable
    early        taken although the client had not sent it whole, or had been refused it for good
    damaged      taken with other octets than were sent
    unfinished   stored, and not in a final state at the end, or in more than one
    untrue       the log's state or events do not agree with what the receivers saw
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

FINAL: Final = {"delivered", "bounced", "expired", "suppressed", "cancelled", "corrupt"}
LATE_SEEN: Final = 2.0
"""Seconds until a death is noticed: its line is written by the supervisor, and read by the harness."""

LATE_TAKEN: Final = 2.0
"""Seconds until a receiver takes what a process has sent that is dead by then: it lies in the socket meanwhile."""

SHOWN: Final = 8


@dataclass(slots=True)
class Letter:
    """What a client sent."""

    number: int
    recipients: tuple[str, ...]
    is_whole: bool = False  # its last dot has left
    acknowledged: str = ""  # the id it was given
    answer: str = ""  # what the client was told else
    answered_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Take:
    """A receiver took it. `answered`: and said so."""

    at: float
    answered: bool
    is_intact: bool = True


@dataclass(frozen=True, slots=True)
class Death:
    """A process ended, however; `shards` are those it owned."""

    name: str
    at: float
    shards: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class End:
    """What the log has of a recipient at the end."""

    message_id: str
    shard: int
    status: str
    events: tuple[str, ...] = ()


@dataclass(slots=True)
class Verdict:
    """What is wrong (lists of words), and what was counted."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)  # those that nothing excuses
    early: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def faults(self) -> dict[str, list[str]]:
        names = ("lost", "doubled", "early", "damaged", "unfinished", "untrue")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def words(self) -> str:
        """For the failing test."""
        lines = []
        for name, found in self.faults.items():
            lines.append(f"{len(found)} {name}:")
            lines += [f"    {one}" for one in found[:SHOWN]]
        return "\n".join(lines)


class Ledger:
    """Everything that happened in a run."""

    def __init__(self, ends_of: dict[str, set[str]], outstanding: int) -> None:
        """`ends_of`: final states a domain may lead to, by its name; `outstanding`: doubles of a death."""
        self._ends_of, self._outstanding = ends_of, outstanding
        self.letters: dict[int, Letter] = {}
        self.takes: dict[tuple[int, str], list[Take]] = defaultdict(list)
        self.deaths: list[Death] = []
        self.answers: Counter[str] = Counter()  # what clients were told, by code
        self.refused: set[tuple[int, str]] = set()  # recipients whom a receiver refused for good
        self.hung_up = 0  # sessions that ended without an answer

    # -- what happens --------------------------------------------------------

    @property
    def next_number(self) -> int:
        return len(self.letters) + 1

    def letter(self, number: int, recipients: tuple[str, ...]) -> Letter:
        """A client begins to send one."""
        found = self.letters[number] = Letter(number, recipients)
        return found

    def answered(self, letter: Letter, answer: str, at: float) -> None:
        """What the box said to the last dot, or before."""
        letter.answer, letter.answered_at = answer, at
        self.answers[" ".join(answer.split()[:2])] += 1
        if answer.startswith("250"):
            letter.acknowledged = answer.rsplit(maxsplit=1)[-1]

    def take(self, number: int, address: str, take: Take) -> None:
        self.takes[number, address].append(take)

    def died(self, name: str, at: float, shards: tuple[int, ...]) -> None:
        self.deaths.append(Death(name, at, shards))

    @property
    def acknowledged(self) -> int:
        return sum(1 for letter in self.letters.values() if letter.acknowledged)

    # -- what it comes to ----------------------------------------------------

    def judge(self, ends: dict[tuple[int, str], End]) -> Verdict:
        """`ends`: the log at the end, by recipient."""
        verdict = Verdict()
        doubles: Counter[tuple[Death, int]] = Counter()
        for key, takes in self.takes.items():
            self._judge_takes(key, takes, ends.get(key), verdict, doubles)
        for letter in self.letters.values():
            for address in letter.recipients:
                self._judge_end(letter, address, ends.get((letter.number, address)), verdict)
        for (death, shard), count in doubles.items():
            if count > self._outstanding:
                words = f"{count} by the death of {death.name}, shard {shard}: more than one batch"
                verdict.doubled.append(words)
        verdict.counts["most doubles of a death"] = max(doubles.values(), default=0)
        self._count(verdict)
        return verdict

    def _judge_takes(
        self,
        key: tuple[int, str],
        takes: list[Take],
        end: End | None,
        verdict: Verdict,
        doubles: Counter[tuple[Death, int]],
    ) -> None:
        letter = self.letters.get(key[0])
        if letter is None or key[1] not in letter.recipients:
            verdict.damaged.append(f"{key} was never sent")
            return
        if not letter.is_whole:
            verdict.early.append(f"{key} was taken and never sent whole")
        if letter.answer.startswith("5"):
            verdict.early.append(f"{key} was taken and had been refused: {letter.answer}")
        if letter.answer.startswith("4"):
            verdict.counts["refused for now, yet stored"] += 1
            if end is None or not self._deaths_between(
                letter.answered_at - LATE_SEEN, letter.answered_at + LATE_SEEN, end.shard
            ):
                verdict.early.append(f"{key} was taken after {letter.answer}, and nobody had died")
        if not all(take.is_intact for take in takes):
            verdict.damaged.append(f"{key} came with other octets than were sent")
        for first, second in itertools.pairwise(takes):
            self._judge_double(key, first, second, end, verdict, doubles)

    def _judge_double(
        self,
        key: tuple[int, str],
        first: Take,
        second: Take,
        end: End | None,
        verdict: Verdict,
        doubles: Counter[tuple[Death, int]],
    ) -> None:
        if not first.answered:
            verdict.counts["doubled: no answer was given"] += 1
            return
        shard = -1 if end is None else end.shard
        found = self._deaths_between(first.at - LATE_TAKEN, second.at + LATE_SEEN, shard)
        if not found:
            apart = second.at - first.at
            verdict.doubled.append(f"{key} was taken twice, {apart:.1f} s apart, and nobody died")
            return
        verdict.counts["doubled: outcome not durable"] += 1
        doubles[found[0], shard] += 1

    def _deaths_between(self, start: float, end: float, shard: int) -> list[Death]:
        return [d for d in self.deaths if start <= d.at <= end and shard in d.shards]

    def _judge_end(self, letter: Letter, address: str, end: End | None, verdict: Verdict) -> None:
        takes = self.takes.get((letter.number, address), [])
        where = f"{letter.acknowledged or 'letter'} {letter.number} to {address}"
        if end is None:
            if letter.acknowledged:
                verdict.lost.append(f"{where}: the log knows nothing of it, {len(takes)} takes")
            elif takes:
                verdict.untrue.append(f"{where}: taken, and the log knows nothing of it")
            return
        verdict.counts[end.status] += 1
        finals = [kind for kind in end.events if kind in FINAL]
        if end.status not in FINAL or finals != [end.status]:
            verdict.unfinished.append(f"{where}: is {end.status}, its events {end.events}")
        if letter.acknowledged and end.message_id != letter.acknowledged:
            verdict.untrue.append(f"{where}: the log has it as {end.message_id}")
        self._judge_state(letter, address, takes, end, verdict)

    def _judge_state(
        self, letter: Letter, address: str, takes: list[Take], end: End, verdict: Verdict
    ) -> None:
        where = f"{letter.acknowledged or 'letter'} {letter.number} to {address}"
        if end.status == "delivered":
            if not takes:
                verdict.lost.append(f"{where}: said to be delivered, and nobody has it")
            elif not any(take.answered for take in takes):
                verdict.untrue.append(f"{where}: said to be delivered; no receiver said yes")
        elif end.status in FINAL:
            answered = [take for take in takes if take.answered]
            if end.status not in self._may_end(letter.number, address):
                verdict.lost.append(
                    f"{where}: ended {end.status}, which no receiver ever asked for"
                )
            elif answered and not self._deaths_between(answered[0].at, 1e18, end.shard):
                verdict.untrue.append(f"{where}: a receiver took it, and it ended {end.status}")

    def _may_end(self, number: int, address: str) -> set[str]:
        domain = address.partition("@")[2]
        of_domain = (
            self._ends_of.get(domain) or self._ends_of.get(domain.partition(".")[2]) or set()
        )
        return of_domain | ({"bounced"} if (number, address) in self.refused else set())

    def _count(self, verdict: Verdict) -> None:
        counts, letters = verdict.counts, self.letters.values()
        counts["letters"] = len(self.letters)
        counts["acknowledged"] = self.acknowledged
        counts["recipients acknowledged"] = sum(
            len(x.recipients) for x in letters if x.acknowledged
        )
        counts["taken"] = sum(map(len, self.takes.values()))
        counts["never answered"] = sum(1 for x in letters if not x.answer)
        counts["deaths of an mta process"] = sum(1 for d in self.deaths if d.shards)
