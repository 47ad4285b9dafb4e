"""Runs a script of bench/ as a process of its own, but without the seconds of rest after each run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"
_HURRIED = """
import sys
from relay.ours import Pillarbox
import {script}
Pillarbox.aftercare = 0.1
sys.exit({script}.main())
"""


def run_script(script: str, *words: str | Path) -> None:
    """Fails with all that it said unless it ends well."""
    done = subprocess.run(
        [sys.executable, "-c", _HURRIED.format(script=script), *words],
        cwd=BENCH,
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
