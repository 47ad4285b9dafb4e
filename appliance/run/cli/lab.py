"""`pillarbox lab`: the whole box on loopback, with a small world to send to."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from appliance.core.errors import ConflictError
from appliance.core.home import Home
from appliance.run.cli.box import exists
from appliance.run.cli.session import Command, Session, pass_session

LAB_HOME: Final = "~/.pillarbox-lab"


@click.command("lab", cls=Command)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@pass_session
def command(session: Session, *, quiet: bool) -> None:
    """Start a laboratory: the box, DNS and receivers on loopback; Ctrl-C stops it.

    Its data directory is ~/.pillarbox-lab unless --home or PILLARBOX_HOME names another: its
    configuration is written anew at each start, so that it is never a real box's.
    """
    from appliance.run.lab import run_lab

    home = session.home if session.is_home_given else Home(Path(LAB_HOME).expanduser())
    _require_no_real_box(session, home)
    raise click.exceptions.Exit(run_lab(home.path, quiet=quiet or session.out.as_json))


def _require_no_real_box(session: Session, home: Home) -> None:
    from appliance.core.settings_file import load
    from appliance.run.lab import HOSTNAME

    if not exists(home.config_file):
        return
    hostname = load(home.config_file, session.environ).box.hostname
    if hostname != HOSTNAME:
        raise ConflictError(
            f"{home.path} is the home of the box {hostname}, and the laboratory would overwrite its"
            " configuration: name another directory with --home"
        )
