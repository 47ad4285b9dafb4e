"""Signer: signs what is accepted, and signs again what waited until its selector was withdrawn.

The signature is kept apart from the content, so that signing again is one update of one row and
the message's bytes stay as they were accepted (MTA-7).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from appliance.core import clock
from mta.message import SigningPlan
from mta.signing.dkim import sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.directory import Directory
    from mta.message import Admitted, Message

_SELECTOR = re.compile(rb"[;\s]s=([^;\s=]+)")  # no "=": a folded b= may end in a line "s=="


def sign_admitted(admitted: Admitted) -> bytes:
    """The signature of a message that is being accepted; called in the committing thread."""
    return sign(admitted.content, admitted.signing, now_s=admitted.message.accepted_at // 1000)


class Resigner:
    """Looks at a signature before the message is sent."""

    def __init__(
        self, directory: Callable[[], Directory], on_resigned: Callable[[Message, bytes], None]
    ) -> None:
        """`on_resigned` stores the new signature."""
        self._directory, self._on_resigned = directory, on_resigned

    def __call__(self, message: Message, content: bytes) -> bytes:
        """The signature to send: the stored one, or a new one if its selector was withdrawn."""
        if not message.signature:
            return b""
        domain = self._directory().domains.get(message.signing_domain)
        if domain is None or not domain.keys:
            return message.signature
        used = set(selectors_of(message.signature))
        if used <= domain.published:
            return message.signature
        plan = SigningPlan(domain=domain.name, keys=domain.keys)
        fresh = sign(content, plan, now_s=clock.now_ms() // 1000)
        self._on_resigned(message, fresh)
        return fresh


def selectors_of(signature: bytes) -> list[str]:
    """The selectors that DKIM-Signature fields name."""
    return [found.decode() for found in _SELECTOR.findall(signature)]
