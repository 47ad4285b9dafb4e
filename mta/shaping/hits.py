"""Hits: how often a rule has heard its answer, for rules that want it several times; bounded memory.

Of each subject and rule only the last `times` moments are kept, of subjects those heard last. A rule
fires with every answer that makes it `times` within its time: what was heard is not forgotten by firing,
so that a receiver that is still displeased need not say so `times` times again.
Counts live in one process; a rule that wants five answers wants them from one process.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mta.shaping.model import Rule
    from mta.shaping.throttle import Subject


class Hits:
    """Moments at which rules heard their answers."""

    def __init__(self, max_subjects: int) -> None:
        self._max = max_subjects
        self._by_subject: dict[Subject, dict[str, deque[int]]] = {}

    def __len__(self) -> int:
        return len(self._by_subject)

    def enough(self, rule: Rule, subject: Subject, now: int) -> bool:
        """Count one answer; whether it is the `times`-th within the rule's time."""
        if rule.times <= 1:
            return True
        by_rule = self._by_subject.pop(subject, {})
        if len(self._by_subject) >= self._max:
            del self._by_subject[next(iter(self._by_subject))]
        self._by_subject[subject] = by_rule  # the last heard stands last
        moments = by_rule.get(rule.id)
        if moments is None or moments.maxlen != rule.times:  # the file was changed
            moments = by_rule[rule.id] = deque(moments or (), maxlen=rule.times)
        moments.append(now)
        return len(moments) == rule.times and now - moments[0] <= rule.within * 1000

    def forget(self, subject: Subject) -> None:
        """Begin to count anew."""
        self._by_subject.pop(subject, None)
