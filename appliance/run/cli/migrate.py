"""`pillarbox migrate`: brings every store of the box to the revision this program knows.

`serve` does the same at each start; this is for those who want to see it done before. Refused while the
box runs with something to do, because running processes know the old form only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.run.cli.output import Table
from appliance.run.cli.session import Command, Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.core.database import Location
    from appliance.run.cli.box import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """One store, with its revision now and the one to come."""

    name: str
    kind: str
    location: Location
    before: str
    after: str

    @property
    def is_behind(self) -> bool:
        """Whether there is something to do."""
        return self.before != self.after


@click.command("migrate", cls=Command)
@pass_session
def command(session: Session) -> None:
    """Bring all stores up to date, and tell their revisions before and after."""
    from appliance.run.one_box import stopped

    found = list(_stores(session.box))
    behind = [store for store in found if store.is_behind]
    if behind:
        with stopped(session.box.home):
            for store in behind:
                _bring_up_to_date(session.box, store)
    rows = [
        {"store": store.name, "before": store.before or None, "after": store.after}
        for store in found
    ]
    table = Table(
        ("STORE", "BEFORE", "AFTER"),
        [(store.name, store.before or "-", store.after) for store in found],
        empty="there is no store yet",
    )
    told = f"{len(behind)} brought up to date" if behind else "all are up to date"
    session.out.show(rows, [table, told])


def _bring_up_to_date(box: Box, store: Store) -> None:
    from appliance.core.database import open_sync_engine
    from appliance.core.migrate import upgrade
    from appliance.run.spool_care import held
    from appliance.run.spools import prepare, shard_of_file

    shard = shard_of_file(store.location) if isinstance(store.location, Path) else None
    if shard is not None:
        with held(box.home, shard):
            prepare(box.home, box.settings, shard)
        return
    engine = open_sync_engine(store.location)
    try:
        upgrade(store.kind, engine)
    finally:
        engine.dispose()


def _stores(box: Box) -> Iterator[Store]:
    url = box.settings.database.url
    if url:
        yield from (_store(kind, kind, url) for kind in ("control", "spool", "log"))
        return
    home = box.home
    yield _store(home.control_db.name, "control", home.control_db)
    for kind, folder in (("spool", home.spool_dir), ("log", home.log_dir)):
        for path in sorted(folder.glob("*.db")):
            yield _store(str(path.relative_to(home.path)), kind, path)


def _store(name: str, kind: str, location: Location) -> Store:
    from appliance.core.database import open_sync_engine, translated
    from appliance.core.migrate import head, version

    before = ""
    if not isinstance(location, Path) or location.exists():
        engine = open_sync_engine(location, readonly=True)
        try:
            with translated(), engine.connect() as connection:
                before = version(kind, connection)
        finally:
            engine.dispose()
    return Store(name=name, kind=kind, location=location, before=before, after=head(kind))
