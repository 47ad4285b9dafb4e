"""EgressChecks: looks at the DNS of each egress once a day; what broke becomes a notice until it is right.

An address whose DNS could not be asked stays what it was, notice or none. Disabled addresses are looked
at too (that is how one gets ready), but nobody is bothered with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock, tasks
from appliance.core.dns import Resolver
from appliance.core.scope import Scope
from appliance.egress import CheckState
from appliance.notices import Finding
from mta.egress import EgressState

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.core.settings import Dns
    from appliance.egress import Egresses, EgressRecord
    from appliance.notices import Notices

CHECK_EVERY: Final = clock.DAY
KIND: Final = "egress-dns"
_CHECKS_A_TURN: Final = 20
_MANY: Final = 1000
_SYSTEM: Final = Scope.system(by="worker")


class EgressChecks:
    """The worker's daily look."""

    def __init__(
        self,
        egresses: Egresses,
        dns: Dns,
        notices: Notices,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._egresses, self._dns, self._notices = egresses, dns, notices
        self._now = now

    async def step(self) -> bool:
        """Check some that are due; True when more are."""
        every = await self._egresses.list(_SYSTEM)
        due = [found for found in every if found.checked_at + CHECK_EVERY <= self._now()]
        lookup = Resolver(self._dns)  # a fresh one remembers nothing from before
        for found in due[:_CHECKS_A_TURN]:
            await tasks.guard(self._check(found, lookup), name=f"check of egress {found.name}")
        await self._clear()
        return len(due) > _CHECKS_A_TURN

    async def _check(self, found: EgressRecord, lookup: Resolver) -> None:
        checked, fresh = await self._egresses.check(_SYSTEM, found.name, lookup)
        wrong = [check for check in fresh if check.state is CheckState.WRONG]
        if wrong and checked.state is not EgressState.DISABLED:
            finding = Finding(
                kind=KIND,
                subject=found.name,
                text=". ".join(words for check in wrong for words in check.problems),
                next_step=f"publish that, then run `pillarbox egress check {found.name}`",
            )
            await self._notices.raise_(_SYSTEM, finding)

    async def _clear(self) -> None:
        """Take back what is over: the DNS is right (whoever saw it), the address disabled or gone."""
        standing = {
            notice.subject
            for notice in await self._notices.list(_SYSTEM, limit=_MANY)
            if notice.kind == KIND
        }
        if not standing:
            return
        bad = {found.name for found in await self._egresses.list(_SYSTEM) if _is_bad(found)}
        for name in sorted(standing - bad):
            await self._notices.resolve(_SYSTEM, KIND, name)


def _is_bad(found: EgressRecord) -> bool:
    states = {found.dns(address) for address in found.addresses}
    return found.state is not EgressState.DISABLED and CheckState.WRONG in states
