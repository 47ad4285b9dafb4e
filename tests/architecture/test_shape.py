"""Files and functions stay small, files say what they are, and only one place catches everything."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSES = ("appliance", "mta", "admin_ui")
SOURCES = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))
MAX_FILE, HABIT, MAX_FUNCTION = 500, 300, 60
CATCH_ALL = Path("appliance/core/tasks.py")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> list[tuple[str, int]]:
    """Name and lines of every function, decorators not counted."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return [(node.name, node.end_lineno - node.lineno + 1) for node in found]


def catches_everything(tree: ast.AST) -> list[int]:
    """Lines of `except:` and `except Exception`, alone or in a tuple; BaseException may be re-raised."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {getattr(each, "id", "") for each in caught if each is not None}
            bare = node.type is None
            raises = any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(node))
            if bare or "Exception" in names or ("BaseException" in names and not raises):
                lines.append(node.lineno)
    return lines


def test_there_are_sources_to_look_at():
    assert len(SOURCES) > 100


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in SOURCES}


def test_a_file_says_what_it_is(trees):
    assert [name_of(path) for path, tree in trees.items() if not ast.get_docstring(tree)] == []


def test_functions_are_short(trees):
    long = [
        (name_of(path), *found)
        for path, tree in trees.items()
        if "migrations" not in path.parts  # a migration is a list of tables
        for found in functions(tree)
        if found[1] > MAX_FUNCTION
    ]
    assert long == []


def test_only_one_file_catches_everything(trees):
    found = {path.relative_to(ROOT): catches_everything(tree) for path, tree in trees.items()}
    assert [path for path, lines in found.items() if lines] == [CATCH_ALL]


def test_no_file_is_too_long():
    lengths = {name_of(path): path.read_text().count("\n") for path in SOURCES}
    long = sorted(((n, name) for name, n in lengths.items() if n > HABIT), reverse=True)
    print("\nfiles of over", HABIT, "lines:", *(f"\n{n:5} {name}" for n, name in long))
    assert [each for each in long if each[0] > MAX_FILE] == []


def test_the_checks_see_what_they_look_for():
    long = "def f():\n" + "    x = 1\n" * 60
    assert functions(ast.parse(long)) == [("f", 61)]
    for source, lines in (
        ("try: pass\nexcept Exception: pass", [2]),
        ("try: pass\nexcept (OSError, Exception): pass", [2]),
        ("try: pass\nexcept: pass", [2]),
        ("try: pass\nexcept BaseException: pass", [2]),
        ("try: pass\nexcept BaseException:\n  raise", []),
        ("try: pass\nexcept OSError: pass", []),
    ):
        assert catches_everything(ast.parse(source)) == lines, source


def test_imports_keep_to_the_floors_of_the_house():
    """The contracts of pyproject.toml; import-linter prints which import breaks which."""
    tool = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run(
        [tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout
    assert "0 broken" in found.stdout


def test_every_package_can_be_imported_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for house in HOUSES:
            __import__(house)
