"""Debian's packages that tests need, installed where that is allowed: as root, on a machine with apt.

`PILLARBOX_TESTS_NO_APT=1` keeps the tests from installing anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess

_PATIENCE = 600  # s: a browser is large, and other workers of the same tests install theirs


def install(*packages: str) -> bool:
    """Whether they are installed now; a new machine's lists of packages are fetched first."""
    if not _may_install():
        return False
    return _install(packages) or (_apt("update") and _install(packages))


def _may_install() -> bool:
    has_apt = shutil.which("apt-get") is not None and os.geteuid() == 0
    return has_apt and not os.environ.get("PILLARBOX_TESTS_NO_APT")


def _install(packages: tuple[str, ...]) -> bool:
    return _apt("install", "-y", "--no-install-recommends", *packages)


def _apt(*words: str) -> bool:
    command = ["apt-get", "-o", f"DPkg::Lock::Timeout={_PATIENCE}", *words]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, capture_output=True, timeout=2 * _PATIENCE, check=False, env=environment
    )
    return done.returncode == 0
