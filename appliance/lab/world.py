"""World: the hosts that `pillarbox lab` sends to, all on loopback addresses of one port.

    jane@good.test      mx1.good.test takes it, with STARTTLS
    jane@slow.test      mx.slow.test says 451 first (greylisting), then takes it
    jane@bounce.test    mx.bounce.test takes it and sends a bounce back some seconds later
    jane@refuse.test    mx.refuse.test says 550 5.1.1 to everybody
    jane@null.test      takes no mail (null MX)      jane@broken.test   its DNS answers SERVFAIL

Everything taken is kept as a file under `caught/`, with the envelope on top, and reported to
`on_caught` with what dkimpy says of its signatures.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiosmtplib
import dkim

from appliance.core import clock, tasks
from appliance.lab.dns_server import Fault, LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Point, Script, Starttls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from appliance.lab.dns_server import Zone
    from appliance.lab.script import Received
    from mta.signing.dns_records import DnsRecord

BOUNCE_AFTER: Final = 3.0
_TAKES_ALL: Final = Script(name="mx1.good.test", starttls=Starttls.GOOD)
HOSTS: Final = {
    "127.0.0.11": _TAKES_ALL,
    "127.0.0.12": Script(name="mx.slow.test", greylist=True, starttls=Starttls.GOOD),
    "127.0.0.13": Script(name="mx.bounce.test"),
    "127.0.0.14": Script(name="mx.refuse.test", always={Point.RCPT: "550 5.1.1 no such user here"}),
}
BOX_ADDRESS: Final = "127.0.0.1"
_TTL: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """A message that a receiver took."""

    host: str
    mail_from: str
    recipients: tuple[str, ...]
    is_tls: bool
    dkim: tuple[str, ...]  # "pass rsa-sha256 d=shop.test", one for each signature
    file: Path
    data: bytes


def base_zone() -> Zone:
    """Names of the receivers."""
    zone: Zone = {
        "good.test": {"MX": ["10 mx1.good.test."]},
        "slow.test": {"MX": ["10 mx.slow.test."]},
        "bounce.test": {"MX": ["10 mx.bounce.test."]},
        "refuse.test": {"MX": ["10 mx.refuse.test."]},
        "null.test": {"MX": ["0 ."]},
        "shop.test": {"MX": ["10 mx1.good.test."]},  # failure notices come back to the shop
    }
    for address, script in HOSTS.items():
        zone[script.name] = {"A": [address]}
    return zone


def add_records(zone: Zone, records: Iterable[DnsRecord]) -> None:
    """Publish records as the owner of a domain would."""
    for record in records:
        value = record.value
        if record.type in ("MX", "CNAME") and not value.endswith("."):
            value += "."
        zone.setdefault(record.name, {}).setdefault(record.type, []).append(value)


class World:
    """The running world."""

    def __init__(
        self,
        zone: Zone,
        caught: Path,
        inbound: tuple[str, int],
        on_caught: Callable[[Caught], None],
    ) -> None:
        self.dns = LabDns(zone, faults={"broken.test": Fault.SERVFAIL}, ttl=_TTL)
        self._caught_dir, self._inbound, self._on_caught = caught, inbound, on_caught
        self._receivers = [
            (address, Receiver(script, on_message=self._hears(script.name)))
            for address, script in HOSTS.items()
        ]
        self._count = 0

    async def start(self, *, dns_port: int, smtp_port: int) -> None:
        """Listen everywhere."""
        self._caught_dir.mkdir(parents=True, exist_ok=True)
        await self.dns.start(port=dns_port)
        for address, receiver in self._receivers:
            await receiver.start(address, smtp_port)

    async def stop(self) -> None:
        """Close everything."""
        for _, receiver in self._receivers:
            await receiver.stop()
        await self.dns.stop()

    def _hears(self, host: str) -> Callable[[Received], None]:
        def hear(received: Received) -> None:
            self._take(host, received)

        return hear

    def _take(self, host: str, received: Received) -> None:
        self._count += 1
        file = self._caught_dir / f"{self._count:05d}-{host}.eml"
        envelope = f"X-Envelope-From: <{received.mail_from}>\r\nX-Envelope-To: " + ", ".join(
            f"<{to}>" for to in received.recipients
        )
        file.write_bytes(envelope.encode() + b"\r\n" + received.data)
        caught = Caught(
            host=host,
            mail_from=received.mail_from,
            recipients=received.recipients,
            is_tls=received.is_tls,
            dkim=tuple(verify(received.data, self._txt)),
            file=file,
            data=received.data,
        )
        self._on_caught(caught)
        if host == "mx.bounce.test" and received.mail_from:
            tasks.spawn(self._bounce(received), name="bounce later")

    def _txt(self, name: bytes, timeout: int = 5) -> bytes | None:
        found = self.dns.zone.get(name.decode().rstrip(".").lower(), {}).get("TXT")
        return found[0].encode() if found else None

    async def _bounce(self, received: Received) -> None:
        await asyncio.sleep(BOUNCE_AFTER)
        host, port = self._inbound
        client = aiosmtplib.SMTP(
            hostname=host, port=port, local_hostname="mx.bounce.test", start_tls=False
        )
        async with client:
            await client.ehlo()
            await client.mail("")  # RFC 5321 6.1: notices carry the null return path
            await client.rcpt(received.mail_from)
            await client.data(late_bounce(received))


def verify(data: bytes, txt: Callable[..., bytes | None]) -> Iterable[str]:
    """What dkimpy says of each signature."""
    message: Any = dkim.DKIM(data)
    signatures = [value for name, value in message.headers if name.lower() == b"dkim-signature"]
    for index, value in enumerate(signatures):
        tags = dkim.util.parse_tag_value(value)
        verifier: Any = dkim.DKIM(data)
        try:
            passed = verifier.verify(idx=index, dnsfunc=txt)
        except dkim.DKIMException as error:
            yield f"fail ({error})"
            continue
        what = f"{tags[b'a'].decode()} d={tags[b'd'].decode()}"
        yield f"{'pass' if passed else 'fail'} {what}"


def late_bounce(received: Received) -> bytes:
    """What mx.bounce.test sends back: an RFC 3464 report."""
    to = received.recipients[0]
    boundary = f"=_{clock.now_ms()}"
    header = received.data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    return (
        "From: Mail Delivery System <MAILER-DAEMON@mx.bounce.test>\r\n"
        f"To: <{received.mail_from}>\r\nSubject: Undelivered Mail Returned to Sender\r\n"
        f"Message-ID: <{boundary[2:]}@mx.bounce.test>\r\nAuto-Submitted: auto-replied\r\n"
        f"Date: {clock.aware(clock.now_ms()):%a, %d %b %Y %H:%M:%S} +0000\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="'
        f'{boundary}"\r\n\r\n--{boundary}\r\nContent-Type: text/plain\r\n\r\n'
        f"<{to}>: the mailbox was deleted\r\n\r\n--{boundary}\r\n"
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.bounce.test\r\n\r\n"
        f"Final-Recipient: rfc822; {to}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 the mailbox was deleted\r\n\r\n"
        f"--{boundary}\r\nContent-Type: text/rfc822-headers\r\n\r\n{header}\r\n\r\n--{boundary}--\r\n"
    ).encode()
