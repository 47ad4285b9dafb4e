"""Errors of a spool that are about one value, where its database does its work."""

from __future__ import annotations

from appliance.core.errors import StoreError


class UnstorableError(StoreError):
    """A value that no database takes: what holds it can never be written as it is."""


class DamagedError(StoreError):
    """A row that cannot be read, or whose values cannot be true: somebody else changed the file."""
