"""Usage: counts accepted recipients by credential and hour, from which usual rates are learned.

A message that was held teaches nothing (it is held whole, but for suppressed recipients). What has no
row is not counted: the box's own notices, trusted networks.
A batch that comes again to the same process is counted once, however often the log or the owner
fails behind us: batches of a shard begin at its oldest event, so the last one is all to remember.
A process killed between counting and the acknowledgement counts one batch twice. That errs towards a
higher rate for one hour, and the rule for a usual rate shrugs at a single hour.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from appliance.credentials import hour_of
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from appliance.credentials import Credentials
    from appliance.history import LoggedEvent


class UsageConsumer:
    """An EventConsumer (appliance.history)."""

    name = "usual rates"

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._counted: dict[int, frozenset[str]] = {}  # shard -> events of its last batch

    async def apply(self, events: Sequence[LoggedEvent]) -> None:
        """Count what this process has not counted."""
        accepted = [event for event in events if event.kind is EventKind.ACCEPTED]
        fresh = [event for event in accepted if event.id not in self._known(event.shard)]
        await self._credentials.count_hours(recipients_by_hour(fresh))
        for shard in {event.shard for event in accepted}:
            self._counted[shard] = frozenset(one.id for one in accepted if one.shard == shard)

    def _known(self, shard: int) -> frozenset[str]:
        return self._counted.get(shard, frozenset())


def recipients_by_hour(accepted: Iterable[LoggedEvent]) -> Mapping[tuple[int, int], int]:
    """Recipients that were not held, by credential and start of the hour."""
    counts: Counter[tuple[int, int]] = Counter()
    for event in accepted:
        facts = event.facts
        is_held = any(status == Status.HELD for _, _, _, status in facts.recipients)
        if facts.credential > 0 and not is_held:
            counts[facts.credential, hour_of(event.at)] += len(facts.recipients)
    return counts
