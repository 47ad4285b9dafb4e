"""Fixtures every test may ask for; they live in tests/support."""

from __future__ import annotations

from hypothesis import settings

from tests.support.control import (
    control_location,
    engine,
    location,
    migrated_database,
    migrated_file,
    now,
)
from tests.support.postgres import postgres_server, postgres_url, scratch_url

# A deadline measures the machine and its neighbours, not the code.
settings.register_profile("pillarbox", deadline=None)
settings.load_profile("pillarbox")

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
