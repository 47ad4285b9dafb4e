"""Home: one directory, private, with a place for everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appliance.core.errors import ConfigError
from appliance.core.home import Home

if TYPE_CHECKING:
    from pathlib import Path


def test_every_place_lies_in_the_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    places = {
        home.config_file: "pillarbox.toml",
        home.keys_file: "secrets/master.key",
        home.control_db: "control.db",
        home.spool_db(3): "spool/spool-3.db",
        home.corrupt_dir: "spool/corrupt",
        home.log_dir: "log",
        home.inbound("new"): "inbound/new",
        home.socket("mta-0"): "run/mta-0.sock",
        home.tls_dir: "tls",
    }
    assert {str(path.relative_to(tmp_path)): name for path, name in places.items()} == {
        name: name for name in places.values()
    }


def test_made_directories_are_private_also_when_they_stood_there(tmp_path: Path) -> None:
    home = Home(tmp_path / "box")
    home.run_dir.mkdir(parents=True, mode=0o755)
    (home.run_dir / "kept").touch()
    home.create()
    home.create()
    for directory in home.directories():
        assert directory.stat().st_mode & 0o777 == 0o700, directory
    assert (home.run_dir / "kept").exists()
    assert home.inbound("postmaster").is_dir()


def test_an_unknown_inbound_folder_is_a_mistake_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not an inbound folder"):
        Home(tmp_path).inbound("old")


def test_a_place_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--home or PILLARBOX_HOME"):
        Home(tmp_path / "file" / "box").create()
