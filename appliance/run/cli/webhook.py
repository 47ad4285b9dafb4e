"""`pillarbox webhook`: where applications are told by HTTP what became of their mail.

A secret is shown once, when it is made. Deliveries are those of the last seven days, the newest 500.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.run.cli.moment import moment
from appliance.run.cli.output import Table, ago, when
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.run.cli.output import Part
    from appliance.run.cli.rooms import Rooms
    from appliance.webhooks import Delivery, Endpoint, IssuedEndpoint, Standing

command = group("webhook", "Telling applications by HTTP what became of their mail.")

_id = click.argument("webhook_id", type=int, metavar="ID")
_type = click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help="Only events of this type, such as message.delivered; may be repeated. Else all.",
)


@command.command()
@click.argument("url")
@click.option("--tenant", required=True, metavar="NAME", help="Whose events it is told.")
@_type
@click.option("--description", default="", help="Words for people.")
@pass_session
def create(
    session: Session, /, *, url: str, tenant: str, types: tuple[str, ...], description: str
) -> None:
    """Add an endpoint and show its secret, this once."""
    from appliance.webhooks import TYPES

    async def work(rooms: Rooms) -> IssuedEndpoint:
        return await rooms.webhooks.create(
            rooms.scope,
            url=url,
            types=types or TYPES,
            description=description,
            tenant_id=await rooms.tenant_id(tenant),
        )

    made = session.box.ask(work)
    _show_issued(session, made, f"next: pillarbox webhook test {made.endpoint.id}")


@command.command("list")
@click.option("--tenant", metavar="NAME", help="Only this tenant's.")
@pass_session
def list_(session: Session, *, tenant: str | None) -> None:
    """Show the endpoints."""

    async def work(rooms: Rooms) -> tuple[tuple[Endpoint, ...], dict[int, str]]:
        scope = await rooms.scope_of(tenant) if tenant else rooms.scope
        return await rooms.webhooks.list(scope), await rooms.tenant_names()

    found, names = session.box.ask(work)
    session.out.show([_row(one) for one in found], _listing(found, names))


@command.command()
@_id
@pass_session
def show(session: Session, *, webhook_id: int) -> None:
    """Show an endpoint, what waits for it, and what it said last."""

    async def work(rooms: Rooms) -> tuple[Endpoint, Standing]:
        found = await rooms.webhooks.get(rooms.scope, webhook_id)
        return found, await rooms.webhooks.standing(rooms.scope, webhook_id)

    found, standing = session.box.ask(work)
    session.out.show({**_row(found), "standing": standing}, _shown(found, standing))


@command.command()
@_id
@click.option("--url", help="Another address.")
@_type
@click.option("--description", help="Other words for people.")
@pass_session
def update(session: Session, /, *, webhook_id: int, types: tuple[str, ...], **given: Any) -> None:
    """Change an endpoint; what is not said stays as it is."""
    from appliance.webhooks import Change

    wanted = Change(types=types or None, **given)
    done = session.box.ask(lambda rooms: rooms.webhooks.change(rooms.scope, webhook_id, wanted))
    session.out.show(_row(done), [f"webhook {done.id} is changed"])


@command.command()
@_id
@pass_session
def test(session: Session, *, webhook_id: int) -> None:
    """Send a webhook.test now and show what the receiver said."""

    async def work(rooms: Rooms) -> Delivery:
        with rooms.webhook_trials() as trials:
            return await trials.test(rooms.scope, webhook_id)

    made = session.box.ask(work)
    session.out.show(made, [_told(made)])
    if made.outcome != "taken":
        raise click.exceptions.Exit(1)


@command.command()
@_id
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--before", type=int, default=0, help="Only those with a lower id: the next page.")
@pass_session
def deliveries(session: Session, *, webhook_id: int, limit: int, before: int) -> None:
    """Show the last attempts, newest first."""
    found = session.box.ask(
        lambda rooms: rooms.webhooks.deliveries(rooms.scope, webhook_id, before=before, limit=limit)
    )
    table = Table(
        ("ID", "AT", "EVENT", "TYPE", "ATTEMPT", "OUTCOME", "STATUS", "MS", "ANSWER"),
        [
            (
                str(one.id),
                when(one.at),
                one.event,
                one.type,
                str(one.attempt),
                one.outcome,
                str(one.status or "-"),
                str(one.took),
                one.answer[:80],
            )
            for one in found
        ],
        "nothing was sent to it in the last days",
        frozenset({"ID", "ATTEMPT", "STATUS", "MS"}),
    )
    session.out.show(found, [table])


@command.command()
@_id
@click.option("--event", metavar="ID", help="One event, by its id or its webhook-id.")
@click.option("--failed", is_flag=True, help="Those that were given up.")
@click.option("--all", "every", is_flag=True, help="All events since --since, as a job.")
@click.option("--since", default="", metavar="TIME", help="2026-11-20, with a time, or 2h, 3d ago.")
@pass_session
def replay(
    session: Session,
    /,
    *,
    webhook_id: int,
    event: str | None,
    failed: bool,
    every: bool,
    since: str,
) -> None:
    """Send events again: one, those that were given up, or all since a time."""
    if (bool(event), failed, every).count(True) != 1:
        raise UsageError("say what: --event ID, --failed, or --all --since TIME")
    start = moment(since, clock.now_ms())
    if event:
        _replay_one(session, webhook_id, event)
    elif failed:
        count = session.box.ask(
            lambda rooms: rooms.webhooks.replay_failed(rooms.scope, webhook_id, since=start)
        )
        session.out.show({"replayed": count}, [f"{count} events are sent again"])
    elif start:
        _replay_all(session, webhook_id, start)
    else:
        raise UsageError("say since when: --since 2h")


def _replay_one(session: Session, webhook_id: int, event: str) -> None:
    with session.box.log() as log:

        async def work(rooms: Rooms) -> str:
            with rooms.webhook_trials() as trials:
                return await trials.replay(rooms.scope, log, webhook_id, event)

        name = session.box.ask(work)
    session.out.show({"webhook_id": name}, [f"{name} is sent again"])


def _replay_all(session: Session, webhook_id: int, since: int) -> None:
    async def work(rooms: Rooms) -> Any:
        from appliance.webhooks import replay_order

        endpoint = await rooms.webhooks.get(rooms.scope, webhook_id)
        return await rooms.jobs.order(rooms.scope, replay_order(endpoint, since))

    job = session.box.ask(work)
    shown = {"job": job.id, "state": job.state}
    session.out.show(shown, [f"job {job.id} does it: pillarbox job show {job.id} --wait"])


@command.command()
@_id
@pass_session
def rotate(session: Session, *, webhook_id: int) -> None:
    """Make a new secret; for 24 hours what is sent is signed with the old one too."""
    made = session.box.ask(lambda rooms: rooms.webhooks.rotate(rooms.scope, webhook_id))
    _show_issued(
        session, made, f"the old secret signs too until {when(made.endpoint.old_secret_until)}"
    )


@command.command()
@_id
@click.option("--reason", default="", help="Why; shown to whoever wonders.")
@pass_session
def disable(session: Session, *, webhook_id: int, reason: str) -> None:
    """Tell an endpoint nothing until it is enabled."""
    done = session.box.ask(
        lambda rooms: rooms.webhooks.disable(rooms.scope, webhook_id, reason=reason)
    )
    session.out.show(_row(done), [f"webhook {done.id} is disabled"])


@command.command()
@_id
@click.option("--skip", is_flag=True, help="Do not send what it missed.")
@pass_session
def enable(session: Session, *, webhook_id: int, skip: bool) -> None:
    """Go on where an endpoint stopped, as far back as the log reaches."""
    done = session.box.ask(lambda rooms: rooms.webhooks.enable(rooms.scope, webhook_id, skip=skip))
    session.out.show(_row(done), [f"webhook {done.id} is enabled"])


@command.command()
@_id
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def delete(session: Session, *, webhook_id: int, yes: bool) -> None:
    """Forget an endpoint, with what waits for it and its deliveries."""
    session.confirm(f"Delete webhook {webhook_id}?", concerned=2, yes=yes)
    done = session.box.ask(lambda rooms: rooms.webhooks.delete(rooms.scope, webhook_id))
    session.out.show(_row(done), [f"webhook {done.id} is gone"])


def _show_issued(session: Session, made: IssuedEndpoint, last: str) -> None:
    shown = {**_row(made.endpoint), "secret": made.secret}
    lines = [
        f"webhook {made.endpoint.id}: {made.endpoint.url}",
        f"secret  {made.secret}",
        "",
        "The secret is shown this once; the receiver checks signatures with it (Standard Webhooks).",
        last,
    ]
    session.out.show(shown, lines)


def _row(one: Endpoint) -> dict[str, Any]:
    """An endpoint as programs see it."""
    return {
        "id": one.id,
        "tenant_id": one.tenant_id,
        "url": one.url,
        "types": one.types,
        "description": one.description,
        "enabled": one.is_enabled,
        "created_at": one.created_at,
        "disabled_at": one.disabled_at,
        "disabled_by": one.disabled_by,
        "disabled_reason": one.disabled_reason,
    }


def _listing(found: tuple[Endpoint, ...], names: dict[int, str]) -> Iterator[Part]:
    now = clock.now_ms()
    yield Table(
        ("ID", "TENANT", "URL", "TYPES", "STATE", "DESCRIPTION"),
        [
            (
                str(one.id),
                names.get(one.tenant_id, "?"),
                one.url,
                _types(one),
                "enabled" if one.is_enabled else f"disabled {ago(one.disabled_at, now)}",
                one.description,
            )
            for one in found
        ],
        empty="there is no webhook yet: pillarbox webhook create URL --tenant NAME",
    )


def _types(one: Endpoint) -> str:
    from appliance.webhooks import TYPES

    return "all" if one.types == TYPES else ", ".join(one.types)


def _shown(one: Endpoint, standing: Standing) -> Iterator[Part]:
    now = clock.now_ms()
    yield f"webhook {one.id}: {one.url}"
    yield f"    is told {_types(one)}, since {when(one.created_at)}"
    if not one.is_enabled:
        yield f"    disabled {ago(one.disabled_at, now)} by {one.disabled_by}: {one.disabled_reason}"
    if standing.waiting:
        yield f"    {standing.waiting} events wait, the oldest from {ago(standing.oldest_at, now)}"
    if standing.given_up:
        yield f"    {standing.given_up} events were given up: pillarbox webhook replay {one.id} --failed"
    if standing.last is not None:
        yield f"    last: {_told(standing.last)}, {ago(standing.last.at, now)}"


def _told(one: Delivery) -> str:
    status = f" with {one.status}" if one.status else ""
    words = f": {' '.join(one.answer.split())[:200]}" if one.answer else ""
    return f"{one.outcome}{status} after {one.took} ms{words}"
