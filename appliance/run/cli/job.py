"""`pillarbox job`: long work that the worker does: how far it is, what came of it, and ending it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from appliance.core import clock
from appliance.run.cli.output import Table, ago
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.jobs import Job
    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms

command = group("job", "Long work that the worker does: progress, results, ending it.")

_LOOK: Final = 0.5  # seconds between two looks of --wait


@command.command("list")
@click.option("--open", "open_only", is_flag=True, help="Only those that have not ended.")
@pass_session
def list_(session: Session, *, open_only: bool) -> None:
    """Show the newest hundred jobs."""

    async def work(rooms: Rooms) -> tuple[tuple[Job, ...], dict[int, str]]:
        found = await rooms.jobs.list(rooms.scope, open_only=open_only)
        return found, await rooms.tenant_names()

    found, names = session.box.ask(work)
    now = clock.now_ms()
    table = Table(
        ("id", "kind", "tenant", "state", "progress", "asked for", "by"),
        [
            (
                str(job.id),
                job.kind,
                names.get(job.tenant_id, "?") if job.tenant_id else "-",
                job.state,
                progress(job),
                ago(job.created_at, now),
                job.by,
            )
            for job in found
        ],
        "there are no jobs",
        frozenset({"id", "progress"}),
    )
    rows = [_row(job, names) for job in found]
    session.out.show(rows, [table])


@command.command()
@click.argument("job_id", type=int, metavar="ID")
@click.option("--wait", is_flag=True, help="Until it has ended.")
@pass_session
def show(session: Session, *, job_id: int, wait: bool) -> None:
    """Show a job, and what came of it."""
    import asyncio

    async def work(rooms: Rooms) -> tuple[Job, dict[int, str]]:
        job, told = await rooms.jobs.get(rooms.scope, job_id), ""
        while wait and job.is_open:
            if told != (told := f"{job.state}, {progress(job)}"):
                session.out.note(told)
            await asyncio.sleep(_LOOK)
            job = await rooms.jobs.get(rooms.scope, job_id)
        return job, await rooms.tenant_names()

    job, names = session.box.ask(work)
    session.out.show(_row(job, names), _shown(job))


@command.command()
@click.argument("job_id", type=int, metavar="ID")
@pass_session
def cancel(session: Session, *, job_id: int) -> None:
    """End a job where it stands. What it has done stays done."""

    async def work(rooms: Rooms) -> tuple[Job, dict[int, str]]:
        return await rooms.jobs.cancel(rooms.scope, job_id), await rooms.tenant_names()

    job, names = session.box.ask(work)
    session.out.show(_row(job, names), [f"job {job.id} is cancelled at {progress(job)}"])


def progress(job: Job) -> str:
    """How far a job is, for people."""
    return f"{100 * job.done // job.total} %" if job.total else f"{job.done} done"


def _row(job: Job, names: dict[int, str]) -> dict[str, Any]:
    """A job as programs see it."""
    return {
        "id": job.id,
        "kind": job.kind,
        "tenant": names.get(job.tenant_id) if job.tenant_id else None,
        "state": job.state,
        "done": job.done,
        "total": job.total,
        "asked": job.asked,
        "result": job.result,
        "error": job.error,
        "by": job.by,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
    }


def _shown(job: Job) -> Iterator[Part]:
    yield f"job {job.id}, {job.kind}: {job.state}, {progress(job)}"
    if job.error:
        yield f"    {job.error}"
    for name, value in job.result.items():
        if isinstance(value, list | tuple):
            yield from (f"    {name}: {_words(one)}" for one in value)
        else:
            yield f"    {name}: {value}"


def _words(one: Any) -> str:
    return (
        ", ".join(f"{key} {value}" for key, value in one.items())
        if isinstance(one, dict)
        else str(one)
    )
