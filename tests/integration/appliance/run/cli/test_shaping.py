"""pillarbox shaping check, and config check where the shaping file is at fault."""

from __future__ import annotations

from mta.shaping.book import SHIPPED

WRONG = """\
[default]
connections = 10
messages_per_connection = 100

[[rule]]
id = "deaf"
text = ["no such words"]
then = [{ do = "suspend", for = "2 h" }]
samples = ["421 something else"]
"""


def test_the_shipped_file_is_sound_and_it_says_what_was_looked_at(shell):
    said = shell("shaping", "check").out
    assert f"{SHIPPED} is sound: 12 providers, " in said
    found = shell.json("shaping", "check")
    assert (found["file"], found["ok"], found["errors"]) == (str(SHIPPED), True, [])
    assert "google" in found["providers"]
    assert found["samples"] > found["rules"] > 30


def test_a_file_is_checked_before_it_is_put_in_its_place(shell, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(WRONG)
    said = shell("shaping", "check", str(mine), expect=78)
    assert said.out == (f"{mine}:5: rule 'deaf': its sample '421 something else' matches no rule\n")
    mine.write_text(WRONG.replace("connections = 10", "connections = 0").replace("2 h", "long"))
    found = shell.json("shaping", "check", str(mine), expect=78)
    assert found["ok"] is False
    assert [error.split(": ")[0] for error in found["errors"]] == [f"{mine}:2"]
    assert shell.json("shaping", "check")["ok"] is True


def test_the_file_in_force_is_the_homes_own_or_the_one_that_the_settings_name(shell, tmp_path):
    own = shell.home.path / "shaping.toml"
    own.write_text(WRONG)
    assert shell.json("shaping", "check", expect=78)["file"] == str(own)
    other = tmp_path / "other.toml"
    other.write_text(WRONG.replace("no such words", "something else"))
    config = tmp_path / "config.toml"
    config.write_text(f'[shaping]\nfile = "{other}"\n')
    found = shell.json("shaping", "check", "--config", str(config))
    assert (found["file"], found["rules"], found["samples"]) == (str(other), 1, 1)


def test_config_check_looks_into_the_shaping_file_too(shell):
    own = shell.home.path / "shaping.toml"
    own.write_text(WRONG)
    said = shell("config", "check", expect=78).out
    assert said.startswith(f"{own}:5: rule 'deaf': ")
    own.unlink()
    shell("config", "check")


def test_without_a_box_the_shipped_file_can_be_checked(tmp_path):
    from tests.support.cli import run

    said = run("--home", str(tmp_path / "none"), "shaping", "check")
    assert said.code == 0, said
    assert "is sound" in said.out
