"""`pillarbox backup`: the whole box in one sealed folder, made while it runs, and whether it can be read.

pillarbox backup DIR        the same as `backup create DIR`
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from appliance.core import clock
from appliance.core.errors import PillarboxError, UsageError
from appliance.run.cli.output import Table, counted, when
from appliance.run.cli.session import Command, Group, Session, pass_session
from appliance.run.cli.spool import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.run.backup.archive import Manifest, Reader
    from appliance.run.backup.keys import Secret
    from appliance.run.backup.verify import Verified
    from appliance.run.cli.output import Part

F = TypeVar("F", bound="Callable[..., Any]")
_PLACE: Final = click.Path(path_type=Path)


class _Backup(Group):
    """A folder in the place of a command means: make a backup there."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant."""
        if args and args[0] not in self.commands:
            args = ["create", *args]
        return super().resolve_command(ctx, args)


command: Final = _Backup("backup", help="Back the box up while it runs; look at backups.")


def key_options(wanted: F) -> F:
    """How a backup is sealed."""
    for option in (
        click.option("--passphrase-file", type=_PLACE, help="A file that holds the passphrase."),
        click.option("--key-file", type=_PLACE, help="A key file; else that of [backup] key_file."),
    ):
        wanted = option(wanted)
    return wanted


@command.command("create", cls=Command)
@click.argument("directory", metavar="DIR", type=_PLACE)
@key_options
@click.option("--no-verify", is_flag=True, help="Do not read it back.")
@pass_session
def create(
    session: Session,
    *,
    directory: Path,
    key_file: Path | None,
    passphrase_file: Path | None,
    no_verify: bool,
) -> None:
    """Make a backup in a new folder within DIR, sealed, and read it back. The box may run.

    In it: records, queue, event log, configuration, keys, certificate, notices. Exit code 1 when what was
    read back is not sound.
    """
    from appliance.run.backup.make import make

    box = session.box
    settings = box.settings
    secret = secret_of(session, key_file, passphrase_file, is_new=True)
    target = (directory.expanduser().absolute(), secret)
    made = make(box.home, box.config_file, settings, target, told(session))
    found = None if no_verify else _verified(session, made.path, secret)
    shown = {
        "path": str(made.path),
        **_manifest_table(made.manifest),
        "verified": None if found is None else not found.wrong,
        "wrong": found.wrong if found else [],
    }
    session.out.show(shown, _made_words(made.path, made.manifest, found))
    if found is not None and found.wrong:
        raise click.exceptions.Exit(1)


@command.command("verify", cls=Command)
@click.argument("backup", type=_PLACE)
@key_options
@pass_session
def verify_(
    session: Session, *, backup: Path, key_file: Path | None, passphrase_file: Path | None
) -> None:
    """Open every file of a backup and look at every database and message in it. Needs no box.

    Exit code 1 when something is wrong.
    """
    secret = secret_of(session, key_file, passphrase_file, is_new=False)
    found = _verified(session, backup.expanduser().absolute(), secret)
    shown = {
        "sound": not found.wrong,
        "files": found.files,
        "octets": found.octets,
        "messages": found.messages,
        "wrong": found.wrong,
    }
    session.out.show(shown, _verified_words(found))
    if found.wrong:
        raise click.exceptions.Exit(1)


@command.command("list", cls=Command)
@click.argument("directory", metavar="DIR", type=_PLACE)
@pass_session
def list_(session: Session, *, directory: Path) -> None:
    """Show the backups in DIR, newest first. Needs no key."""
    from appliance.run.backup.archive import Reader, backups_in

    shown: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for path in backups_in(directory)[::-1]:
        try:
            header = Reader(path).header
        except PillarboxError as error:  # the others are worth knowing all the more
            shown.append({"path": str(path), "error": str(error)})
            rows.append((str(path), "cannot be read", str(error), ""))
            continue
        at, host, kind = header.created_at, header.hostname, header.kdf.kind
        shown.append({"path": str(path), "at": at, "hostname": host, "sealed_with": kind})
        rows.append((str(path), when(at), host, kind))
    session.out.show(
        shown, [Table(("BACKUP", "MADE", "BOX", "SEALED WITH"), rows, empty="no backup is there")]
    )


@command.command("new-key", cls=Command)
@click.argument("file", type=_PLACE)
@pass_session
def new_key(session: Session, *, file: Path) -> None:
    """Make a key file. Keep a copy of it where the backups are not: nothing opens them without it."""
    from appliance.run.backup.keys import make_key_file

    path = file.expanduser().absolute()
    make_key_file(path)
    session.out.show(
        {"key_file": str(path)}, [f"the key is in {path}: keep a copy of it elsewhere"]
    )


def secret_of(
    session: Session, key_file: Path | None, passphrase_file: Path | None, *, is_new: bool
) -> Secret:
    """What was given to seal with; a person is asked for a passphrase."""
    from appliance.run.backup.keys import of_key_file, of_passphrase

    if key_file is not None and passphrase_file is not None:
        raise UsageError("give --key-file or --passphrase-file, not both")
    if passphrase_file is not None:
        try:
            return of_passphrase(passphrase_file.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{passphrase_file}: {error.strerror}") from error
    configured = _configured(session)
    if key_file is not None or configured is not None:
        return of_key_file(key_file or configured or Path())
    if session.out.as_json or not sys.stdin.isatty():
        raise UsageError("say what seals the backup: --key-file FILE or --passphrase-file FILE")
    words = click.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True)
    return of_passphrase(words)


def _configured(session: Session) -> Path | None:
    """The key file of the box, if there is a box here that names one."""
    from appliance.core.settings_file import load

    path = session.config or session.home.config_file
    if not path.is_file():
        return None
    name = load(path, session.environ).backup.key_file
    return session.home.path / name if name else None


def _verified(session: Session, path: Path, secret: Secret) -> Verified:
    from appliance.run.backup.verify import verify

    reader, manifest = opened(path, secret)
    return verify(reader, manifest, told(session))


def opened(path: Path, secret: Secret) -> tuple[Reader, Manifest]:
    """A backup, with its key."""
    from appliance.run.backup.archive import Reader

    reader = Reader(path)
    return reader, reader.open(secret.key(reader.header.kdf))


def _manifest_table(manifest: Manifest) -> dict[str, Any]:
    return {
        "created_at": manifest.created_at,
        "ended_at": manifest.ended_at,
        "files": len(manifest.files),
        "octets": sum(one.size for one in manifest.files),
        "waiting": manifest.waiting,
        "left_out": manifest.left_out,
    }


def _made_words(path: Path, manifest: Manifest, found: Verified | None) -> Iterator[Part]:
    octets = sum(one.size for one in manifest.files)
    seconds = (manifest.ended_at - manifest.created_at) / clock.SECOND
    yield (
        f"{path}: {counted(len(manifest.files), 'file')}, {octets:,} octets,"
        f" {counted(manifest.waiting, 'recipient')} waiting, {seconds:.1f} s"
    )
    for name in manifest.left_out:
        yield f"  not in it: {name}"
    if found is not None:
        yield from _verified_words(found)


def _verified_words(found: Verified) -> Iterator[Part]:
    if not found.wrong:
        yield f"sound: {counted(found.files, 'file')}, {counted(found.messages, 'message')} looked at"
        return
    yield "NOT SOUND: make another one"
    for words in found.wrong:
        yield f"  {words}"
