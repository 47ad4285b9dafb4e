"""Home: where the box keeps everything, as one value.

    HOME/pillarbox.toml            configuration           HOME/run/<process>.sock   control sockets
    HOME/secrets/master.key        master keys             HOME/tls/                 self-made certificate
    HOME/control.db                tenants, credentials, suppressions, jobs
    HOME/spool/spool-N.db          one queue shard each    HOME/spool/corrupt/       unreadable, never deleted
    HOME/exports/                  CSV files, a week   HOME/statistics.db        counts
    HOME/log/                      event history           HOME/inbound/{new,done,unreadable,postmaster}/
    HOME/statistics.db             its counts

`pillarbox backup` backs it up while the box runs; of a stopped box a copy of this directory does as well. Nothing of the box is written anywhere else.
All of it is for the box's own user only: directories are 0700, also when they stood there before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.core.settings import Settings

INBOUND_FOLDERS: Final = ("new", "done", "unreadable", "postmaster")
_PRIVATE: Final = 0o700


@dataclass(frozen=True, slots=True)
class Home:
    """The layout of one box's data directory."""

    path: Path

    @property
    def config_file(self) -> Path:
        """The configuration, TOML."""
        return self.path / "pillarbox.toml"

    @property
    def keys_file(self) -> Path:
        """The master keys, mode 0600; without them no stored secret can be read."""
        return self.path / "secrets" / "master.key"

    @property
    def control_db(self) -> Path:
        """Configuration records, people, suppressions and jobs."""
        return self.path / "control.db"

    def statistics_location(self, settings: Settings) -> Path | str:
        """Where the counts of the event log are: this home's file, or the PostgreSQL database."""
        return settings.database.url or self.path / "statistics.db"

    def control_location(self, settings: Settings) -> Path | str:
        """Where the control records are: this home's file, or the PostgreSQL database."""
        return settings.database.url or self.control_db

    @property
    def spool_dir(self) -> Path:
        """The queue shards."""
        return self.path / "spool"

    def spool_db(self, shard: int) -> Path:
        """The shard's store, written by its one owner."""
        return self.spool_dir / f"spool-{shard}.db"

    @property
    def corrupt_dir(self) -> Path:
        """What could not be read; kept for a person."""
        return self.spool_dir / "corrupt"

    @property
    def log_dir(self) -> Path:
        """The event history, one file a day."""
        return self.path / "log"

    @property
    def inbound_dir(self) -> Path:
        """Notices that came in."""
        return self.path / "inbound"

    def inbound(self, folder: str) -> Path:
        """One of INBOUND_FOLDERS: new notices, read ones, unreadable ones, mail to postmaster."""
        if folder not in INBOUND_FOLDERS:
            raise ValueError(f"{folder!r} is not an inbound folder: {', '.join(INBOUND_FOLDERS)}")
        return self.inbound_dir / folder

    @property
    def exports_dir(self) -> Path:
        """What people had written out, for a week."""
        return self.path / "exports"

    @property
    def run_dir(self) -> Path:
        """The control sockets of the running processes."""
        return self.path / "run"

    def socket(self, process_name: str) -> Path:
        """Where the process answers the others."""
        return self.run_dir / f"{process_name}.sock"

    @property
    def tls_dir(self) -> Path:
        """The certificate that init makes."""
        return self.path / "tls"

    def directories(self) -> tuple[Path, ...]:
        """Every directory, parents first."""
        return (
            self.path,
            self.keys_file.parent,
            self.spool_dir,
            self.corrupt_dir,
            self.log_dir,
            self.inbound_dir,
            *(self.inbound(folder) for folder in INBOUND_FOLDERS),
            self.exports_dir,
            self.run_dir,
            self.tls_dir,
        )

    def create(self) -> None:
        """Make the directories, private; those that stand already keep their content."""
        try:
            for directory in self.directories():
                directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
                directory.chmod(_PRIVATE)
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: {error.strerror}: the box's data directory cannot be made; "
                "choose a place this user may write with --home or PILLARBOX_HOME"
            ) from error
