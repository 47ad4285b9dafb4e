"""What the processes that share the parent's memory do without: only the web imports what it needs alone."""

from __future__ import annotations

import subprocess
import sys

PAGES = ("admin_ui", "jinja2", "litestar", "uvicorn")
SIGNING_IN = ("OpenSSL", "appliance.people.desk", "authlib", "joserfc", "segno", "webauthn")
COMMANDS = ("alembic", "httpx", "pygments", "rich")
SHOWN = "import sys, appliance.run.plans; print(*sys.modules)"


def test_mta_inbound_and_worker_import_neither_pages_nor_signing_in_nor_commands() -> None:
    """The parent imports these three and forks: all of it counts in each of them."""
    done = subprocess.run([sys.executable, "-c", SHOWN], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert {"appliance.run.mta", "appliance.run.inbound", "appliance.run.worker"} <= imported
    assert not imported.intersection((*PAGES, *SIGNING_IN, *COMMANDS))
