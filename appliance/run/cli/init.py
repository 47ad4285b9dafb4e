"""`pillarbox init`: make a box: data directory, keys, configuration, databases, certificate.

A second run changes nothing and says so; after a crash it makes what is missing. A master key is never
made beside a database that another key has encrypted.
"""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING, Any, Final

import click

from appliance.core.errors import ConfigError, ConflictError, SecretError, UsageError
from appliance.run.cli.box import Box, exists
from appliance.run.cli.session import Command, Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appliance.core.home import Home
    from appliance.core.settings import Settings
    from appliance.run.cli.output import Part

UNNAMED: Final = "localhost.localdomain"
_OPTION: Final = re.compile(r"^(?=[a-z0-9_]+ = )", re.MULTILINE)
_GENERATED: Final = "# This file is generated from appliance/core/settings.py."
_ADVICE: Final = (
    "# To change an option, take the # before it away; what stays commented is at its default."
)


@click.command("init", cls=Command)
@click.option("--hostname", help="The name receivers see, such as mail.example.com.")
@pass_session
def command(session: Session, *, hostname: str | None) -> None:
    """Make a box in the data directory. Safe to run again."""
    import asyncio

    from appliance.run.initialise import initialise

    home, path = session.home, session.config or session.home.config_file
    home.create()
    _require_its_key(session)
    wrote = not exists(path)
    if wrote:
        _write_config(path, config_text(_checked(hostname or own_name())))
    box = Box(home, session.config, session.environ)
    settings = box.settings
    _require_same(hostname, settings, path)
    made = asyncio.run(initialise(home, settings))
    new = [*(["configuration"] if wrote else []), *made.new]
    records = _records(settings, made.box_domain)
    welcome = asyncio.run(_welcome(home, settings)) if "control database" in made.new else ""
    shown = {
        "home": str(home.path),
        "config": str(path),
        "hostname": settings.box.hostname,
        "new": new,
        "records": records,
        "welcome": welcome,
    }
    session.out.show(shown, _told(str(home.path), settings, new, records, welcome))


def own_name() -> str:
    """The machine's full name, if it knows one that can be looked up by others."""
    name = socket.getfqdn().lower().rstrip(".")
    is_public = "." in name and not name.endswith((".local", ".localdomain", ".arpa", ".internal"))
    return name if is_public else UNNAMED


def _checked(hostname: str) -> str:
    from appliance.core.settings_rules import wrong_domain

    problem = wrong_domain(hostname)
    if problem is None and "." not in hostname:
        problem = f'"{hostname}" is no full name, such as mail.example.org'
    if problem is not None:
        raise UsageError(f"--hostname: {problem}")
    return hostname.lower().rstrip(".")


def config_text(hostname: str) -> str:
    """A configuration that names the box; every other option stands there, commented out.

    An option left at its default follows the default when the program is upgraded.
    """
    from appliance.core.settings_reference import reference_toml

    text = _OPTION.sub("#", reference_toml()).replace(_GENERATED, _ADVICE)
    return text.replace(f'#hostname = "{UNNAMED}"', f'hostname = "{hostname}"', 1)


def _write_config(path: Path, text: str) -> None:
    """The whole file or none; it may come to hold a password, so it is its owner's alone."""
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - takes over the handle
            file.write(text)
            file.flush()
            os.fsync(handle)
        draft.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}: the configuration cannot be written"
        ) from error


def _require_its_key(session: Session) -> None:
    home = session.home
    if exists(home.control_db) and not exists(home.keys_file):
        raise SecretError(
            f"{home.control_db} stands, but its master key {home.keys_file} is gone: restore the key"
            " from its backup, or move the database away to begin anew"
        )


def _require_same(hostname: str | None, settings: Settings, path: Path) -> None:
    if hostname is not None and _checked(hostname) != settings.box.hostname.lower():
        raise ConflictError(
            f"the box is named {settings.box.hostname} already: to rename it, change box.hostname in"
            f" {path} and run `pillarbox init` without --hostname"
        )


async def _welcome(home: Home, settings: Settings) -> str:
    """The first admin's link, for a box that has just been made."""
    from appliance.core.database import open_engine
    from appliance.run.people import welcome_link

    engine = open_engine(home.control_location(settings))
    try:
        return await welcome_link(settings, engine)
    finally:
        await engine.dispose()


def _records(settings: Settings, own: Any) -> list[dict[str, str]]:
    from appliance.run.box_records import box_records
    from appliance.run.directory import box_names

    return [
        {"name": one.name, "type": one.type, "value": one.value, "purpose": one.purpose}
        for one in box_records(box_names(settings), own)
    ]


def _told(
    home: str, settings: Settings, new: list[str], records: list[dict[str, str]], welcome: str
) -> Iterator[Part]:
    if not new:
        yield f"the box in {home} is complete: nothing was changed"
        yield f"its DNS records: pillarbox domain records {settings.box.hostname}"
        return
    from appliance.run.cli.domain import record_lines

    yield f"the box {settings.box.hostname} is made in {home}: {', '.join(new)}"
    if settings.box.hostname == UNNAMED:
        yield "it has no name yet: set box.hostname in pillarbox.toml, then run `pillarbox init` again"
    yield ""
    yield "Publish these records, so that receivers take its mail and bounces find back:"
    yield ""
    yield from record_lines(records)
    yield ""
    yield "Next: pillarbox serve"
    yield "      pillarbox tenant create NAME"
    if welcome:
        from appliance.run.cli.user import welcome_lines

        yield ""
        yield from welcome_lines(welcome)
        yield "`pillarbox user first-admin` makes another one. There is no default password."
    yield "Keep a copy of secrets/master.key where the backups are not."
