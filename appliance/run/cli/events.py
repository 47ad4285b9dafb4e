"""`pillarbox events`: the stream of what happens, a line each; with --json, lines of JSON.

In the order in which the log takes events in, a moment after they happen. Needs no running box.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.run.cli.filters import a_label, message_id
from appliance.run.cli.moment import moment
from appliance.run.cli.output import when
from appliance.run.cli.session import Command, Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.history import EventFilters, EventRecord, LogReader
    from appliance.run.cli.rooms import Rooms

_KINDS: Final = (
    *("accepted", "deferred", "delivered", "bounced", "expired", "suppressed", "cancelled"),
    *("corrupt", "held", "released", "retried", "rerouted"),
    *("bounced_late", "delayed_late", "complained", "unsubscribed"),
)
_POLL_SECONDS: Final = 0.25


@click.command("events", cls=Command)
@click.option("--follow", is_flag=True, help="Go on with what happens from now, until Ctrl-C.")
@click.option("--since", default="", metavar="TIME", help="2026-11-20, with a time, or 2h, 3d ago.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Only these.")
@click.option("--id", "message", default="", metavar="ID", help="Of this message.")
@click.option("--address", default="", help="Of this recipient.")
@click.option("--domain", default="", help="Of recipients at this domain.")
@click.option("--tenant", metavar="NAME", help="Of this tenant.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@pass_session
def command(
    session: Session,
    /,
    *,
    follow: bool,
    since: str,
    tenant: str | None,
    limit: int | None,
    **given: Any,
) -> None:
    """Print events: those since a time (an hour ago if not said), and with --follow what comes."""
    filters = filters_of(given)
    now = clock.now_ms()

    async def scope_of(rooms: Rooms) -> Any:
        return await rooms.scope_of(tenant) if tenant else rooms.scope

    scope = session.box.ask(scope_of)
    left = limit or -1
    with session.box.log() as log:
        start = _start(log, moment(since, now), now, follow=follow)
        for event in _stream(log, scope, filters, start, follow=follow):
            _print(session, event)
            left -= 1
            if left == 0:
                return


def filters_of(given: dict[str, Any]) -> EventFilters:
    """Which events are wanted."""
    from appliance.history import EventFilters
    from mta.status import EventKind

    if given["message"]:
        message_id(given["message"])  # refused here in words
    if given["address"] and "@" not in given["address"]:
        raise UsageError(f"{given['address']!r} is no address; for a domain use --domain")
    return EventFilters(
        kinds=frozenset(map(EventKind, given["kinds"])),
        message=given["message"],
        address=given["address"],
        domain=a_label(given["domain"]),
    )


def _start(log: LogReader, since: int, now: int, *, follow: bool) -> str:
    from appliance.history import cursor_at

    if since:
        return cursor_at(since)
    return log.end() if follow else cursor_at(now - clock.HOUR)


def _stream(
    log: LogReader, scope: Any, filters: EventFilters, cursor: str, *, follow: bool
) -> Iterator[EventRecord]:
    from appliance.history import follow as following

    def rest() -> bool:
        if follow:
            time.sleep(_POLL_SECONDS)
        return follow

    return following(log, scope, filters, cursor=cursor, rest=rest)


def _print(session: Session, event: EventRecord) -> None:
    from appliance.core import ids
    from appliance.run.timeline import tell

    message = ids.to_text(event.message_id)
    value = {
        "event": event.id,
        "id": message,
        "n": event.n if event.n >= 0 else None,
        "kind": event.kind,
        "at": event.at,
        **{name: item for name, item in event.data.items() if name != "steps"},
        "steps": [
            {"after_ms": step.at, "command": step.command, "reply": step.reply}
            for step in event.steps
        ],
    }
    told = tell(event.n, event.kind, event.at, event.data)[0]
    session.out.line(value, f"{when(event.at)}  {message}  {told.what:<12} {told.words}")
