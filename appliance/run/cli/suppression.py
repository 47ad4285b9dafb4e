"""`pillarbox suppression`: who must not be written to, by one tenant or by the whole box.

Import reads plain addresses or CSV (target,reason,expires); export writes what import reads.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.core.scope import BOX
from appliance.run.cli.output import Table, ago, ahead, counted, printable
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.jobs import Job
    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms
    from appliance.suppressions import Entry, ImportResult

command = group("suppression", "Addresses and domains that must not be written to.")

_PAGE = 1000
_PROGRESS_EVERY = 10_000
_LONGEST_LINE = 4096  # of an import; the room refuses a line of over 1,000 characters anyway
EXIT_ROWS_LEFT_OUT = 1


def _whose(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say whose list is meant."""
    box = click.option("--global", "whole_box", is_flag=True, help="The list of the whole box.")
    return click.option("--tenant", metavar="NAME", help="The tenant's own list.")(box(function))


def _require_one(tenant: str | None, *, whole_box: bool) -> None:
    if (tenant is None) is not whole_box:
        raise UsageError("say whose list is meant: --tenant NAME, or --global for the whole box")


@command.command("list")
@_whose
@click.option("--prefix", default="", help="Only targets that begin so.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1))
@click.option("--after", default=0, help="Go on after the entry of this id.")
@pass_session
def list_(session: Session, /, *, tenant: str | None, whole_box: bool, **page: Any) -> None:
    """Show what is suppressed: on one list, or on all."""
    if tenant is not None and whole_box:
        raise UsageError("give --tenant or --global, or neither for every list")

    async def find(rooms: Rooms) -> tuple[tuple[Entry, ...], dict[int, str]]:
        one_list = tenant is not None or whole_box
        scope = await rooms.scope_of(tenant) if one_list else rooms.scope
        return await rooms.suppressions.list(scope, **page), await rooms.tenant_names()

    found, names = session.box.ask(find)
    rows = [_row(entry, names) for entry in found]
    session.out.show(rows, _listing(found, names))
    if len(found) == page["limit"]:
        session.out.note(f"there may be more: --after {found[-1].id}")


def _row(entry: Entry, names: dict[int, str]) -> dict[str, object]:
    return {
        "id": entry.id,
        "tenant": names.get(entry.tenant_id) if entry.tenant_id else None,
        "target": entry.target,
        "reason": entry.reason,
        "event_id": entry.event_id,
        "created_at": entry.created_at,
        "expires_at": entry.expires_at,
    }


def _listing(found: tuple[Entry, ...], names: dict[int, str]) -> Iterator[Part]:
    now = clock.now_ms()
    yield Table(
        ("TARGET", "LIST", "REASON", "SINCE", "EXPIRES"),
        [
            (
                entry.target,
                names.get(entry.tenant_id, "?") if entry.tenant_id else "whole box",
                entry.reason.replace("_", " "),
                ago(entry.created_at, now),
                ahead(entry.expires_at, now) if entry.expires_at else "never",
            )
            for entry in found
        ],
        empty="nobody is suppressed here",
    )


@command.command()
@click.argument("target")
@_whose
@click.option("--days", type=click.IntRange(1, 36_500), help="For so long; else for good.")
@pass_session
def add(
    session: Session, *, target: str, tenant: str | None, whole_box: bool, days: int | None
) -> None:
    """Suppress TARGET, an address or a domain."""
    _require_one(tenant, whole_box=whole_box)
    expires = clock.now_ms() + days * clock.DAY if days else 0

    async def work(rooms: Rooms) -> None:
        scope = await rooms.scope_of(tenant)
        await rooms.suppressions.add(scope, target, expires_at=expires)

    session.box.ask(work)
    session.out.show(
        {"target": target, "tenant": tenant, "expires_at": expires},
        [f"{target} is suppressed for {tenant or 'the whole box'}"],
    )


@command.command()
@click.argument("target")
@_whose
@pass_session
def remove(session: Session, *, target: str, tenant: str | None, whole_box: bool) -> None:
    """Let TARGET be written to again."""
    _require_one(tenant, whole_box=whole_box)

    async def work(rooms: Rooms) -> Entry:
        return await rooms.suppressions.remove(await rooms.scope_of(tenant), target)

    gone = session.box.ask(work)
    session.out.show(
        _row(gone, {gone.tenant_id: tenant or ""}), [f"{gone.target} may be written to again"]
    )


@command.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8", errors="surrogateescape"))
@_whose
@click.option("--job", "as_job", is_flag=True, help="Let the worker do it; `job show` tells of it.")
@pass_session
def import_(
    session: Session, *, file: Any, tenant: str | None, whole_box: bool, as_job: bool
) -> None:
    """Read FILE (- is standard input): an address or domain a line, or target,reason,expires."""
    _require_one(tenant, whole_box=whole_box)
    if as_job:
        _order_import(session, file, tenant)
        return

    async def work(rooms: Rooms) -> ImportResult:
        lines = _lines(file, session)
        return await rooms.suppressions.import_lines(await rooms.scope_of(tenant), lines)

    result = session.box.ask(work)
    session.out.show(
        {
            "imported": result.imported,
            "failed": result.failed,
            "errors": [
                {"line": one.line, "text": printable(one.text), "problem": printable(one.problem)}
                for one in result.errors
            ],
        },
        _told(result),
    )
    if result.failed:
        raise click.exceptions.Exit(EXIT_ROWS_LEFT_OUT)


def _order_import(session: Session, file: Any, tenant: str | None) -> None:
    from appliance.run.suppression_import import order, parts

    async def work(rooms: Rooms) -> Job:
        scope = await rooms.scope_of(tenant)
        asked = order(BOX if scope.tenant_id is None else scope.tenant_id)
        return await rooms.jobs.order(scope, asked, parts(_lines(file, session)))

    job = session.box.ask(work)
    session.out.show(
        {"id": job.id, "kind": job.kind, "state": job.state},
        [f"job {job.id} imports them: `pillarbox job show {job.id} --wait`"],
    )


def _lines(file: Any, session: Session) -> Iterator[str]:
    """The lines, with progress for who watches."""
    watched = sys.stderr.isatty()
    for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 1):
        if watched and number % _PROGRESS_EVERY == 0:
            session.out.note(f"{number:,} lines read")
        yield line


