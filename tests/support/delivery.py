"""Short words for tests of how a message leaves: sites, envelopes, a transport in a hurry."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from appliance.core.settings import Delivery, Dns
from appliance.lab.receiver import Receiver
from mta.message import Egress, Envelope, EnvelopeRecipient
from mta.transport.base import MxHost, Site
from mta.transport.direct import DirectTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from appliance.lab.dns_server import LabDns
    from appliance.lab.script import Script
    from mta.message import Attempt, RecipientResult
    from mta.transport.base import Connection

EGRESS = Egress(name="main", address="", helo="box.example", ipv6=False)
LETTER = b"From: a@shop.example\r\nSubject: hello\r\n\r\nhi there\r\n"
HASTE = {
    "connect_timeout": 1.0,
    "greeting_timeout": 0.3,
    "command_timeout": 0.3,
    "data_timeout": 0.3,
    "dot_timeout": 0.3,
    "session_timeout": 2.0,
    "allow_private_addresses": True,
}


def delivery(**changes: Any) -> Delivery:
    """Delivery settings with short time-outs."""
    return Delivery(**{**HASTE, **changes})


def dns_settings(server: LabDns | str, **changes: Any) -> Dns:
    """Resolver settings that ask a laboratory's server."""
    address = server if isinstance(server, str) else server.address
    return Dns(nameservers=(address,), **{"timeout": 2.0, "min_ttl": 0, **changes})


def site(*receivers: Receiver | int, name: str = "mx{}.lab") -> Site:
    """A site on loopback; each receiver, or port of nobody, is a host of rising preference.

    A site has one port for all hosts, so receivers of one site listen on several addresses.
    """
    ports = [r if isinstance(r, int) else r.port for r in receivers]
    hosts = tuple(
        MxHost(name=name.format(n + 1), preference=10 * n, addresses=(f"127.0.0.{n + 1}",))
        for n in range(len(receivers))
    )
    return Site(key="lab", hosts=hosts, port=ports[-1])


def envelope(*addresses: str, content: tuple[bytes, ...] = (LETTER,), **changes: Any) -> Envelope:
    """One transaction."""
    who = addresses or ("jane@example.net",)
    values: dict[str, Any] = {
        "message_id": 0,
        "mail_from": "b-token@bounces.box.example",
        "recipients": tuple(EnvelopeRecipient(n=n, address=a) for n, a in enumerate(who)),
        "content": content,
        "size": sum(map(len, content)),
        "smtputf8": False,
        "body_8bit": False,
    }
    return Envelope(**{**values, **changes})


def transport(**changes: Any) -> DirectTransport:
    """A transport with short time-outs and no luck."""
    return DirectTransport(delivery(**changes), dice=random.Random(1))


@asynccontextmanager
async def connected(
    script: Script | None = None, **changes: Any
) -> AsyncIterator[tuple[Connection, Receiver]]:
    """A connection to a receiver that behaves as its script says."""
    async with Receiver(script) as receiver:
        connection = await transport(**changes).open(EGRESS, site(receiver))
        try:
            yield connection, receiver
        finally:
            await connection.close()


def only(attempt: Attempt) -> RecipientResult:
    """The result of the only recipient."""
    (result,) = attempt.results
    return result


def told(attempt: Attempt) -> list[tuple[int, str, str, str]]:
    """Of each recipient: code, enhanced status, phase, scope."""
    return [(r.reply.code, r.reply.enhanced, r.phase.value, r.scope.value) for r in attempt.results]


async def until(condition: Callable[[], bool], seconds: float = 2.0) -> None:
    """Wait for something that another task does. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells a test
            await asyncio.sleep(0.005)
