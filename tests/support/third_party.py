"""Programs of others that a test verifies our work with: found, installed, or loudly missing.

As root on a machine with apt the Debian package is installed (tests/support/apt.py). Otherwise the test is
skipped with the command to type, and in CI (`CI=true`) it fails: nothing is skipped there unnoticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NoReturn

import pytest

from tests.support.apt import install


def require_command(name: str, debian_package: str) -> str:
    """The path of a program."""
    path = shutil.which(name)
    if path is None and install(debian_package):
        path = shutil.which(name)
    return path or missing(f"the program {name}", debian_package)


def require_swaks() -> None:
    """Make sure that swaks is there and speaks TLS: its Debian package only recommends that."""
    require_command("swaks", "swaks")
    require_perl_module("Net::SSLeay", "libnet-ssleay-perl")


def require_perl_module(name: str, debian_package: str) -> None:
    """Make sure that perl can load a module."""
    perl = require_command("perl", "perl")
    if _perl_has(perl, name):
        return
    if not (install(debian_package) and _perl_has(perl, name)):
        missing(f"the Perl module {name}", debian_package)


def _perl_has(perl: str, module: str) -> bool:
    command = [perl, f"-M{module}", "-e", "1"]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def missing(what: str, package: str) -> NoReturn:
    """End the test, with the command to type."""
    text = f"{what} is needed: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
