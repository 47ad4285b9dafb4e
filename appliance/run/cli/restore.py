"""`pillarbox restore`: a box from a backup, in an empty data directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.core import clock
from appliance.run.cli.backup import key_options, opened, secret_of
from appliance.run.cli.output import ago, counted
from appliance.run.cli.session import Command, Session, pass_session
from appliance.run.cli.spool import losses_table, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.run.backup.archive import Manifest
    from appliance.run.backup.restore import Restored
    from appliance.run.cli.output import Part


@click.command("restore", cls=Command)
@click.argument("backup", type=click.Path(path_type=Path))
@key_options
@click.option(
    "--hold", is_flag=True, help="Hold everything that waited, until a person lets it go."
)
@pass_session
def command(
    session: Session,
    *,
    backup: Path,
    key_file: Path | None,
    passphrase_file: Path | None,
    hold: bool,
) -> None:
    """Put a box back from a backup, into the data directory (--home), which must be empty.

    What the old box delivered after the backup is sent again, unless it is held: with --hold nothing
    leaves before somebody releases it. Make sure that the old box does not run any more.
    """
    from appliance.run.backup.restore import restore

    secret = secret_of(session, key_file, passphrase_file, is_new=False)
    reader, manifest = opened(backup.expanduser().absolute(), secret)
    done = restore(reader, manifest, session.home, hold=hold, progress=told(session))
    shown = {
        "home": str(session.home.path),
        "created_at": manifest.created_at,
        "files": done.files,
        "messages": done.messages,
        "waiting": done.waiting,
        "ended": done.ended,
        "held": done.held,
        "losses": done.losses,
        "left_out": manifest.left_out,
    }
    session.out.show(shown, _words(session, manifest, done))


def _words(session: Session, manifest: Manifest, done: Restored) -> Iterator[Part]:
    age = ago(manifest.created_at, clock.now_ms())
    yield f"the box of {age} is back in {session.home.path}: {counted(done.files, 'file')}"
    yield f"{counted(done.waiting, 'recipient')} wait in {counted(done.messages, 'message')}"
    if done.ended:
        yield f"{counted(done.ended, 'recipient')} had reached their end by the log of the backup"
    if done.losses:
        yield f"{counted(len(done.losses), 'message')} of the log not in the backup:"
        yield losses_table(done.losses)
    for name in manifest.left_out:
        yield f"the backup does not have {name}: put it back by hand, unless it was damaged"
    if done.held:
        yield "all of it is held: look at it with `pillarbox queue list --status held`, then release or cancel"
    else:
        yield "it is sent when the box starts; what the old box delivered after the backup is sent again"
    yield "Make sure that the old box does not run any more. Next: pillarbox serve"
