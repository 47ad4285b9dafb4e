"""Fixtures of statistics: a log and the counts beside it."""

from __future__ import annotations

from tests.support.history import log_location, outbox, reader, writer
from tests.support.statistics import statistics_location, store

__all__ = ["log_location", "outbox", "reader", "statistics_location", "store", "writer"]
