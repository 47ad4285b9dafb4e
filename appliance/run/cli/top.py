"""`pillarbox top`: what the box does this moment, drawn anew every second until somebody types q.

On a pipe or a terminal that cannot be redrawn, with --once or --json, it looks once and ends.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from appliance.run.cli.session import Command, Session, pass_session

if TYPE_CHECKING:
    from rich.console import Console

_PIPED_WIDTH: Final = 120


@click.command("top", cls=Command)
@click.option("--once", is_flag=True, help="Look once, print it, and end.")
@click.option(
    "--every",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.2, 3600),
    metavar="SECONDS",
    help="Between two looks.",
)
@pass_session
def command(session: Session, *, once: bool, every: float) -> None:
    """Watch what waits, what goes and what is in the way, live; q ends it."""
    from rich.console import Console

    from appliance.run.cli.top_facts import Gatherer

    gatherer, console = Gatherer(session.box), Console()
    can_redraw = console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()
    if once or session.out.as_json or not can_redraw:
        _look_once(session, gatherer.look(), console)
        return
    from appliance.run.cli.top_live import watch

    watch(gatherer.look, console, every)


def _look_once(session: Session, facts: object, console: Console) -> None:
    from appliance.run.cli.top_facts import Facts
    from appliance.run.cli.top_screen import UNBOUNDED, screen

    assert isinstance(facts, Facts)
    session.out.show(facts, [])
    if session.out.as_json:
        return
    width = console.width if console.is_terminal else _PIPED_WIDTH
    lines = screen(facts, width=width, height=UNBOUNDED, ascii_only=console.options.ascii_only)
    for line in lines:
        if console.is_terminal:
            console.print(line, no_wrap=True, highlight=False)
        else:
            click.echo(line.plain)
