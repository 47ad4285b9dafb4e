"""Sending again: a message whose bytes are kept becomes a new one, to those whom it did not reach.

    the bytes as accepted -> who failed, or who is named of its recipients -> admitted as any other message

The new message has its own id, signature and story; class, tags and metadata are those of the old one. It
goes to nobody whom the old one did not go to, so that nobody reads by sending what they may not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from appliance.core import clock, ids
from appliance.core.errors import ConflictError, UsageError
from appliance.sending.model import Outgoing, Taken
from appliance.sending.rules import folded_json
from appliance.tenancy import Act
from mta.policy import controls
from mta.policy.quoting import header_name
from mta.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from appliance.core.scope import Scope
    from appliance.sending.model import Refusal
    from appliance.sending.service import Carrier, Handed
    from appliance.tenancy import AuditLog
    from mta.status import TrafficClass

FAILED: Final = frozenset({Status.BOUNCED, Status.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecipient:
    """Somebody whom the message was for, and how that ended."""

    address: str
    status: Status
    bounced_late: bool = False

    @property
    def has_failed(self) -> bool:
        """Whether it is known not to have arrived."""
        return self.status in FAILED or self.bounced_late


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A message with its bytes, as they were accepted."""

    id: int
    tenant_id: int
    sender: str
    smtputf8: bool
    body_8bit: bool
    traffic_class: TrafficClass
    tags: tuple[str, ...]
    metadata: str
    recipients: tuple[KeptRecipient, ...]
    content: bytes


class Originals(Protocol):
    """Finds what was sent (appliance/run/originals.py)."""

    async def kept(self, scope: Scope, message_id: int) -> Kept:
        """The message. Raises NotFoundError, and ConflictError when its bytes are gone."""


class Resending:
    """Sends messages again."""

    def __init__(
        self,
        originals: Originals,
        carrier: Carrier,
        audit: AuditLog,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._originals, self._carrier, self._audit, self._now = originals, carrier, audit, now

    async def find(self, scope: Scope, message_id: int) -> Kept:
        """What could be sent again. Raises NotFoundError, and ConflictError when its bytes are gone."""
        return await self._originals.kept(scope, message_id)

    async def send(
        self, scope: Scope, handed: Handed, kept: Kept, wanted: Sequence[str] = (), *, key: str = ""
    ) -> Taken | Refusal:
        """Send it again to all that failed, or to those of its recipients who are named."""
        letter = again(kept, wanted, key)
        (result,) = await self._carrier.submit(handed, [letter])
        if isinstance(result, Taken):
            people = len(letter.recipients)
            act = Act(
                tenant_id=kept.tenant_id,
                at=self._now(),
                action="message.resend",
                subject=f"message {ids.to_text(kept.id)}",
                detail=f"as {ids.to_text(result.id)} to {people} recipient{'s' * (people != 1)}",
            )
            await self._audit.note(scope, act)
        return result


def again(kept: Kept, wanted: Sequence[str] = (), key: str = "") -> Outgoing:
    """The message as it is handed over once more. Pure."""
    head = "".join(f"{header_name(name)}: {value}\r\n" for name, value in _controls(kept, key))
    return Outgoing(
        sender=kept.sender,
        recipients=_whom(kept, wanted),
        data=head.encode("utf-8") + kept.content,
        smtputf8=kept.smtputf8,
        body_8bit=kept.body_8bit,
    )


def _controls(kept: Kept, key: str) -> Iterator[tuple[bytes, str]]:
    """What the box took off when it accepted the message (mta/policy/controls.py)."""
    yield controls.CLASS, kept.traffic_class
    for tag in kept.tags[: controls.MAX_TAGS]:  # a credential may have added more than one may give
        yield controls.TAG, tag
    if kept.metadata:
        yield controls.METADATA, folded_json(msgspec.json.decode(kept.metadata))
    if key:
        yield controls.IDEMPOTENCY_KEY, key


def _whom(kept: Kept, wanted: Sequence[str]) -> tuple[str, ...]:
    if not wanted:
        failed = tuple(dict.fromkeys(one.address for one in kept.recipients if one.has_failed))
        if not failed:
            raise ConflictError("it failed for nobody: name in recipients who is to get it again")
        return failed
    known = {one.address.lower(): one for one in kept.recipients}
    found = []
    for n, address in enumerate(wanted):
        one = known.get(address.strip().lower())
        if one is None:
            raise UsageError("the message was not for this address", field=f"recipients[{n}]")
        if not one.status.is_final:
            raise ConflictError(
                "the message still waits for this recipient: retry it in the queue",
                field=f"recipients[{n}]",
            )
        found.append(one.address)
    return tuple(dict.fromkeys(found))
