"""Attempts that say nothing of their message: there was no connection, or a kept one had gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.message import Attempt
from mta.outcome.record import without_connection
from mta.reply import Reply
from mta.status import Phase, Scope
from mta.transport.base import ConnectFailed

if TYPE_CHECKING:
    from mta.scheduling.lane import Lane
    from mta.scheduling.parcel import Parcel

CRASHED: Final = ConnectFailed(
    reply=Reply(451, "4.3.0", "something went wrong in this box: its log tells what"),
    scope=Scope.MESSAGE,
    phase=Phase.ROUTE,
    host="",
    address="",
    steps=(),
)


def nowhere(lane: Lane, parcel: Parcel, failure: ConnectFailed, started: int) -> Attempt:
    """An attempt that ended before there was a connection."""
    return Attempt(
        results=without_connection(parcel.recipients, failure.reply, failure.phase, failure.scope),
        host=failure.host,
        address=failure.address,
        egress=lane.egress.name,
        tls="",
        steps=failure.steps,
        started_at=started,
        ended_at=clock.now_ms(),
    )


def connection_was_gone(attempt: Attempt) -> bool:
    """A kept connection that the receiver had closed meanwhile: nothing of this message was judged."""
    return all(
        result.scope is Scope.SESSION
        and result.phase in (Phase.MAIL, Phase.RCPT)
        and result.reply.is_transient
        for result in attempt.results
    )
