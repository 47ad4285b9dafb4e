"""`pillarbox config`: whether a configuration is sound, and what is in force."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.core.errors import ConfigError
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from appliance.core.settings import Settings

command = group("config", "Check and show the configuration.")


@command.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@pass_session
def check(session: Session, *, file: Path | None) -> None:
    """Tell every mistake in FILE (else the box's own), the environment and the shaping file, with its line; and hints."""
    from appliance.core.settings_file import load
    from appliance.shaping.file import ShapingFile, places

    path = file or session.config or session.home.config_file
    errors: list[str] = []
    hints: list[str] = []
    try:
        settings = load(path, session.environ)
        ShapingFile(places(settings, session.home)).load()
        hints = _hints(settings)
    except ConfigError as error:
        errors = str(error).splitlines()
    session.out.show(
        {"file": str(path), "ok": not errors, "errors": errors, "hints": hints},
        [*errors, *([] if errors else [f"{path} is sound"]), *(f"hint: {hint}" for hint in hints)],
    )
    if errors:
        raise click.exceptions.Exit(ConfigError.exit_code)


@command.command()
@pass_session
def show(session: Session) -> None:
    """Show every option as it is in force: file, environment, default. Secrets are hidden."""
    from appliance.core.settings_file import load
    from appliance.core.settings_reference import to_toml

    path = session.config or session.home.config_file
    settings = load(path if session.config or path.exists() else None, session.environ)
    session.out.show(_tables(settings), to_toml(settings).splitlines())


def _hints(settings: Settings) -> list[str]:
    from appliance.core.dns import Resolver
    from appliance.core.settings_hints import hints

    resolver = Resolver(settings.dns)
    servers = resolver.servers
    return hints(settings, servers=servers, is_believed=any(map(resolver.believes, servers)))


def _tables(settings: Settings) -> dict[str, Any]:
    """The same as nested tables; what is no plain value is shown as the file writes it."""
    import msgspec

    from appliance.core.settings_options import options
    from appliance.core.settings_reference import shown, value_of

    tree: dict[str, Any] = {}
    for name, option in options().items():
        *tables, last = name.split(".")
        table = tree
        for part in tables:
            table = table.setdefault(part, {})
        table[last] = msgspec.to_builtins(shown(option, value_of(settings, name)))
    return tree
