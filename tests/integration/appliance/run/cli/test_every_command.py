"""What holds for every command, found by walking all of them."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from appliance.run.cli import FILES, root
from tests.support.cli import run


def _walk(command: click.Command, path: tuple[str, ...] = ()):
    yield path, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            assert found is not None, name
            yield from _walk(found, (*path, name))


EVERY = list(_walk(root))
LEAVES = [path for path, command in EVERY if not isinstance(command, click.Group)]


def _words(path):
    return " ".join(path) or "pillarbox"


def test_the_names_people_script_against_are_all_there():
    names = {" ".join(path) for path in LEAVES}
    assert names >= {
        *("init", "serve", "lab", "migrate", "send-test", "events", "completion"),
        *("config check", "config show", "notices", "audit"),
        *(f"shaping {verb}" for verb in ("check", "explain", "lift")),
        *(f"blocklist {verb}" for verb in ("list", "check", "check-config")),
        *(f"tenant {verb}" for verb in ("create", "list", "suspend", "resume")),
        *(f"domain {verb}" for verb in ("create", "list", "check", "records", "rotate")),
        "domain import-key",
        *(f"credential {verb}" for verb in ("create", "list", "update", "revoke", "rotate")),
        *(f"egress {verb}" for verb in ("create", "list", "check", "drain", "disable", "enable")),
        *("egress update", "egress delete", "tenant pools"),
        *(f"pool {verb}" for verb in ("list", "set", "add", "remove", "delete")),
        *(f"queue {verb}" for verb in ("list", "show", "retry", "hold", "release", "cancel")),
        *(
            "queue reroute",
            "queue pause",
            "queue resume",
            "messages list",
            "messages show",
            "top",
            "messages resend",
        ),
        *(f"suppression {verb}" for verb in ("list", "add", "remove", "import", "export")),
        *("statistics show", "statistics rebuild"),
        *("spool check", "spool repair", "restore"),
        *(f"backup {verb}" for verb in ("create", "verify", "list", "new-key")),
        *(f"kill-switch {verb}" for verb in ("on", "off", "status")),
        *(f"warmup {verb}" for verb in ("list", "show", "start", "pause", "resume", "skip")),
        "warmup step-back",
        *(f"warmup {verb}" for verb in ("finish", "restart", "history", "eta", "check")),
    }
    assert set(FILES) == {path[0] for path in LEAVES}


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[_words(path) for path, _ in EVERY])
def test_every_command_has_help_and_names_json_in_it(path, command):
    said = run(*path, "--help")
    assert said.code == 0
    assert said.err == ""
    assert "--json" in said.out
    assert command.help, "it says what it does"


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[_words(path) for path, _ in EVERY])
def test_every_option_says_what_it_is_for(path, command):
    silent = [
        option.opts[0]
        for option in command.params
        if isinstance(option, click.Option)
        and not option.help
        and not option.show_default
        and not option.hidden
    ]
    assert silent == []


@pytest.mark.parametrize("path", LEAVES, ids=_words)
def test_every_command_takes_json_behind_its_name(path, tmp_path):
    said = run(*path, "--json", "--home", str(tmp_path), "--no-such-option")
    assert said.code == 2
    assert said.out == ""
    assert "no-such-option" in json.loads(said.err)["error"]


def test_every_group_without_a_command_shows_its_help_and_fails():
    assert run().code == 2
    said = run("queue")
    assert said.code == 2
    assert "cancel" in said.err


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(shell_name):
    assert "_PILLARBOX_COMPLETE" in run("completion", shell_name).out


def test_help_imports_neither_the_database_layer_nor_the_processes():
    program = (
        "import sys; from appliance.run.cli import main; main(['--help']);"
        "print({'sqlalchemy', 'rich', 'aiosmtpd', 'cryptography', 'asyncio'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[-1] == "set()"


def test_completion_of_a_word_knows_the_commands(monkeypatch, capsys):
    monkeypatch.setenv("_PILLARBOX_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "pillarbox kill")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 0
