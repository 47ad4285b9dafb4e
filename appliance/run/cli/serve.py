"""`pillarbox serve`: the box itself, until SIGTERM or Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from appliance.run.cli.session import Command, Session, pass_session

if TYPE_CHECKING:
    from appliance.run.cli.box import Box


@click.command("serve", cls=Command)
@pass_session
def command(session: Session) -> None:
    """Run the box: submission, delivery, bounces, health. Stops cleanly at SIGTERM or Ctrl-C."""
    from appliance.core import log as logs
    from appliance.run import certificates
    from appliance.run.one_box import claim
    from appliance.run.plans import plans
    from appliance.run.supervisor import Supervisor

    box = session.box
    settings = box.settings
    claim(box.home)
    logs.setup("supervisor", settings.logging.level)
    _bring_up_to_date(box)
    certificates.ensure(box.home, settings)
    supervisor = Supervisor(box.home, settings, plans(box.home, settings))
    raise click.exceptions.Exit(supervisor.run(on_ready=lambda: _announce(session)))


def _bring_up_to_date(box: Box) -> None:
    """The parent migrates what all share, before any process looks; spools are their owners'."""
    from appliance.core.database import open_sync_engine
    from appliance.core.migrate import upgrade

    engine = open_sync_engine(box.home.control_location(box.settings))
    try:
        upgrade("control", engine)
    finally:
        engine.dispose()


def _announce(session: Session) -> None:
    from appliance.run.sockets import published

    places = published(session.box.home)
    told = ", ".join(f"{name} {address} port {port}" for name, (address, port) in places.items())
    session.out.note(f"the box runs: {told}")
