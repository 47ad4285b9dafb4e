"""`pillarbox spool`: whether the stores of waiting mail are sound, and how a damaged one is repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from appliance.core import clock, ids
from appliance.run.cli.output import Table, counted
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from appliance.run.cli.output import Part
    from appliance.run.spool_care import ShardCheck
    from mta.spool.salvage.rebuild import Report

command = group("spool", "Check and repair the stores of waiting mail.")

_SHOWN: Final = 50
_shard_option = click.option("--shard", type=int, help="Only this one; else all.")


@command.command("check")
@_shard_option
@pass_session
def check_(session: Session, *, shard: int | None) -> None:
    """Look at every message, and with the box stopped at every page of the files too.

    Changes nothing. Ends with 1 when something is wrong.
    """
    from appliance.run.spool_care import check_shard, shards_of

    box = session.box
    found = [
        check_shard(box.home, box.settings, number, told(session))
        for number in shards_of(box.home, box.settings, shard)
    ]
    sound = all(one.is_sound for one in found)
    shown = {"sound": sound, "shards": [_check_table(one) for one in found]}
    session.out.show(shown, _check_words(found))
    if not sound:
        raise click.exceptions.Exit(1)


@command.command("repair")
@_shard_option
@pass_session
def repair(session: Session, *, shard: int | None) -> None:
    """Make a new store of all that can be read of a damaged one. The box must be stopped.

    Everything whole stays as it is. What is lost is named, and set aside in the folder spool/corrupt with
    the damaged file; nothing is deleted. What had ended by the event log is not sent again.
    """
    from appliance.run.spool_care import repair_shard, shards_of

    box = session.box
    found = {
        number: repair_shard(box.home, box.settings, number, told(session))
        for number in shards_of(box.home, box.settings, shard)
    }
    shown = [
        {"shard": number, "sound": one.is_sound, **one.table(), "report": _file_of(one)}
        for number, one in found.items()
    ]
    session.out.show({"shards": shown}, _repair_words(found))


def told(session: Session) -> Callable[[str, int, int], None]:
    """Progress on standard error, every other second."""
    last = clock.monotonic()

    def progress(stage: str, done: int, of: int) -> None:
        nonlocal last
        if clock.monotonic() - last >= 2:
            last = clock.monotonic()
            session.out.note(f"{stage}: {done:,}" + (f" of {of:,}" if of else ""))

    return progress


def _check_table(one: ShardCheck) -> dict[str, Any]:
    from mta.spool.salvage.rebuild import table_of

    return {
        "shard": one.shard,
        "sound": one.is_sound,
        "pages_checked": one.damage is not None,
        **(table_of(one.damage) if one.damage else {}),
        "messages": one.checked.messages,
        "recipients": one.checked.recipients,
        "waiting": one.checked.waiting,
        "flaws": [{"id": ids.to_text(flaw.message_id), "flaw": flaw.words} for flaw in one.flaws],
    }


def _check_words(found: Sequence[ShardCheck]) -> Iterator[Part]:
    if not found:
        yield "there is no spool yet"
    for one in found:
        checked = one.checked
        yield (
            f"shard {one.shard}: {counted(checked.messages, 'message')},"
            f" {counted(checked.waiting, 'recipient')} waiting: {'sound' if one.is_sound else 'NOT SOUND'}"
        )
        if one.damage is not None and not one.damage.is_none:
            yield (
                f"  {counted(len(one.damage.damaged), 'damaged page')} of {one.damage.pages:,},"
                f" {counted(one.damage.rows_unreadable, 'unreadable row')}; its messages were not looked"
                f" at: pillarbox spool repair --shard {one.shard}"
            )
        for flaw in one.flaws[:_SHOWN]:
            yield f"  {ids.to_text(flaw.message_id)}: {flaw.words}"
        if len(one.flaws) > _SHOWN:
            yield f"  ... and {counted(len(one.flaws) - _SHOWN, 'more flaw')}: --json shows all"
    if any(one.damage is None for one in found):
        yield "only messages were looked at; stop the box to have the pages of its files looked at too"


def _repair_words(found: dict[int, Report]) -> Iterator[Part]:
    if not found:
        yield "there is no spool yet"
    for number, one in found.items():
        if one.is_sound:
            yield f"shard {number} is sound: nothing was changed"
        else:
            yield from _repaired(number, one)


def _repaired(number: int, one: Report) -> Iterator[Part]:
    judged, damage = one.judged, one.damage
    yield (
        f"shard {number}: {counted(len(damage.damaged), 'damaged page')} of {damage.pages:,},"
        f" {counted(damage.rows_unreadable, 'unreadable row')}"
    )
    yield (
        f"  {counted(judged.messages, 'message')} stand, {counted(judged.waiting, 'recipient')} wait;"
        f" {counted(len(judged.losses), 'message')} lost or incomplete"
    )
    if judged.ended:
        yield f"  {counted(judged.ended, 'recipient')} had reached their end by the event log"
    if judged.held:
        yield (
            f"  {counted(judged.held, 'recipient')} held: they may be old, and the event log cannot say;"
            " look at `pillarbox queue list --status held`"
        )
    if one.events_missing:
        yield f"  {counted(one.events_missing, 'event')} never reached the event log"
    yield losses_table(judged.losses)
    if one.file is not None:
        yield f"  all of it: {one.file}"


def losses_table(losses: Sequence[dict[str, Any]]) -> Table:
    """Everybody who was lost, by message."""
    rows = [
        (loss["id"], loss["sender"], who["address"] or "?", who["status"] or "?", who["why"])
        for loss in losses
        for who in loss["recipients"]
    ]
    if len(rows) > _SHOWN:
        rest = len(rows) - _SHOWN
        rows = [*rows[:_SHOWN], ("...", "", "", "", f"and {rest:,} more")]
    return Table(("MESSAGE", "SENDER", "RECIPIENT", "WAS", "WHY"), rows, empty="  nothing is lost")


def _file_of(one: Report) -> str | None:
    return None if one.file is None else str(one.file)
