"""`pillarbox notices`: what the box found that somebody should know, with what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from appliance.core import clock
from appliance.run.cli.output import ago
from appliance.run.cli.session import Command, Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.notices import Notice
    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms

_Found = tuple[tuple["Notice", ...], dict[int, str]]


@click.command("notices", cls=Command)
@click.option("--all", "with_over", is_flag=True, help="What is over, too.")
@click.option("--seen", multiple=True, type=int, metavar="ID", help="Note that you saw it.")
@pass_session
def command(session: Session, *, with_over: bool, seen: tuple[int, ...]) -> None:
    """Show what needs somebody's attention, the worst first."""

    async def work(rooms: Rooms) -> _Found:
        for notice_id in seen:
            await rooms.notices.mark_seen(rooms.scope, notice_id)
        found = await rooms.notices.list(rooms.scope, open_only=not with_over)
        return found, await rooms.tenant_names()

    found, names = session.box.ask(work)
    session.out.show([_row(one, names) for one in found], _listing(found, names))


def _row(one: Notice, names: dict[int, str]) -> dict[str, object]:
    """A notice as programs see it."""
    return {
        "id": one.id,
        "severity": one.severity,
        "tenant": names.get(one.tenant_id) if one.tenant_id else None,
        "kind": one.kind,
        "subject": one.subject,
        "text": one.text,
        "next_step": one.next_step,
        "raised_at": one.raised_at,
        "last_at": one.last_at,
        "count": one.count,
        "seen_at": one.seen_at,
        "resolved_at": one.resolved_at,
    }


def _listing(found: tuple[Notice, ...], names: dict[int, str]) -> Iterator[Part]:
    now = clock.now_ms()
    if not found:
        yield "nothing needs your attention"
    for one in found:
        whose = f", tenant {names.get(one.tenant_id, '?')}" if one.tenant_id else ""
        yield f"{one.severity}  {one.subject}  ({_age(one, now)}{whose}, id {one.id})"
        yield f"    {one.text}"
        yield f"    next: {one.next_step}"


def _age(one: Notice, now: int) -> str:
    if not one.is_open:
        return f"over since {ago(one.resolved_at, now)}"
    again = f", found {one.count} times, last {ago(one.last_at, now)}" if one.count > 1 else ""
    unseen = "" if one.seen_at else ", new"
    return f"since {ago(one.raised_at, now)}{again}{unseen}"
