"""`pillarbox messages`: what became of every message, from the event log, which needs no running box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock, ids
from appliance.core.errors import UsageError
from appliance.run.cli.filters import a_label, message_id
from appliance.run.cli.moment import moment
from appliance.run.cli.output import Table, ago
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from appliance.history import Filters, Found
    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms

command = group("messages", "What became of every message.")

_FLAGS = ("bounced_late", "delayed_late", "complained", "unsubscribed")
_STATES = (
    *("queued", "deferred", "held", "delivered", "bounced"),
    *("expired", "suppressed", "cancelled", "corrupt"),
)
_PAGE = 1000


@command.command("list")
@click.option("--address", default="", help="Recipient; addr* finds all that begin so.")
@click.option("--domain", default="", help="Recipients at this domain.")
@click.option("--message-id", "message", default="", help="Our id, or the Message-ID header.")
@click.option("--sender", default="", help="Address in the From header.")
@click.option("--tag", default="", help="With this tag.")
@click.option("--status", type=click.Choice(_STATES), help="In this state.")
@click.option("--flag", "flags", multiple=True, type=click.Choice(_FLAGS), help="With late news.")
@click.option("--tenant", metavar="NAME", help="Of this tenant.")
@click.option("--since", default="", metavar="TIME", help="2026-11-20, with a time, or 2h, 3d ago.")
@click.option("--until", default="", metavar="TIME", help="Before this time.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1))
@click.option("--cursor", default="", help="Go on where a page ended.")
@pass_session
def list_(
    session: Session, /, *, tenant: str | None, limit: int, cursor: str, **given: Any
) -> None:
    """Find recipients, newest first."""
    filters = filters_of(given, clock.now_ms())
    found, cursor = _search(session, filters, tenant, limit, cursor)
    session.out.show(
        {"messages": [found_row(one) for one in found], "cursor": cursor or None},
        _listing(found),
    )
    if cursor:
        session.out.note(f"there are more: --cursor {cursor}")


def filters_of(given: dict[str, Any], now: int) -> Filters:
    """What the log is asked."""
    from appliance.history import Filters, Flag
    from mta.status import Status

    flags = Flag(0)
    for name in given["flags"]:
        flags |= Flag[name.upper()]
    since, until = (moment(given[name], now) for name in ("since", "until"))
    if since and until and since >= until:
        raise UsageError("--since is not before --until")
    return Filters(
        address=given["address"],
        domain=a_label(given["domain"]),
        message=given["message"],
        sender=given["sender"],
        tag=given["tag"],
        status=Status(given["status"]) if given["status"] else None,
        flags=flags,
        since=since,
        until=until,
    )


def _search(
    session: Session, filters: Filters, tenant: str | None, limit: int, cursor: str
) -> tuple[list[Found], str]:
    async def scope_of(rooms: Rooms) -> Any:
        return await rooms.scope_of(tenant) if tenant else rooms.scope

    scope = session.box.ask(scope_of)
    found: list[Found] = []
    with session.box.log() as log:
        while len(found) < limit:
            wanted = min(_PAGE, limit - len(found))
            page = log.search(scope, filters, cursor=cursor, limit=wanted)
            found += page.rows
            cursor = page.cursor
            if not cursor:
                break
    return found, cursor


def found_row(one: Found) -> dict[str, object]:
    """A recipient as programs see it."""
    from appliance.run.cli.story import flag_names

    return {
        "id": ids.to_text(one.message_id),
        "n": one.n,
        "tenant_id": one.tenant_id,
        "credential_id": one.credential_id,
        "address": one.address,
        "domain": one.domain,
        "sender": one.sender,
        "from": one.header_from,
        "message_id": one.message_id_header,
        "subject": one.subject,
        "tags": one.tags,
        "class": one.traffic_class,
        "size": one.size,
        "accepted_at": one.accepted_at,
        "status": one.status,
        "status_at": one.status_at,
        "attempts": one.attempts,
        "reply": one.reply,
        "host": one.host,
        "egress": one.egress,
        "tls": one.tls,
        "category": one.category,
        "flags": flag_names(one.flags),
    }


def _listing(found: Sequence[Found]) -> Iterator[Part]:
    from appliance.run.cli.story import flag_names

    now = clock.now_ms()
    yield Table(
        ("ID", "ACCEPTED", "FROM", "RECIPIENT", "STATE", "SUBJECT", "LAST WORDS"),
        [
            (
                ids.to_text(one.message_id),
                ago(one.accepted_at, now),
                one.header_from or one.sender or "<>",
                one.address,
                ", ".join([one.status, *flag_names(one.flags)]),
                one.subject[:50],
                one.reply or "-",
            )
            for one in found
        ],
        empty="the log has no such message",
    )


@command.command()
@click.argument("id_", metavar="ID")
@click.option("--steps", is_flag=True, help="Every command and answer of each attempt.")
@pass_session
def show(session: Session, *, id_: str, steps: bool) -> None:
    """Tell the story of a message: accepted, signed, queued, each attempt, and how it ended."""
    from appliance.run.cli.story import anywhere, story_parts

    story = anywhere(session.box, message_id(id_))
    session.out.show(story.for_json(), story_parts(story, clock.now_ms(), steps=steps))


@command.command()
@click.argument("id_", metavar="ID")
@click.option(
    "--to",
    multiple=True,
    metavar="ADDRESS",
    help="Of its recipients, these; without it all for whom it bounced or expired.",
)
@pass_session
def resend(session: Session, *, id_: str, to: tuple[str, ...]) -> None:
    """Send a message again, while its bytes are kept (spool.keep_content). Needs the running box."""
    from appliance.run.cli.resend import send_again

    box, number = session.box, message_id(id_)
    taken = box.ask(lambda rooms: send_again(box, rooms, number, to))
    new = ids.to_text(taken.id)
    session.out.show(
        {"id": new, "recipients": taken.recipients},
        [f"sent again as {new} to {taken.recipients} of its recipients"],
    )