def _told(result: ImportResult) -> Iterator[Part]:
    for error in result.errors:
        yield f"line {error.line}: {error.text}: {error.problem}"
    if result.failed > len(result.errors):
        yield f"... and {counted(result.failed - len(result.errors), 'more line')} like these"
    left_out = f", {counted(result.failed, 'line')} left out" if result.failed else ""
    yield f"{counted(result.imported, 'suppression')} imported{left_out}"


@command.command()
@click.argument("file", type=click.File("w", encoding="utf-8", lazy=True), default="-")
@_whose
@pass_session
def export(session: Session, *, file: Any, tenant: str | None, whole_box: bool) -> None:
    """Write a list as CSV to FILE, by default to standard output."""
    _require_one(tenant, whole_box=whole_box)
    to_terminal = file.name == "-"
    if session.out.as_json and to_terminal:
        _export_json(session, tenant)
        return

    async def work(rooms: Rooms) -> int:
        written = -1  # the header is no entry
        async for line in rooms.suppressions.export(await rooms.scope_of(tenant)):
            file.write(line)
            written += 1
        return written

    number = session.box.ask(work)
    if to_terminal:
        session.out.note(f"{counted(number, 'suppression')} exported")
    else:
        told = {"file": file.name, "exported": number}
        session.out.show(told, [f"{counted(number, 'suppression')} written to {file.name}"])


def _export_json(session: Session, tenant: str | None) -> None:
    """A line of JSON each, so that a million of them stream too."""

    async def work(rooms: Rooms) -> None:
        scope, after = await rooms.scope_of(tenant), 0
        while page := await rooms.suppressions.list(scope, after=after, limit=_PAGE):
            for entry in page:
                session.out.line(_row(entry, {entry.tenant_id: tenant or ""}), "")
            after = page[-1].id

    session.box.ask(work)
