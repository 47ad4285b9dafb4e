"""The shaping file in force changes while the box runs; a broken one changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.core.errors import ConfigError
from appliance.core.home import Home
from appliance.core.settings import Settings, Shaping
from appliance.shaping.file import ShapingFile, load_sound, places
from mta.shaping.book import SHIPPED, shipped_book

TEXT = """\
[default]
connections = {connections}
messages_per_connection = 100

[[rule]]
id = "busy"
text = ["{phrase}"]
then = [{{ do = "slow", rate = "1/min", for = "90 min" }}]
samples = ["421 Too busy"]
"""


def write(path: Path, *, connections: int = 10, phrase: str = "too busy") -> None:
    path.write_text(TEXT.format(connections=connections, phrase=phrase))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "shaping.toml"
    write(path)
    return path


@pytest.fixture
def file(own: Path) -> ShapingFile:
    file = ShapingFile([own, SHIPPED])
    assert file.load().providers[""].limits.connections == 10
    return file


def connections_of(file: ShapingFile) -> int | None:
    book = file.changed()
    return None if book is None else book.providers[""].limits.connections


def test_the_homes_own_file_goes_before_the_shipped_one(tmp_path):
    home = Home(tmp_path)
    file = ShapingFile(places(Settings(), home))
    assert file.path == SHIPPED
    assert file.load().source == str(SHIPPED)
    write(tmp_path / "shaping.toml")
    assert file.path == tmp_path / "shaping.toml"
    assert connections_of(file) == 10


def test_a_file_that_the_settings_name_is_the_only_choice(tmp_path):
    write(tmp_path / "shaping.toml")
    settings = Settings(shaping=Shaping(file="mine/limits.toml"))
    file = ShapingFile(places(settings, Home(tmp_path)))
    assert file.path == tmp_path / "mine" / "limits.toml"
    with pytest.raises(ConfigError, match=r"limits\.toml: the shaping rules cannot be read"):
        file.load()
    absolute = Settings(shaping=Shaping(file=str(SHIPPED)))
    assert places(absolute, Home(tmp_path)) == (SHIPPED,)


def test_what_did_not_change_is_not_read_again(file):
    assert [file.changed(), file.changed()] == [None, None]


def test_a_change_is_taken_up_once(file, own):
    write(own, connections=777)
    assert connections_of(file) == 777
    assert file.changed() is None


def test_a_file_put_in_its_place_is_noticed_though_size_and_time_are_the_same(file, own):
    before = own.stat()
    other = own.with_name("new.toml")
    write(other, connections=11)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(own)
    after = own.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert connections_of(file) == 11


def test_a_removed_file_gives_way_to_the_shipped_one_and_comes_back(file, own):
    own.unlink()
    book = file.changed()
    assert book is not None
    assert book.source == str(SHIPPED)
    write(own, connections=12)
    assert connections_of(file) == 12


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"connections": 0}, r"shaping\.toml:2: \[default\]: connections"),
        ({"phrase": "too bussy"}, r"shaping\.toml:5: rule 'busy': its sample .* matches no rule"),
    ],
)
def test_a_fault_is_refused_in_words_and_told_once(file, own, caplog, fault, words):
    write(own, **fault)
    assert file.changed() is None
    assert file.changed() is None
    assert len(caplog.records) == 1
    assert caplog.records[0].levelname == "WARNING"
    assert "hold on" in caplog.text
    with pytest.raises(ConfigError, match=words):
        load_sound(own)
    caplog.clear()
    write(own, connections=13)
    assert connections_of(file) == 13
    assert [record.levelname for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_file_that_only_the_settings_name_may_vanish_for_a_while(own, caplog):
    file = ShapingFile([own])
    file.load()
    own.unlink()
    assert [file.changed(), file.changed()] == [None, None]
    assert len(caplog.records) == 1
    write(own, connections=14)
    assert connections_of(file) == 14


def test_a_process_that_comes_back_to_a_broken_file_runs_on_the_shipped_rules(own, caplog):
    write(own, connections=0)
    file = ShapingFile([own, SHIPPED])
    assert file.load_or_shipped() is shipped_book()
    assert "the rules that come with the box hold" in caplog.text
    assert file.changed() is None
    write(own, connections=15)
    assert connections_of(file) == 15


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"# " + b"x" * (1 << 20), "larger than 1048576 octets"),
    ],
)
def test_what_is_no_text_of_a_sane_size_is_refused(own, content, words):
    own.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        load_sound(own)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_sound(own.parent)


def test_lines_may_end_as_on_windows(own):
    own.write_bytes(own.read_bytes().replace(b"\n", b"\r\n"))
    assert load_sound(own).rules[0].line == 5
