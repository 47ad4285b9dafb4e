"""Sending: a letter, as a program or a person writes it, becomes a message of the message way.

    Letter -> checked -> composed (MIME) -> handed to the process that owns a shard -> its id

What admission decides it decides as for SMTP, since what is handed over is the message that an SMTP client
would have sent: class, tags, pool and time travel as its control headers.
"""

from __future__ import annotations

from appliance.sending.again import Kept, KeptRecipient, Originals, Resending
from appliance.sending.model import (
    MAX_BATCH,
    Attachment,
    Letter,
    Mailbox,
    Outgoing,
    Refusal,
    Taken,
)
from appliance.sending.rules import ready
from appliance.sending.service import Carrier, Handed, Sending

__all__ = [
    "MAX_BATCH",
    "Attachment",
    "Carrier",
    "Handed",
    "Kept",
    "KeptRecipient",
    "Letter",
    "Mailbox",
    "Originals",
    "Outgoing",
    "Refusal",
    "Resending",
    "Sending",
    "Taken",
    "ready",
]
