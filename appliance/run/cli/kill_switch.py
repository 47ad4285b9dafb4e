"""`pillarbox kill-switch`: stops all sending at once; submissions are still taken and wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from appliance.run.cli.output import when
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from appliance.operations import KillStatus

command = group("kill-switch", "Stop all sending at once, and let it go again.")


@command.command()
@click.option("--reason", required=True, help="Why; whoever finds it later will ask.")
@pass_session
def on(session: Session, *, reason: str) -> None:
    """Begin no new transaction anywhere. Mail is still accepted and waits."""
    found = session.box.ask(lambda rooms: rooms.operations.kill(rooms.scope, reason=reason))
    session.out.show(found, [in_words(found)])


@command.command()
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def off(session: Session, *, reason: str) -> None:
    """Send again."""
    found = session.box.ask(lambda rooms: rooms.operations.revive(rooms.scope, reason=reason))
    session.out.show(found, [in_words(found)])


@command.command()
@pass_session
def status(session: Session) -> None:
    """Tell whether it is on, since when, by whom and why."""
    found = session.box.ask(lambda rooms: rooms.operations.kill_status())
    session.out.show(found, [in_words(found)])


def in_words(found: KillStatus) -> str:
    """How the switch stands."""
    if found.is_on:
        return f"the kill switch is ON since {when(found.at)} by {found.by}: {found.reason}"
    moved = f" since {when(found.at)} by {found.by}" if found.at else ""
    return f"the kill switch is off{moved}"
