"""The command line, `pillarbox`: what an operator does in a shell, and what people script against.

    pillarbox [--home DIR] [--config FILE] [--json] GROUP COMMAND ...

Every command takes --json, also behind its name. Exit codes: 0 done; 1 done, but something is wrong
with what was looked at (a DNS record, rows of an import); 2 the command line itself is wrong; 64-78
as appliance/core/errors.py says, 69 when the box does not run; 130 stopped by Ctrl-C or a "no".

A command's file is imported when it is called, and imports what it needs when it runs: `--help` and
completion answer in a tenth of a second, where the database layer alone takes seven times that.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from appliance.core.errors import PillarboxError
from appliance.core.settings import environment
from appliance.run.cli.session import Session, common_options

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED: Final = 130  # 128 + SIGINT, as shells say it

FILES: Final = {
    "init": "init",
    "serve": "serve",
    "lab": "lab",
    "config": "config",
    "tenant": "tenant",
    "user": "user",
    "domain": "domain",
    "credential": "credential",
    "key": "key",
    "egress": "egress",
    "pool": "pool",
    "warmup": "warmup",
    "queue": "queue",
    "top": "top",
    "messages": "messages",
    "events": "events",
    "statistics": "statistics",
    "webhook": "webhook",
    "shaping": "shaping",
    "suppression": "suppression",
    "blocklist": "blocklist",
    "notices": "notices",
    "audit": "audit",
    "job": "job",
    "kill-switch": "kill_switch",
    "spool": "spool",
    "backup": "backup",
    "restore": "restore",
    "send-test": "send_test",
    "migrate": "migrate",
    "completion": "completion",
}
"""Commands in the order of the help, each with the file whose `command` it is."""


class _Root(click.Group):
    """Finds commands in their files when somebody wants them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(FILES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        file = FILES.get(cmd_name)
        if file is None:
            return None
        found = import_module(f"appliance.run.cli.{file}").command
        assert isinstance(found, click.Command), f"{file}.py has no command"
        return found


root: Final = _Root(
    "pillarbox",
    params=common_options(hidden=False),
    context_settings={"max_content_width": 100},
    help="A self-hosted mail transfer appliance: accept, sign, queue, deliver, and learn from the bounces.",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    session = Session(environment())
    try:
        return _exit_code(_run(arguments, session))
    except click.Abort:
        session.out.error("stopped")
        return INTERRUPTED
    except click.ClickException as error:
        session.out.as_json = "--json" in arguments
        _complain(error, session)
        return error.exit_code
    except PillarboxError as error:
        session.out.error(str(error))
        return error.exit_code


def _run(arguments: list[str], session: Session) -> Any:
    return root.main(arguments, prog_name="pillarbox", standalone_mode=False, obj=session)


def _exit_code(result: object) -> int:
    """Commands return nothing; click answers with the code when one ends early."""
    return result if isinstance(result, int) else 0


def _complain(error: click.ClickException, session: Session) -> None:
    if session.out.as_json:
        session.out.error(error.format_message())
    else:
        error.show()
