"""Every file of configuration or rules is refused in words, however wrong its TOML is; found by fuzzing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appliance.blocklists.catalogue import load_lists
from appliance.core.errors import ConfigError
from appliance.core.settings_file import load
from mta.outcome.rules import load_rules
from mta.shaping.book import load_book
from mta.warmup.schedule import load_schedule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READERS = [lambda path: load(path, {}), load_book, load_schedule, load_rules, load_lists]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"a = 1\nb = " + b"9" * 5000, r"mine\.toml:2: a number has too many digits"),
        (b"a = " + b"[" * 5000, "nested too deep"),
        (b"a = " + b"{a=" * 5000, "nested too deep"),
        (b"a = " + b"[" * 480 + b"]" * 480, "nested too deep"),
        (b"a = 1\n\nb = '\x1f'\n", r"mine\.toml:3: not TOML: "),
        (b"a = 1\n[b", r"mine\.toml:2: not TOML: "),
        (b"a = 1\nb = '\xff'\n", r"mine\.toml:2: not UTF-8"),
        (b"# " + b"x" * (1 << 20), "larger than 1048576 octets"),
    ],
)
def test_what_is_not_toml_is_refused_with_its_line(
    tmp_path: Path, raw: bytes, words: str, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=words):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_not_there_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: the .* cannot be read: No such file"):
        read(tmp_path / "gone.toml")


def test_a_table_that_stands_only_in_the_names_of_others_has_a_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('description = "x"\nsource = "x"\n\n[percent.of]\nother = [100]\n')
    with pytest.raises(ConfigError, match=r"mine\.toml:4: percent: "):
        load_schedule(path)
