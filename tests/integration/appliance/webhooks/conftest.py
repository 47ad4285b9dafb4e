"""The log's fixtures, for both databases."""

from __future__ import annotations

from tests.support.history import log_location, outbox, reader, writer

__all__ = ["log_location", "outbox", "reader", "writer"]
