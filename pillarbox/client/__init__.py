"""A client for the HTTP API of a Pillarbox, blocking and asynchronous.

    from pillarbox.client import Client

    with Client("https://mail.example.org", key="pbk_...") as box:
        sent = box.send({"from": "orders@shop.example", "to": ["ada@example.net"],
                         "subject": "Your order", "text": "It is on its way."})
        print(sent.id)

Every send carries an Idempotency-Key, so that trying again after a broken connection, 429 or 503 never
sends twice. What the box refuses raises ApiError, which names the fields. `AsyncClient` has the same
methods, to be awaited; pages come as iterators.
"""

from __future__ import annotations

from pillarbox.client.asynchronous import AsyncClient
from pillarbox.client.blocking import Client
from pillarbox.client.errors import ApiError, FieldError, NotReachedError
from pillarbox.client.shapes import BatchResult, Letter, Refused, Sent
from pillarbox.client.webhooks import WebhookError, verify

__all__ = [
    "ApiError",
    "AsyncClient",
    "BatchResult",
    "Client",
    "FieldError",
    "Letter",
    "NotReachedError",
    "Refused",
    "Sent",
    "WebhookError",
    "verify",
]
