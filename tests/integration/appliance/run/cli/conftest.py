"""Fixtures of the command line's tests."""

from __future__ import annotations

from tests.support.cli import made_home, owner, shell

__all__ = ["made_home", "owner", "shell"]
