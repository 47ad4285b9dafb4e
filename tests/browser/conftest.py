"""Fixtures of the tests that need a browser."""

from __future__ import annotations

from tests.support.chromium import chromium

__all__ = ["chromium"]
