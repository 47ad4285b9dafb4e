"""Submission over SMTP, wired: the listeners of one mta process with everything that they share.

Either listener may be switched off. Both count against the same limits of sessions and memory; what
clients do is counted where it costs a dictionary look-up, and what is open is read when somebody asks.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core.secrets import generate_password
from appliance.run.certificates import server_context
from appliance.run.descriptors import sessions_that_fit
from appliance.run.directory import box_names
from mta.submission.failures import LocalLedger
from mta.submission.listener import Listener
from mta.submission.login import Login, LoginRules, Uses
from mta.submission.room import Room
from mta.submission.service import Limits, Service, TlsMode
from mta.submission.session import Desk
from mta.submission.sessions import Sessions

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from appliance.core.metrics import Metrics
    from appliance.core.secrets import MasterKeys
    from appliance.core.settings import Settings
    from appliance.run.process import Context
    from mta.directory import Directory
    from mta.reply import Reply
    from mta.submission.session import Intake

CLOCK_SECONDS: Final = 5.0
"""How often time-outs are looked at; they are minutes long."""

_NAMES: Final = ("submission", "submissions")
_WRONG_LOGIN: Final = 535


class ListenerMetrics:
    """What happens on one listener, counted (mta.submission.service.Observer)."""

    def __init__(self, metrics: Metrics, listener: str) -> None:
        self._metrics, self._listener = metrics, listener

    def connected(self) -> None:
        """A client connected."""
        self._metrics.connections_in.inc(self._listener)

    def handshake(self, result: str) -> None:
        """A TLS handshake ended."""
        self._metrics.tls_in.inc(result)

    def refused(self, reply: Reply) -> None:
        """A session, command or message was refused."""
        self._metrics.refused.inc(reply.status)
        if reply.code == _WRONG_LOGIN:
            self._metrics.auth_failures.inc(self._listener)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionSmtp:
    """The submission listeners of one process."""

    listeners: tuple[Listener, ...]
    sessions: Sessions
    room: Room
    ledger: LocalLedger
    uses: Uses

    async def start(self) -> None:
        """Accept connections."""
        self.sessions.start_clock(CLOCK_SECONDS)
        for listener in self.listeners:
            await listener.start()


def submission_listeners(
    context: Context,
    current: Callable[[], Directory],
    keys: MasterKeys,
    intake: Intake,
    metrics: Metrics,
) -> SubmissionSmtp:
    """Wire the listeners for which the process was given a socket."""
    settings = context.settings
    limits = settings.submission
    sessions = Sessions(
        limit=sessions_that_fit(limits.max_sessions, settings.delivery.max_connections),
        per_address=limits.max_sessions_per_address,
        barren=limits.max_barren_connections_per_minute,
    )
    metrics.open_in.follow(lambda: sessions.open, "submission")
    ledger, uses = LocalLedger(), Uses()
    desk = Desk(
        hostname=box_names(settings).hostname,
        directory=current,
        login=_login(settings, current, keys, ledger),
        uses=uses,
        intake=intake,
    )
    room = Room(limits.memory_bytes)
    services = {
        name: _service(context, name, desk, sessions, room, metrics)
        for name in _NAMES
        if name in context.sockets
    }
    return SubmissionSmtp(
        listeners=tuple(
            Listener(service, [context.sockets[name]]) for name, service in services.items()
        ),
        sessions=sessions,
        room=room,
        ledger=ledger,
        uses=uses,
    )


def context_for(context: Context, mode: TlsMode) -> ssl.SSLContext | None:
    """The TLS context of a listener that needs one."""
    if mode is TlsMode.NONE:
        return None
    return server_context(context.home, context.settings, context.tls)


def _login(
    settings: Settings, current: Callable[[], Directory], keys: MasterKeys, ledger: LocalLedger
) -> Login:
    limits = settings.submission
    return Login(
        directory=current,
        matches=keys.credential_matches,
        ledger=ledger,
        rules=LoginRules(failures=limits.login_failures, delay=limits.login_delay),
        decoy=keys.credential_hash(generate_password()),
    )


def _service(
    context: Context,
    name: str,
    desk: Desk,
    sessions: Sessions,
    room: Room,
    metrics: Metrics,
) -> Service:
    limits = context.settings.submission
    mode = TlsMode(getattr(context.settings.listeners, name).tls)
    return Service(
        hostname=desk.hostname,
        make_handler=desk.session_of,
        limits=Limits(
            max_message_bytes=limits.max_message_bytes,
            max_recipients=limits.max_recipients,
            max_messages=limits.max_messages_per_connection,
            max_commands_per_minute=limits.max_commands_per_minute,
            idle_timeout=limits.idle_timeout,
            session_timeout=limits.session_timeout,
            min_rate=limits.min_rate,
        ),
        sessions=sessions,
        room=room,
        tls=mode,
        tls_context=context_for(context, mode),
        proxies=tuple(ipaddress.ip_network(n, strict=False) for n in limits.proxy_networks),
        observer=ListenerMetrics(metrics, name),
    )
