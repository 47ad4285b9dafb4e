"""The bench of webhooks, small: the living get everything, with dead ones among them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SMALL = ["--seconds", "1", "--rate", "60", "--receivers", "6", "--dead", "2", "--settle", "3"]


def test_the_living_get_everything(tmp_path):
    out = tmp_path / "webhooks.json"
    command = [sys.executable, "bench/webhooks.py", *SMALL, "--once", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (one,) = json.loads(out.read_text())["runs"]
    assert one["dead"] == 2
    assert one["events"] > one["arrived"] == one["for_the_living"] > 10
