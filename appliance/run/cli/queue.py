"""`pillarbox queue`: what waits, why and until when; and people's hands on it.

Everything here is asked of the running box (exit code 69 when it does not run), but for pause and
resume: these are records, which outlive a restart and take effect within a second.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.run.cli.filters import Chosen, filter_options, filters_of, message_id
from appliance.run.cli.output import Table, ago, ahead, counted, when
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.operations import KillStatus, Target
    from appliance.run.cli.output import Part
    from appliance.run.cli.owners import Row
    from appliance.run.cli.rooms import Rooms
    from mta.directory import Pause

command = group("queue", "What waits, and why; retry, hold, release, cancel, pause.")

_STATES = ("queued", "deferred", "held")
_COUNTED = 1000  # above that a question says "more than"
_DONE = {"retry": "retried", "hold": "held", "release": "released", "cancel": "cancelled"}


# -- looking -----------------------------------------------------------------


@command.command("list")
@filter_options
@click.option("--status", type=click.Choice(_STATES), help="Only in this state.")
@click.option("--recipients", is_flag=True, help="Recipients instead of destinations.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1))
@pass_session
def list_(session: Session, /, *, recipients: bool, limit: int, **chosen: Any) -> None:
    """Show what waits by destination; with any filter, the recipients themselves."""
    wanted = Chosen(**chosen)
    if recipients or not wanted.is_empty:
        _list_recipients(session, wanted, limit)
    else:
        _list_destinations(session, limit)


def _list_destinations(session: Session, limit: int) -> None:
    rows = session.box.owners.destinations()[:limit]
    names, pauses, switch = session.box.ask(_stops)
    shown = {"destinations": rows, "pauses": pauses, "kill_switch": switch}
    session.out.show(shown, _destinations(rows, pauses, switch, names))


async def _stops(rooms: Rooms) -> tuple[dict[int, str], tuple[Pause, ...], KillStatus]:
    pauses = await rooms.operations.pauses(rooms.scope)
    return await rooms.tenant_names(), pauses, await rooms.operations.kill_status()


def _destinations(
    rows: list[Row], pauses: tuple[Pause, ...], switch: KillStatus, names: dict[int, str]
) -> Iterator[Part]:
    now = clock.now_ms()
    if switch.is_on:
        from appliance.run.cli.kill_switch import in_words

        yield in_words(switch)
    yield from (f"paused ({one.id}): {_pause_in_words(one, names)}" for one in pauses)
    yield Table(
        ("DOMAIN", "STATE", "RECIPIENTS", "OLDEST", "NEXT TRY", "REASON"),
        [
            (
                row["domain"],
                row["status"],
                f"{row['count']:,}",
                ago(row["oldest"], now),
                "-" if row["status"] == "held" else ahead(row["next"], now),
                row["reason"] or "-",
            )
            for row in rows
        ],
        empty="nothing waits",
    )


def _pause_in_words(one: Pause, names: dict[int, str]) -> str:
    parts = (
        f"tenant {names.get(one.tenant_id, one.tenant_id)}" if one.tenant_id else "",
        f"domain {one.domain}" if one.domain else "",
        f"credential {one.credential_id}" if one.credential_id else "",
        f"site {one.site}" if one.site else "",
    )
    return f"{', '.join(filter(None, parts))} since {when(one.at)} by {one.by}: {one.reason}"


def _list_recipients(session: Session, wanted: Chosen, limit: int) -> None:
    found: list[Row] = []
    for one in filters_of(session.box, wanted):
        found += session.box.owners.recipients(one, limit + 1 - len(found))
    rows = [recipient_row(row) for row in found[:limit]]
    session.out.show(rows, _recipients(rows))
    if len(found) > limit:
        session.out.note(f"more than {limit} match: narrow it down, or raise --limit")


def recipient_row(row: Row) -> Row:
    """Without the number behind the id: it is too large for most programs that read JSON."""
    return {key: value for key, value in row.items() if key != "message_id"}


def _recipients(rows: list[Row]) -> Iterator[Part]:
    now = clock.now_ms()
    yield Table(
        ("ID", "RECIPIENT", "STATE", "TRIES", "NEXT TRY", "REASON"),
        [
            (
                row["id"],
                row["address"],
                row["status"],
                str(row["attempts"]),
                ahead(row["next"], now) if row["status"] in ("queued", "deferred") else "-",
                row["reason"] or "-",
            )
            for row in rows
        ],
        empty="nothing in the queue matches",
    )


@command.command()
@click.argument("id_", metavar="ID")
@pass_session
def show(session: Session, *, id_: str) -> None:
    """Show a message that waits: recipients, reasons, next tries, and every attempt so far."""
    from appliance.run.cli.story import in_queue, story_parts

    story = in_queue(session.box, message_id(id_))
    session.out.show(story.for_json(), story_parts(story, clock.now_ms(), steps=True))


# -- acting ------------------------------------------------------------------


def _act(session: Session, action: str, *, yes: bool, everything: bool, chosen: Chosen) -> None:
    if chosen.is_empty is not everything:
        raise UsageError("say which mail is meant: by filters, or everything with --all")
    if action == "release":
        chosen = replace(chosen, status="held")
    filters = filters_of(session.box, chosen)
    concerned = 0 if yes else _concerned(session, filters)
    number = f"more than {_COUNTED:,}" if concerned > _COUNTED else f"{concerned:,}"
    question = f"{action} up to {number} recipients?"
    session.confirm(question.capitalize(), concerned=concerned, yes=yes)
    total = {"changed": 0, "being_sent": 0}
    for one in filters:
        done = session.box.owners.act(action, one, session.box.by)
        total = {key: total[key] + done[key] for key in total}
    session.out.show({"action": action, **total}, _acted(action, total))


def _concerned(session: Session, filters: list[dict[str, object]]) -> int:
    number = 0
    for one in filters:
        number += len(session.box.owners.recipients(one, _COUNTED + 1 - number))
        if number > _COUNTED:
            break
    return number


def _acted(action: str, total: dict[str, int]) -> Iterator[Part]:
    yield f"{counted(total['changed'], 'recipient')} {_DONE[action]}"
    if total["being_sent"]:
        yield f"{counted(total['being_sent'], 'recipient')} left alone: being sent now"


def _register(action: str, help_text: str) -> None:
    """Four commands that differ in a word."""

    @command.command(action, help=help_text)
    @click.argument("message", metavar="[ID]...", nargs=-1)
    @filter_options
    @click.option("--all", "everything", is_flag=True, help="All that waits.")
    @click.option("--yes", is_flag=True, help="Do not ask, however many it concerns.")
    @pass_session
    def act(
        session: Session, /, *, message: tuple[str, ...], everything: bool, yes: bool, **chosen: Any
    ) -> None:
        chosen["ids"] = (*message, *chosen["ids"])
        _act(session, action, yes=yes, everything=everything, chosen=Chosen(**chosen))


_register("retry", "Try again now, instead of at the next try.")
_register("hold", "Keep mail back until it is released.")
_register("release", "Let held mail go.")
_register("cancel", "Take waiting or held mail back for good.")


# -- pausing -----------------------------------------------------------------


@command.command()
@click.option("--tenant", metavar="NAME", help="Mail of this tenant.")
@click.option("--domain", default="", help="Mail to this domain.")
@click.option("--credential", metavar="NAME", help="Mail of this login (name or id).")
@click.option("--site", default="", help="Mail to the domains that share these MX hosts.")
@click.option("--reason", required=True, help="Why; whoever finds it later will ask.")
@pass_session
def pause(session: Session, /, *, reason: str, **target: Any) -> None:
    """Let matching mail wait until `resume`. What is being sent is finished."""

    async def work(rooms: Rooms) -> tuple[Pause, dict[int, str]]:
        wanted = await _target(rooms, **target)
        found = await rooms.operations.pause(rooms.scope, wanted, reason=reason)
        return found, await rooms.tenant_names()

    found, names = session.box.ask(work)
    session.out.show(found, [f"paused ({found.id}): {_pause_in_words(found, names)}"])


@command.command()
@click.argument("pause_id", metavar="[PAUSE]", type=int, required=False)
@click.option("--tenant", metavar="NAME", help="The pause of this tenant.")
@click.option("--domain", default="", help="The pause of this domain.")
@click.option("--credential", metavar="NAME", help="The pause of this login.")
@click.option("--site", default="", help="The pause of this site.")
@pass_session
def resume(session: Session, /, *, pause_id: int | None, **target: Any) -> None:
    """Lift a pause, named by its number or by exactly what it stops."""

    async def work(rooms: Rooms) -> tuple[Pause, dict[int, str]]:
        number = pause_id
        if number is None:
            wanted = await _target(rooms, **target)
            number = (await rooms.operations.find_pause(rooms.scope, wanted)).id
        return await rooms.operations.resume(rooms.scope, number), await rooms.tenant_names()

    found, names = session.box.ask(work)
    session.out.show(found, [f"lifted ({found.id}): {_pause_in_words(found, names)}"])


async def _target(
    rooms: Rooms, *, tenant: str | None, domain: str, credential: str | None, site: str
) -> Target:
    from appliance.operations import Target

    login = (await rooms.credential(credential, tenant)).id if credential else 0
    return Target(
        tenant_id=await rooms.tenant_id(tenant), domain=domain, credential_id=login, site=site
    )
