"""Webhooks: telling applications by HTTP what became of their mail (API-3).

Tenants keep endpoints with chosen types of events (Webhooks). The worker's Sender reads the log's stream of
events and posts them, signed as Standard Webhooks has it: at least once, in the order of a message, for a
day. Nothing of it is in the way of mail.
"""

from __future__ import annotations

from appliance.webhooks.addresses import Allowed
from appliance.webhooks.client import Answer, WebhookClient
from appliance.webhooks.marks import MARKS
from appliance.webhooks.model import (
    TEST,
    TYPES,
    Change,
    Delivery,
    Endpoint,
    IssuedEndpoint,
    Key,
    Outcome,
    Standing,
    Told,
    Waiting,
)
from appliance.webhooks.payload import MessageData, Payload, TestData
from appliance.webhooks.post import Post
from appliance.webhooks.replay import KIND as REPLAY
from appliance.webhooks.replay import WebhookReplay, replay_order
from appliance.webhooks.sender import Sender
from appliance.webhooks.service import Webhooks
from appliance.webhooks.store import SenderStore
from appliance.webhooks.stream import Stream
from appliance.webhooks.trial import Trials

__all__ = [
    "MARKS",
    "REPLAY",
    "TEST",
    "TYPES",
    "Allowed",
    "Answer",
    "Change",
    "Delivery",
    "Endpoint",
    "IssuedEndpoint",
    "Key",
    "MessageData",
    "Outcome",
    "Payload",
    "Post",
    "Sender",
    "SenderStore",
    "Standing",
    "Stream",
    "TestData",
    "Told",
    "Trials",
    "Waiting",
    "WebhookClient",
    "WebhookReplay",
    "Webhooks",
    "replay_order",
]
