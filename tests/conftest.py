"""Fixtures every test may ask for; they live in tests/support."""

from __future__ import annotations

from tests.support.control import engine, location, now
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["engine", "location", "now", "postgres_server", "postgres_url"]
