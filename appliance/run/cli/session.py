"""Session: one call of the command line, and the options that every command takes.

    --json      after any command: the answer as JSON on standard output, errors as JSON on standard error
    --home      the box's data directory; else PILLARBOX_HOME, else ~/.pillarbox
    --config    a configuration file other than HOME/pillarbox.toml

Commands get the Session, ask `session.box` and answer through `session.out`.
"""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from appliance.core.errors import UsageError
from appliance.core.home import Home
from appliance.run.cli.output import Output, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.run.cli.box import Box

DEFAULT_HOME: Final = "~/.pillarbox"


class Session:
    """What was said on the command line, and where to answer."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.out = Output()
        self.home_path = Path(environ.get("PILLARBOX_HOME") or DEFAULT_HOME)
        self.is_home_given = bool(environ.get("PILLARBOX_HOME"))
        self.config: Path | None = None

    @property
    def home(self) -> Home:
        """The data directory, which need not exist."""
        return Home(self.home_path.expanduser().absolute())

    @cached_property
    def box(self) -> Box:
        """The box that lives there. Raises ConfigError when there is none."""
        from appliance.run.cli.box import Box

        box = Box(self.home, self.config, self.environ)
        box.require()
        return box

    def confirm(self, question: str, *, concerned: int, yes: bool) -> None:
        """Ask before something that is hard to take back; a single record needs no question."""
        if yes or concerned <= 1:
            return
        if self.out.as_json or not sys.stdin.isatty():
            raise UsageError(
                f"this concerns {counted(concerned, 'record')}: add --yes, or narrow it down"
            )
        click.confirm(question, abort=True, err=True)


pass_session: Final = click.make_pass_decorator(Session)


class Command(click.Command):
    """A command that takes the options of every command."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += common_options(hidden=True)


class Group(click.Group):
    """A group of commands, in the order in which they were added."""

    command_class = Command

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += common_options(hidden=True)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As written, not by name."""
        return list(self.commands)


def group(name: str, help_text: str) -> Group:
    """A new, empty group."""
    return Group(name, help=help_text)


def common_options(*, hidden: bool) -> list[click.Parameter]:
    """The options of every command. Below the root only --json is in its help."""
    place = click.Path(path_type=Path)
    return [
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_take_json,
            help="Answer in JSON; errors too.",
        ),
        click.Option(
            ["--home"],
            type=place,
            metavar="DIR",
            expose_value=False,
            is_eager=True,
            hidden=hidden,
            callback=_take_home,
            help=f"The box's data directory (or PILLARBOX_HOME; else {DEFAULT_HOME}).",
        ),
        click.Option(
            ["--config"],
            type=place,
            metavar="FILE",
            expose_value=False,
            is_eager=True,
            hidden=hidden,
            callback=_take_config,
            help="Another configuration file than pillarbox.toml in the data directory.",
        ),
    ]


def _session(ctx: click.Context) -> Session:
    session = ctx.find_object(Session)
    assert session is not None, "main() gives one"
    return session


def _take_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's form
    if value:
        _session(ctx).out.as_json = True


def _take_home(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        session = _session(ctx)
        session.home_path, session.is_home_given = value, True


def _take_config(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        _session(ctx).config = value
