"""Parcel: recipients of one message that travel in one transaction, ready in memory."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING

from mta.message import ReturnPathMode, Source
from mta.spool.store import QueueKey
from mta.transport.route import REPORT_TO

if TYPE_CHECKING:
    from mta.message import Message, Recipient

MAX_RECIPIENTS = 100
"""Recipients of one transaction (RFC 5321 4.5.3.1.8: every server takes 100)."""


class Parcel:
    """Mutable on purpose: recipients join before it is sent, and people may take some out."""

    __slots__ = (
        "content",
        "key",
        "message",
        "promised",
        "recipients",
        "retried",
        "sending",
        "warms",
    )

    def __init__(
        self, message: Message, recipients: list[Recipient], content: bytes | None
    ) -> None:
        self.message, self.recipients = message, recipients
        self.content = content  # None: read back from the store before sending
        self.key = key_of(recipients[0])
        self.sending = False
        self.retried = False  # put back once because a kept connection had gone
        self.warms = ""  # the provider whose warmup it counts for
        self.promised = 0  # recipients that the warmup of its lane's egress was told of

    @property
    def shared(self) -> bool:
        """Whether several recipients may travel in one transaction."""
        return self.message.return_path_mode is ReturnPathMode.MESSAGE

    @property
    def destination(self) -> str:
        """What the router is asked for."""
        is_report = self.message.source is Source.TLS_REPORT
        return REPORT_TO + self.key.domain if is_report else self.key.domain

    @property
    def is_mixed(self) -> bool:
        """Whether it carries others than those of its key: they joined it on the way to one site."""
        domain, pool = self.key.domain, self.key.pool
        for recipient in self.recipients:
            if recipient.domain != domain or recipient.pool != pool:
                return True
        return False

    def part(self) -> list[Parcel]:
        """Keep the recipients of the first key; the others, in a parcel of their own for each.

        It must carry somebody.
        """
        by_key: dict[QueueKey, list[Recipient]] = {}
        for recipient in self.recipients:
            by_key.setdefault(key_of(recipient), []).append(recipient)
        self.key, self.recipients = next(iter(by_key.items()))
        return [
            Parcel(self.message, group, None) for key, group in by_key.items() if key != self.key
        ]

    def cut(self, size: int) -> list[Parcel]:
        """Keep the first `size` recipients; the others, in parcels of that size."""
        rest, self.recipients = self.recipients[size:], self.recipients[:size]
        return [Parcel(self.message, rest[i : i + size], None) for i in range(0, len(rest), size)]

    @property
    def held_bytes(self) -> int:
        """Octets of content it keeps in memory."""
        return len(self.content) if self.content is not None else 0


def key_of(recipient: Recipient) -> QueueKey:
    """Under which key a recipient waits at rest."""
    kind, domain = intern(str(recipient.traffic_class)), intern(recipient.domain)
    return QueueKey(recipient.tenant_id, kind, domain, recipient.pool)


def parcels_of(
    message: Message, recipients: list[Recipient], content: bytes | None
) -> list[Parcel]:
    """Recipients of one message at one domain, split as its return path demands."""
    size = MAX_RECIPIENTS if message.return_path_mode is ReturnPathMode.MESSAGE else 1
    return [
        Parcel(message, recipients[i : i + size], content) for i in range(0, len(recipients), size)
    ]
