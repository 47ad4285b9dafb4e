"""Programs of others that a test verifies our work with: found, installed, or loudly missing.

As root on a machine with apt the Debian package is installed. Otherwise the test is skipped with
the command to type, and in CI (`CI=true`) it fails: nothing is skipped there unnoticed.
`PILLARBOX_TESTS_NO_APT=1` keeps the tests from installing anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def require_command(name: str, debian_package: str) -> str:
    """The path of a program."""
    path = shutil.which(name)
    if path is None and _install(debian_package):
        path = shutil.which(name)
    return path or _missing(f"the program {name}", debian_package)


def require_swaks() -> None:
    """Make sure that swaks is there and speaks TLS: its Debian package only recommends that."""
    require_command("swaks", "swaks")
    require_perl_module("Net::SSLeay", "libnet-ssleay-perl")


def require_perl_module(name: str, debian_package: str) -> None:
    """Make sure that perl can load a module."""
    perl = require_command("perl", "perl")
    if _perl_has(perl, name):
        return
    if not (_install(debian_package) and _perl_has(perl, name)):
        _missing(f"the Perl module {name}", debian_package)


def _perl_has(perl: str, module: str) -> bool:
    command = [perl, f"-M{module}", "-e", "1"]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def _install(package: str) -> bool:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0 or os.environ.get("PILLARBOX_TESTS_NO_APT"):
        return False
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = [apt, "install", "-y", "--no-install-recommends", package]
    done = subprocess.run(command, capture_output=True, timeout=600, check=False, env=environment)
    return done.returncode == 0


def _missing(what: str, package: str) -> str:
    text = f"{what} is needed: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
