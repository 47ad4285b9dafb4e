"""`pillarbox shaping`: how fast each receiver is written to, and what its answers change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.core.errors import ConfigError
from appliance.run.cli.output import counted
from appliance.run.cli.session import Session, group, pass_session

if TYPE_CHECKING:
    from mta.shaping.book import ShapingBook

command = group("shaping", "How fast each receiver is written to, and what its answers change.")


@command.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@pass_session
def check(session: Session, *, file: Path | None) -> None:
    """Tell every mistake in FILE (else the shaping file in force), with its line."""
    from appliance.shaping.file import load_sound

    path = file or _in_force(session)
    try:
        book = load_sound(path)
    except ConfigError as error:
        errors = str(error).splitlines()
        session.out.show({"file": str(path), "ok": False, "errors": errors}, errors)
        raise click.exceptions.Exit(ConfigError.exit_code) from error
    _show_sound(session, path, book)


def _in_force(session: Session) -> Path:
    """The file that the box goes by, as its settings say."""
    from appliance.core.settings_file import load
    from appliance.shaping.file import ShapingFile, places

    config = session.config or session.home.config_file
    settings = load(config if session.config or config.exists() else None, session.environ)
    return ShapingFile(places(settings, session.home)).path


def _show_sound(session: Session, path: Path, book: ShapingBook) -> None:
    named = [provider for provider in book.providers.values() if provider.name]
    samples = sum(len(rule.samples) for rule in book.rules)
    found = {
        "file": str(path),
        "ok": True,
        "errors": [],
        "providers": [provider.name for provider in named],
        "rules": len(book.rules),
        "samples": samples,
    }
    what = (counted(len(named), "provider"), counted(len(book.rules), "rule"))
    heard = f"{counted(samples, 'sample')} heard by the rules they belong to"
    session.out.show(found, [f"{path} is sound: {', '.join(what)}, {heard}"])
