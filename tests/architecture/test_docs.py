"""README and docs name only files, commands and options that exist."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from appliance.core.settings_options import options
from appliance.run.cli import root

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TOP = {path.name for path in ROOT.iterdir()}
# Places of a running box, and of Debian's machines: not of this repository.
ELSEWHERE = ("run/", "secrets/", "spool/", "log/", "inbound/", "/", "~", "http", "config.d/")


def spans(page: Path) -> list[str]:
    """What stands in backticks, outside of code blocks."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return re.findall(r"`([^`\n]+)`", prose)


def paths_in(words: list[str]) -> list[str]:
    """Spans that name a file or folder of the repository."""
    found = []
    for word in words:
        is_path = re.fullmatch(r"[\w.*{},-]+(/[\w.*{},-]+)*/?", word) is not None
        first = word.split("/")[0]
        if is_path and not word.startswith(ELSEWHERE) and ("/" in word or first in TOP):
            found.append(word)
    return found


def commands_in(text: str) -> list[list[str]]:
    """Words behind `pillarbox`, in prose and in code blocks, up to the first option or argument."""
    found = []
    for line in re.findall(r"(?:^\s+|`|/bin/)pillarbox ([^`\n#|;]+)", text, re.MULTILINE):
        words = []
        for word in re.sub(r"--home \S+ ", "", line).split():
            if not re.fullmatch(r"[a-z][a-z-]*", word):
                break
            words.append(word)
        if words:
            found.append(words)
    return found


def resolve(words: list[str]) -> str:
    """The first word that is no command; "" when all are commands or arguments of one."""
    command: click.Command = root
    context = click.Context(command)
    for word in words:
        if not isinstance(command, click.Group):
            return ""
        found = command.get_command(context, word)
        if found is None:
            return word
        command, context = found, click.Context(found, parent=context)
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_that_a_page_names_exist(page):
    missing = [name for name in paths_in(spans(page)) if not any(ROOT.glob(name.rstrip("/")))]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert [t for t in targets if not (page.parent / t).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_a_page_names_exist(page):
    wrong = [words for words in commands_in(page.read_text()) if resolve(words)]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_targets_of_make_that_a_page_names_exist(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^ +)make ([a-z]+)", page.read_text(), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_that_a_page_names_exist(page):
    known = set(options())
    tables = {name.split(".")[0] for name in known}
    named = [
        word
        for word in spans(page)
        if re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", word) and word.split(".")[0] in tables
    ]
    is_known = [any(k == word or k.startswith(word + ".") for k in known) for word in named]
    assert [word for word, ok in zip(named, is_known, strict=True) if not ok] == []


def test_the_checks_see_what_they_look_for():
    assert paths_in(["mta/nothing.py", "README.md", "spool/spool-0.db", "a b", "events"]) == [
        "mta/nothing.py",
        "README.md",
    ]
    assert commands_in("    pillarbox queue list --json\nsee `pillarbox nonsense x`") == [
        ["queue", "list"],
        ["nonsense", "x"],
    ]
    assert resolve(["queue", "list"]) == ""
    assert resolve(["nonsense", "x"]) == "nonsense"
    assert resolve(["queue", "nonsense"]) == "nonsense"
