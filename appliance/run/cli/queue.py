"""`pillarbox queue`: what waits, why and until when; and people's hands on it.

Everything here is asked of the running box (exit code 69 when it does not run), but for pause and
resume: these are records, which outlive a restart and take effect within a second.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.run.cli.filters import (
    Chosen,
    filter_options,
    filters_of,
    message_id,
    target_of,
    target_options,
)
from appliance.run.cli.moment import duration
from appliance.run.cli.output import counted
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.operations import KillStatus
    from appliance.run.cli.filters import Filter
    from appliance.run.cli.owners import Row
    from appliance.run.cli.rooms import Rooms
    from mta.directory import Pause

command = group("queue", "What waits, and why; retry, hold, release, reroute, cancel, pause.")

_STATES: Final = ("queued", "deferred", "held")
_KINDS: Final = ("domain", "reason", "provider", "site", "egress", "tenant")
_COUNTED: Final = 1000  # above that a question says "more than"
_DONE: Final = {
    "retry": "retried",
    "hold": "held",
    "release": "released",
    "reroute": "rerouted",
    "cancel": "cancelled",
}


# -- looking -----------------------------------------------------------------


@command.command("list")
@click.option("--by", type=click.Choice(_KINDS), default="domain", help="What to count by.")
@filter_options
@click.option("--status", type=click.Choice(_STATES), help="Only in this state.")
@click.option("--recipients", is_flag=True, help="Recipients instead of counts.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1))
@pass_session
def list_(session: Session, /, *, by: str, recipients: bool, limit: int, **chosen: Any) -> None:
    """Show what waits, counted by destination; with any filter, the recipients themselves."""
    wanted = Chosen(**chosen)
    if recipients or not wanted.is_empty:
        _list_recipients(session, wanted, limit)
    else:
        _list_groups(session, by, limit)


def _list_groups(session: Session, by: str, limit: int) -> None:
    from appliance.run.cli.queue_words import groups_in_words

    found = session.box.owners.summary(by, limit)
    names, pauses, switch = session.box.ask(_stops)
    shown = found | {"pauses": pauses, "kill_switch": switch}
    words = groups_in_words(found, pauses, switch, names, clock.now_ms())
    session.out.show(shown, words)


async def _stops(rooms: Rooms) -> tuple[dict[int, str], tuple[Pause, ...], KillStatus]:
    pauses = await rooms.operations.pauses(rooms.scope)
    return await rooms.tenant_names(), pauses, await rooms.operations.kill_status()


def _list_recipients(session: Session, wanted: Chosen, limit: int) -> None:
    from appliance.run.cli.queue_words import recipients_in_words

    found: list[Row] = []
    for one in filters_of(session, wanted):
        found += session.box.owners.recipients(one, limit + 1 - len(found))
    rows = [recipient_row(row) for row in found[:limit]]
    session.out.show(rows, recipients_in_words(rows, clock.now_ms()))
    if len(found) > limit:
        session.out.note(f"more than {limit} match: narrow it down, or raise --limit")


def recipient_row(row: Row) -> Row:
    """Without the number behind the id: it is too large for most programs that read JSON."""
    return {key: value for key, value in row.items() if key != "message_id"}


@command.command()
@click.argument("id_", metavar="ID")
@pass_session
def show(session: Session, *, id_: str) -> None:
    """Show a message that waits: recipients, reasons, next tries, and every attempt so far."""
    from appliance.run.cli.story import in_queue, story_parts

    story = in_queue(session.box, message_id(id_))
    session.out.show(story.for_json(), story_parts(story, clock.now_ms(), steps=True))


# -- acting ------------------------------------------------------------------


def _act(session: Session, order: dict[str, object], *, yes: bool, chosen: Chosen) -> None:
    action = str(order["action"])
    if action == "release":
        chosen = replace(chosen, status="held")
    filters = filters_of(session, chosen)
    concerned = 0 if yes else _concerned(session, filters)
    number = f"more than {_COUNTED:,}" if concerned > _COUNTED else f"{concerned:,}"
    question = f"{action} up to {number} recipients?"
    session.confirm(question.capitalize(), concerned=concerned, yes=yes)
    total = Counter[str](changed=0, being_sent=0, ready=0)
    for one in filters:
        for done in session.box.owners.act(order | {"by": session.box.by}, one):
            total.update(done)
            _progress(session, f"{counted(total['changed'], 'recipient')} {_DONE[action]} ...")
    _progress(session, "")
    session.out.show({"action": action, **total}, _acted(action, total))


def _concerned(session: Session, filters: list[Filter]) -> int:
    number = 0
    for one in filters:
        number += len(session.box.owners.recipients(one, _COUNTED + 1 - number))
        if number > _COUNTED:
            break
    return number


def _progress(session: Session, words: str) -> None:
    """How far it is, on one line that is written anew; only for a person who watches."""
    if sys.stderr.isatty() and not session.out.as_json:
        click.echo(f"\r\x1b[K{words}", err=True, nl=False)


def _acted(action: str, total: Counter[str]) -> Iterator[str]:
    yield f"{counted(total['changed'], 'recipient')} {_DONE[action]}"
    if total["being_sent"]:
        yield f"{counted(total['being_sent'], 'recipient')} left alone: being sent now"
    if total["ready"]:
        yield f"{counted(total['ready'], 'recipient')} left alone: ready to be sent already"


def _register(action: str, help_text: str, *more: Any) -> None:
    """Five commands that differ in a word."""

    @click.argument("message", metavar="[ID]...", nargs=-1)
    @filter_options
    @click.option("--all", "everything", is_flag=True, help="All that waits.")
    @click.option("--yes", is_flag=True, help="Do not ask, however many it concerns.")
    @pass_session
    def act(
        session: Session, /, *, message: tuple[str, ...], everything: bool, yes: bool, **chosen: Any
    ) -> None:
        order = {"action": action, "pool": chosen.pop("to", "")}
        wanted = Chosen(**chosen | {"ids": (*message, *chosen["ids"])})
        if wanted.is_empty is not everything:
            raise UsageError("say which mail is meant: by filters, or everything with --all")
        _act(session, order, yes=yes, chosen=wanted)

    for option in more:
        act = option(act)
    command.command(action, help=help_text)(act)


_register("retry", "Try again now, instead of at the next try.")
_register("hold", "Keep mail back until it is released.")
_register("release", "Let held mail go.")
_register(
    "reroute",
    "Send waiting mail from another pool of addresses.",
    click.option(
        "--to",
        required=True,
        metavar="POOL",
        help="The pool that is to send it; '' gives it back to the one its tenant uses.",
    ),
)
_register("cancel", "Take waiting or held mail back for good.")


# -- pausing -----------------------------------------------------------------


@command.command()
@target_options
@click.option("--reason", required=True, help="Why; whoever finds it later will ask.")
@click.option("--for", "length", default="", metavar="2h", help="So long; else until `resume`.")
@pass_session
def pause(session: Session, /, *, reason: str, length: str, **target: Any) -> None:
    """Let matching mail wait. What is being sent is finished; mail of a paused egress goes from others."""
    from appliance.run.cli.queue_words import pause_in_words

    lasts = duration(length)

    async def work(rooms: Rooms) -> tuple[Pause, dict[int, str]]:
        wanted = await target_of(session, rooms, Chosen(**target))
        end = clock.now_ms() + lasts if lasts else 0
        found = await rooms.operations.pause(rooms.scope, wanted, reason=reason, expires_at=end)
        return found, await rooms.tenant_names()

    found, names = session.box.ask(work)
    words = pause_in_words(found, names, clock.now_ms())
    session.out.show(found, [f"paused ({found.id}): {words}"])


@command.command()
@click.argument("pause_id", metavar="[PAUSE]", type=int, required=False)
@target_options
@pass_session
def resume(session: Session, /, *, pause_id: int | None, **target: Any) -> None:
    """Lift a pause, named by its number or by exactly what it stops."""
    from appliance.run.cli.queue_words import pause_in_words

    async def work(rooms: Rooms) -> tuple[Pause, dict[int, str]]:
        number = pause_id
        if number is None:
            wanted = await target_of(session, rooms, Chosen(**target))
            number = (await rooms.operations.find_pause(rooms.scope, wanted)).id
        return await rooms.operations.resume(rooms.scope, number), await rooms.tenant_names()

    found, names = session.box.ask(work)
    words = pause_in_words(found, names, clock.now_ms())
    session.out.show(found, [f"lifted ({found.id}): {words}"])
