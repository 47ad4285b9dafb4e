"""History: the event log of the box and its search (MTA-26).

The worker's Shipper moves events from the shards' outboxes into partitions by day, through the one
LogWriter; whoever wants to know reads with a LogReader while it does. Everything that people see of
what happened to a message derives from these events.
"""

from __future__ import annotations

from appliance.history.files import damaged_in
from appliance.history.fresh import Fresh, FreshEvents
from appliance.history.model import (
    EventFilters,
    EventPage,
    EventRecord,
    Filters,
    Flag,
    Found,
    LoggedEvent,
    MessageHistory,
    Original,
    OutboxRow,
    Page,
    Told,
    ToldPage,
    Written,
)
from appliance.history.search import LogReader, cursor_at, follow
from appliance.history.shipper import EventConsumer, OutboxSource, RpcOutbox, Shipper
from appliance.history.suppress import SuppressionConsumer
from appliance.history.writer import LogWriter, write_partitions

__all__ = [
    "EventConsumer",
    "EventFilters",
    "EventPage",
    "EventRecord",
    "Filters",
    "Flag",
    "Found",
    "Fresh",
    "FreshEvents",
    "LogReader",
    "LogWriter",
    "LoggedEvent",
    "MessageHistory",
    "Original",
    "OutboxRow",
    "OutboxSource",
    "Page",
    "RpcOutbox",
    "Shipper",
    "SuppressionConsumer",
    "Told",
    "ToldPage",
    "Written",
    "cursor_at",
    "damaged_in",
    "follow",
    "write_partitions",
]
