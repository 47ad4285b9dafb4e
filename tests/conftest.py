"""Fixtures every test may ask for; they live in tests/support."""

from __future__ import annotations

from tests.support.control import (
    control_location,
    engine,
    location,
    migrated_database,
    migrated_file,
    now,
)
from tests.support.postgres import postgres_server, postgres_url, scratch_url

__all__ = [
    "control_location",
    "engine",
    "location",
    "migrated_database",
    "migrated_file",
    "now",
    "postgres_server",
    "postgres_url",
    "scratch_url",
]
