"""Homes for tests: as `init` makes them, but keys and tables are made once and copied, which is ten times as fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.run.initialise import Made, initialise

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.core.home import Home
    from appliance.core.settings import Settings

_FIRST: dict[tuple[str, str], bytes] = {}
"""What `init` made for the first home of this process, by host name and file."""


async def initialised(home: Home, settings: Settings) -> Made:
    """Master keys and an empty control.db with the box's own signing keys; PostgreSQL's is made anew."""
    files = [] if settings.database.url else [home.keys_file, home.control_db]
    home.create()
    for file in files:
        if content := _FIRST.get(_name(settings, file)):
            file.touch(mode=0o600)
            file.write_bytes(content)
    made = await initialise(home, settings)
    for file in files:
        _FIRST.setdefault(_name(settings, file), file.read_bytes())
    return made


def _name(settings: Settings, file: Path) -> tuple[str, str]:
    return settings.box.hostname, file.name
