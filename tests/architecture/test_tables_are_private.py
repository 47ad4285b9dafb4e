"""Tenants' rows are reached through their room: nobody else imports its tables (README invariant 1)."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [
    path for house in ("appliance", "mta", "admin_ui") for path in (ROOT / house).rglob("*.py")
]


def imported(source: str) -> set[str]:
    """Every module a source names, `from a import b` as both a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def strangers(path: Path, source: str) -> set[str]:
    """Tables modules that the file imports and that are not of its own folder, or one around it."""
    parts = path.relative_to(ROOT).parent.parts
    own = {".".join((*parts[:depth], "tables")) for depth in range(2, len(parts) + 1)}
    tables = {name for name in imported(source) if name.split(".")[-1] == "tables"}
    return {name for name in tables if name.startswith(("appliance.", "mta."))} - own


def test_a_file_imports_no_tables_but_its_own_rooms():
    found = {str(path.relative_to(ROOT)): strangers(path, path.read_text()) for path in SOURCES}
    assert {name: tables for name, tables in found.items() if tables} == {}


def test_the_check_sees_both_ways_of_importing():
    elsewhere = ROOT / "appliance" / "run" / "x.py"
    assert strangers(elsewhere, "from appliance.domains.tables import domain")
    assert strangers(elsewhere, "from appliance.domains import tables")
    assert strangers(elsewhere, "import appliance.domains.tables")
    assert not strangers(
        ROOT / "appliance" / "domains" / "x.py", "from appliance.domains.tables import domain"
    )
    assert not strangers(
        ROOT / "mta" / "spool" / "salvage" / "x.py", "from mta.spool.tables import message"
    )


def test_every_statement_on_tenants_rows_is_scoped_or_says_system():
    """A service method that reads or changes tenants' rows takes a Scope first."""
    unscoped = []
    for path in (ROOT / "appliance").glob("*/service.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.AsyncFunctionDef) and not node.name.startswith("_"):
                names = [argument.arg for argument in node.args.args]
                if "scope" not in names:
                    unscoped.append(f"{path.parent.name}.{node.name}")
    assert sorted(unscoped) == sorted(WORK_OF_THE_SYSTEM)


# What the mta and the worker do for all tenants at once, in batches.
WORK_OF_THE_SYSTEM = [
    "credentials.count_hours",
    "credentials.learn_usual_rates",
    "credentials.note_uses",
    "credentials.replace_hash",
    "credentials.revoke_for_key",
    "credentials.set_usual_rates",
    "domains.private_keys",
    "jobs.crashed",
    "jobs.fail",
    "jobs.go_on",
    "jobs.part",
    "jobs.release",
    "jobs.take",
    "keys.note_uses",
    "keys.valid",
    "limits.add_failures",
    "limits.forget",
    "limits.forget",
    "limits.give_back",
    "limits.lease",
    "limits.lease_all",
    "limits.lease_each",
    "limits.used",
    "limits.used_in",
    "limits.used_of",
    "notifications.mailed_upto",
    "notifications.mark_mailed",
    "operations.forget_expired",
    "operations.kill_status",
    "sending.send",
    "sending.submit",
    "shaping.forget",
    "shaping.save",
    "shaping.since",
    "suppressions.apply_events",
    "suppressions.apply_soft_bounces",
    "suppressions.note_deliveries",
    "suppressions.refresh",
    "suppressions.tidy",
    "suppressions.touched",
    "tls_reports.add",
    "tls_reports.claim",
    "tls_reports.forget",
    "tls_reports.lines",
    "tls_reports.not_sent",
    "tls_reports.open",
    "tls_reports.postponed",
    "tls_reports.sent",
    "tls_reports.unwanted",
    "warmup.plans",
]
