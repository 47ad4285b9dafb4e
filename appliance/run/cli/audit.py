"""`pillarbox audit`: who changed what, on which record, when and from where, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock
from appliance.run.cli.moment import moment
from appliance.run.cli.output import Table
from appliance.run.cli.session import Command, Session, pass_session

if TYPE_CHECKING:
    from appliance.run.cli.rooms import Rooms
    from appliance.tenancy import AuditEntry

_PAGE = 1000


@click.command("audit", cls=Command)
@click.option("--tenant", metavar="NAME", help="In this tenant.")
@click.option("--by", default="", help="By whom.")
@click.option("--action", default="", help="An action, or how it begins: domain.")
@click.option("--record", default="", help="On which record, as the log names it.")
@click.option("--address", default="", help="From where.")
@click.option("--since", default="", metavar="TIME", help="2026-11-20, with a time, or 2h, 3d ago.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1))
@pass_session
def command(
    session: Session, /, *, tenant: str | None, since: str, limit: int, **given: Any
) -> None:
    """Show the audit log: metadata alone, never a secret, never a letter."""
    from appliance.tenancy import AuditFilter

    wanted = AuditFilter(since=moment(since, clock.now_ms()), **given)

    async def work(rooms: Rooms) -> tuple[list[AuditEntry], dict[int, str]]:
        scope = await rooms.scope_of(tenant) if tenant else rooms.scope
        found: list[AuditEntry] = []
        while len(found) < limit:
            size = min(_PAGE, limit - len(found))
            before = found[-1].id if found else 0
            page = await rooms.audit.list(scope, wanted, before=before, limit=size)
            found += page
            if len(page) < size:
                break
        return found, await rooms.tenant_names()

    found, names = session.box.ask(work)
    session.out.show([_row(one, names) for one in found], [_listing(found, names)])


def _row(one: AuditEntry, names: dict[int, str]) -> dict[str, object]:
    """An entry as programs see it."""
    return {
        "id": one.id,
        "at": one.at,
        "tenant": names.get(one.tenant_id) if one.tenant_id else None,
        "by": one.by,
        "action": one.action,
        "record": one.record,
        "detail": one.detail,
        "address": one.address,
    }


def _listing(found: list[AuditEntry], names: dict[int, str]) -> Table:
    return Table(
        ("WHEN", "TENANT", "BY", "FROM", "ACTION", "RECORD", "DETAIL"),
        [
            (
                clock.iso(one.at),
                names.get(one.tenant_id, "?") if one.tenant_id else "-",
                one.by,
                one.address or "-",
                one.action,
                one.record,
                one.detail[:80],
            )
            for one in found
        ],
        empty="nothing that was done matches",
    )
