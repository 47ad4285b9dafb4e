"""Page: recipients of one key that are due, as they were read from the store; in the committing thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.spool.errors import DamagedError

if TYPE_CHECKING:
    from mta.message import Message, Recipient
    from mta.scheduling.backlog import KeyState
    from mta.spool.store import Cursor, SpoolStore


class Page:
    """With the message of each recipient; `later`: when the next of the key is due, at its end."""

    __slots__ = ("later", "messages", "more", "recipients", "state")

    def __init__(
        self,
        state: KeyState,
        recipients: list[Recipient],
        messages: dict[int, Message],
        later: int | None,
    ) -> None:
        self.state, self.recipients, self.messages, self.later = state, recipients, messages, later
        self.more = later is None  # the page was full: read on behind its last recipient


def read_page(store: SpoolStore, state: KeyState, cursor: Cursor, now: int, size: int) -> Page:
    """The next page behind the cursor. What of it is damaged is left out, as long as it is."""
    recipients = store.due(state.key, now, cursor, size)
    messages: dict[int, Message] = {}
    for recipient in recipients:
        if recipient.message_id not in messages:
            message = message_in(store, recipient.message_id)
            if message is not None:
                messages[recipient.message_id] = message
    later = store.later(state.key, now) if len(recipients) < size else None
    return Page(state, recipients, messages, later)


def message_in(store: SpoolStore, message_id: int) -> Message | None:
    """The message; None when it is not there, or damaged, which is told of."""
    try:
        return store.message(message_id)
    except DamagedError as error:
        store.damage.message(message_id, error)
        return None
