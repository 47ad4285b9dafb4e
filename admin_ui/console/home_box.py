"""Home of the whole box: how mail goes, who is at risk, how the addresses and the processes are.

Tenants at risk are those of whom a notice stands that receivers mind, and those with mail held after a surge.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from admin_ui.console.box_mail import mail_of
from admin_ui.console.egress_health import SHOWN, egress_rows, last_hours
from admin_ui.console.moments import moment_of
from admin_ui.console.sender_health import bounced
from admin_ui.console.service_words import title_of
from admin_ui.console.todo import MOST, headline, item_of_notice, sentence
from appliance.core.scope import BOX
from appliance.notices import Severity
from appliance.statistics import Counts, Dimension, Period

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from litestar import Response

    from admin_ui.console.visit import Visit
    from admin_ui.desks import Alarms
    from admin_ui.processes import Processes
    from admin_ui.rooms import Rooms
    from appliance.notices import Notice

_RISKS: Final = frozenset({"bounces", "complaints", "domain-record"})
_RISKS_SHOWN: Final = 6
_RANKED: Final = 100
_SAID: Final = frozenset({"sending-stopped"})  # the banner over every page says it
_SURGE: Final = "{:,} messages are held: its login sent far above its usual rate"


class Service(NamedTuple):
    """A process."""

    name: str  # as its operator speaks of it
    kind: str  # good | bad
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """A tenant that receivers may mind."""

    tenant_id: int  # 0: not known
    name: str
    why: str
    more: int  # other reasons
    is_grave: bool
    counts: Counts  # of today

    @property
    def bounced(self) -> int:
        """Recipients that were refused for good."""
        return bounced(self.counts)

    @property
    def tried(self) -> int:
        """Recipients of whom a receiver said the last word."""
        return self.counts.delivered + self.bounced

    def judged(self, alarms: Alarms) -> tuple[str, str]:
        """How bounces and complaints stand: "bad" above the limit."""
        bounces = "bad" if 100 * self.bounced > alarms.bounced * self.tried else ""
        complained = 100 * self.counts.complained > alarms.complained * self.counts.delivered
        return bounces, "bad" if complained else ""


async def box_page(rooms: Rooms, visit: Visit, processes: Processes) -> Response[bytes]:
    """The page; of a box without a tenant the first steps."""
    scope = visit.scope
    tenants, mail, feed, ranked, egress, reports = await asyncio.gather(
        rooms.tenants.page(scope, limit=1),
        mail_of(rooms, visit),
        rooms.notifications.feed(scope, 0),  # of nobody: what stands, whatever somebody chose
        rooms.statistics.top(scope, _today(visit), Dimension.TENANT, limit=_RANKED),
        egress_rows(rooms, visit),
        processes.health(),
    )
    notices = [entry.notice for entry in feed.entries]
    names = await rooms.tenants.names(scope, _ids(notices, ranked))
    counts = {names.get(int(one.value), ""): one.counts for one in ranked}
    risks = risks_of(notices, mail.surges if mail else (), names, counts)
    items = [
        item_of_notice(one) for one in notices if one.tenant_id == BOX and one.kind not in _SAID
    ]
    return await visit.page(
        "home_box.html",
        moment=moment_of(visit),
        headline=_headline(items, risks),
        is_new=not tenants,
        items=items[:MOST],
        mail=mail,
        risks=risks,
        shown=_RISKS_SHOWN,
        alarms=rooms.files.alarms,
        egress=egress[:SHOWN],
        egress_count=len(egress),
        since=last_hours(visit.stage.now()).start,
        services=services_of(reports, visit.stage.now()),
    )


def _today(visit: Visit) -> Period:
    now = visit.stage.now()
    return Period(since=now, until=now + 1)


def _ids(notices: Iterable[Notice], ranked: Iterable[Any]) -> set[int]:
    found = {one.tenant_id for one in notices} | {
        int(one.value) for one in ranked if one.value.isdecimal()
    }
    return found - {BOX}


def risks_of(
    notices: Iterable[Notice],
    surges: Iterable[tuple[str, int]],
    names: Mapping[int, str],
    counts: Mapping[str, Counts],
) -> list[Risk]:
    """A row a tenant, with the gravest reason; notices come worst first. Pure."""
    ids = {name: number for number, name in names.items()}
    why: dict[str, list[str]] = {name: [_SURGE.format(count)] for name, count in surges}
    grave = set(why)
    for one in notices:
        name = names.get(one.tenant_id, "")
        if name and one.kind in _RISKS:
            why.setdefault(name, []).append(sentence(one.text))
            grave |= {name} if one.severity is Severity.CRITICAL else set()
    return [
        Risk(
            tenant_id=ids.get(name, 0),
            name=name,
            why=reasons[0],
            more=len(reasons) - 1,
            is_grave=name in grave,
            counts=counts.get(name, Counts()),
        )
        for name, reasons in sorted(why.items(), key=lambda one: one[0] not in grave)
    ]


def _headline(items: Sequence[Any], risks: Sequence[Risk]) -> str:
    if not risks:
        return headline(items)
    said = (
        f"{len(risks)} tenants are at risk." if len(risks) > 1 else f"{risks[0].name} is at risk."
    )
    return f"{headline(items)} {said}" if items else said


def services_of(reports: Mapping[str, Mapping[str, Any]], now: int) -> list[Service]:
    """How the processes are, those that are not well first. Pure."""
    rows = [_service(name, one, now) for name, one in sorted(reports.items())]
    return sorted(rows, key=lambda one: one.kind == "good")


def _service(name: str, report: Mapping[str, Any], now: int) -> Service:
    if report["ok"]:
        return Service(title_of(name), "good", str(now - report.get("started_at", now)))
    wrong = [one["words"] for one in report.get("checks", {}).values() if not one["ok"]]
    return Service(title_of(name), "bad", "; ".join(wrong) or report.get("words", "not well"))
