"""`pillarbox blocklist`: whether DNS blocklists have our addresses, and what to do about it.

`list` shows what the worker's hourly look found; `check` looks now. What a check finds of an egress is
acted on as the worker would (notice, drain, enable again); an address of no egress is only looked up.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock
from appliance.core.errors import ConfigError, UsageError
from appliance.run.cli.output import Table, ago, counted
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from appliance.blocklists import Answer, Blocklist, ListCheck, Listing, Survey, Target
    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms
    from mta.egress import EgressPlan

command = group("blocklist", "Whether DNS blocklists have the addresses mail leaves from.")

EXIT_LISTED = 1
_NO_ADDRESS = (
    "no egress has a public address to look up: `pillarbox egress create NAME --address IPV4`"
)
_Row = dict[str, Any]


def _row(entry: Blocklist, target: Target) -> _Row:
    """An address and a list as programs see them."""
    return {
        "egress": target.egress or None,
        "address": target.address,
        "list": entry.name,
        "zone": entry.zone,
        "state": "",
        "why": "",
        "codes": (),
        "meaning": "",
        "text": "",
        "lookup": entry.page_for(target.address),
        "runbook": entry.runbook,
    }


def _lists(session: Session) -> tuple[Blocklist, ...]:
    from appliance.blocklists import file_of, load_lists

    return load_lists(file_of(session.box.settings.blocklists, session.home))


# -- list ----------------------------------------------------------------------


@command.command("list")
@pass_session
def list_(session: Session) -> None:
    """Show every address in every list, since when it is listed, and what to do about it."""
    lists = _lists(session)

    async def work(rooms: Rooms) -> list[_Row]:
        listings = await rooms.blocklists.listings(rooms.scope)
        checks = await rooms.blocklists.checks(rooms.scope)
        return _known(lists, await rooms.drainer.plan(), listings, checks)

    rows = session.box.ask(work)
    session.out.show(rows, _listing(rows))
    if not session.box.settings.blocklists.enabled:
        session.out.note("nobody looks: [blocklists] enabled is false")


def _known(
    lists: Sequence[Blocklist],
    plan: EgressPlan,
    listings: Iterable[Listing],
    checks: dict[str, ListCheck],
) -> list[_Row]:
    """What the store knows of every egress and list."""
    from appliance.blocklists.rules import family_of, targets_of

    listed = {listing.key: listing for listing in listings}
    return [
        _row(entry, target)
        | _state(checks.get(entry.zone))
        | _since(entry, listed.get((target.egress, target.address, entry.zone)))
        for target in targets_of(plan)
        for entry in lists
        if family_of(target.address) in entry.families
    ]


def _state(check: ListCheck | None) -> _Row:
    if check is None:
        return {"state": "not looked up yet", "checked_at": 0}
    state = "not listed" if check.state == "usable" else str(check.state)
    return {"state": state, "why": check.why, "checked_at": check.checked_at}


def _since(entry: Blocklist, listing: Listing | None) -> _Row:
    from appliance.blocklists.rules import meaning

    if listing is None:
        return {"listed_at": 0, "last_seen_at": 0, "drained": False}
    return {
        "state": "listed",
        "codes": listing.codes,
        "meaning": meaning(entry, listing.codes),
        "text": listing.text,
        "listed_at": listing.listed_at,
        "last_seen_at": listing.last_seen_at,
        "drained": listing.drained,
    }


def _listing(rows: Sequence[_Row]) -> Iterator[Part]:
    now = clock.now_ms()
    yield Table(
        ("EGRESS", "ADDRESS", "LIST", "STATE", "SINCE", "LOOKED UP", "WHAT IT MEANS"),
        [
            (
                row["egress"],
                row["address"],
                row["list"],
                row["state"] + (", drained" if row["drained"] else ""),
                ago(row["listed_at"], now) if row["listed_at"] else "-",
                ago(row["checked_at"], now),
                row["meaning"] or row["why"] or "-",
            )
            for row in rows
        ],
        empty=_NO_ADDRESS,
    )
    yield from _what_to_do(rows)


def _what_to_do(rows: Iterable[_Row]) -> Iterator[Part]:
    """The runbook of each listing."""
    for row in rows:
        if row["state"] == "listed":
            yield ""
            yield f"{row['address']} on {row['list']}: {row['meaning']}"
            yield from ([f"  {row['text']}"] if row["text"] else [])
            yield f"  look it up: {row['lookup']}"
            yield from (f"  {n}. {step}" for n, step in enumerate(row["runbook"], 1))


# -- check ---------------------------------------------------------------------


@command.command()
@click.argument("what", metavar="[EGRESS|ADDRESS]", required=False)
@pass_session
def check(session: Session, *, what: str | None) -> None:
    """Look now: at every egress, one, or any public address. Exit code 1 if one is listed."""
    lists = _lists(session)

    async def work(rooms: Rooms) -> list[_Row]:
        targets = _meant(what, await rooms.drainer.plan())
        found = await _look(session, rooms, lists, targets)
        return _seen(lists, found)

    rows = session.box.ask(work)
    session.out.show(rows, _checked(rows))
    if rows and all(row["state"] == "unknown" for row in rows):
        session.out.note("no list could say anything: this is no all-clear")
    if any(row["state"] == "listed" for row in rows):
        raise click.exceptions.Exit(EXIT_LISTED)


def _meant(what: str | None, plan: EgressPlan) -> tuple[Target, ...]:
    """The addresses of the egress of that name, else the address itself. Raises UsageError."""
    from appliance.blocklists import Target
    from appliance.blocklists.rules import is_public, targets_of

    every = targets_of(plan)
    if what is None:
        return every
    if what in plan.entries:
        found = tuple(target for target in every if target.egress == what)
        if not found:
            raise UsageError(f"egress {what} has no public address: no list can know it")
        return found
    try:
        address = str(ipaddress.ip_address(what))
    except ValueError as error:
        raise UsageError(
            f"{what!r} is neither an egress (`pillarbox egress list`) nor an address"
        ) from error
    if not is_public(address):
        raise UsageError(f"{address} is no public address: no list can know it")
    known = tuple(target for target in every if target.address == address)
    return known or (Target(egress="", address=address),)


async def _look(
    session: Session, rooms: Rooms, lists: Sequence[Blocklist], targets: Sequence[Target]
) -> Survey:
    """What is found of our own addresses takes effect, unless the looks are switched off."""
    from appliance.blocklists import look_up
    from appliance.core.dns import Resolver

    progress = _progress(session, lists, targets)
    is_ours = all(target.egress for target in targets)
    if targets and is_ours and session.box.settings.blocklists.enabled:
        return await rooms.blocklist_checks.look(lists, targets, progress)
    lookup = Resolver(session.box.settings.dns)
    return await look_up(lists if targets else (), targets, lookup, on_answer=progress)


def _progress(
    session: Session, lists: Sequence[Blocklist], targets: Sequence[Target]
) -> Callable[[Answer], None]:
    """Says each answer as it comes in."""
    from appliance.blocklists.rules import family_of

    total = sum(family_of(one.address) in entry.families for one in targets for entry in lists)
    names = {entry.zone: entry.name for entry in lists}
    done = 0

    def note(answer: Answer) -> None:
        nonlocal done
        done += 1
        words = f"{answer.target.address} on {names[answer.zone]}: {_verdict(answer)}"
        session.out.note(f"{done}/{total}  {words}")

    return note


def _verdict(answer: Answer) -> str:
    return "not listed" if answer.verdict == "clear" else str(answer.verdict)


def _seen(lists: Sequence[Blocklist], found: Survey) -> list[_Row]:
    from appliance.blocklists.rules import meaning

    entries = {entry.zone: entry for entry in lists}
    return [
        _row(entries[answer.zone], answer.target)
        | {
            "state": _verdict(answer),
            "why": answer.why,
            "codes": answer.codes,
            "meaning": meaning(entries[answer.zone], answer.codes),
            "text": answer.text,
        }
        for answer in found.answers
    ]


def _checked(rows: Sequence[_Row]) -> Iterator[Part]:
    yield Table(
        ("EGRESS", "ADDRESS", "LIST", "STATE", "WHAT IT MEANS"),
        [
            (
                row["egress"] or "-",
                row["address"],
                row["list"],
                row["state"],
                row["meaning"] or row["why"].partition("; ")[0] or "-",  # one question is enough
            )
            for row in rows
        ],
        empty=_NO_ADDRESS,
    )
    yield from _what_to_do(rows)


# -- check-config --------------------------------------------------------------


@command.command("check-config")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@pass_session
def check_config(session: Session, *, file: Path | None) -> None:
    """Tell every mistake in FILE (else the file of lists in force), with its line."""
    from appliance.blocklists import load_lists

    path = file or _in_force(session)
    try:
        lists = load_lists(path)
    except ConfigError as error:
        errors = str(error).splitlines()
        session.out.show({"file": str(path), "ok": False, "errors": errors}, errors)
        raise click.exceptions.Exit(ConfigError.exit_code) from error
    session.out.show(
        {"file": str(path), "ok": True, "errors": [], "lists": [entry.zone for entry in lists]},
        [f"{path} is sound: {counted(len(lists), 'list')}"],
    )


def _in_force(session: Session) -> Path:
    from appliance.blocklists import file_of
    from appliance.core.settings_file import load

    config = session.config or session.home.config_file
    settings = load(config if session.config or config.exists() else None, session.environ)
    return file_of(settings.blocklists, session.home)
