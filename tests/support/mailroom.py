"""A mailroom: the log and the counts of a box that `open_api` made, filled with mail as a shop sends it.

room = Mailroom(path)                       the path that open_api was given
shop = shop_day(room, tenant_id)            ids of messages by what became of them
room.ship()                                 into the log, and counted
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appliance.core import clock, ids
from appliance.core.home import Home
from appliance.core.settings import Settings
from appliance.history import LogReader, LogWriter, write_partitions
from appliance.statistics import Counter, Store
from tests.support.control import FakeClock
from tests.support.history import KEEP_DAYS, Outbox
from tests.support.statistics import ship

if TYPE_CHECKING:
    from pathlib import Path

GOOGLE = {
    "provider": "google",
    "host": "gmail-smtp-in.l.google.com",
    "address": "142.250.102.27",
    "egress": "out1",
    "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384 (verified)",
    "took": 131,
    "steps": [
        [20, "CONNECT gmail-smtp-in.l.google.com [142.250.102.27]:25", "220 mx.google.com ESMTP"],
        [
            31,
            "EHLO out1.relay.example",
            "250-mx.google.com\n250-SIZE 157286400\n250-STARTTLS\n250 PIPELINING",
        ],
        [42, "STARTTLS", "220 2.0.0 Ready to start TLS"],
        [66, "TLS", "TLSv1.3 TLS_AES_256_GCM_SHA384 (verified)"],
        [75, "EHLO out1.relay.example", "250-mx.google.com\n250 PIPELINING"],
        [86, "MAIL FROM:<b+1.k3q9@bounce.acme.example> SIZE=48212", "250 2.1.0 OK"],
        [89, "RCPT TO:<dana@northwind.example>", "250 2.1.5 OK"],
        [97, "DATA", "354 Go ahead"],
        [131, ".", "250 2.0.0 OK 1795182712 5b1f17b1804b1-477a9d6e2c1si41 - gsmtp"],
    ],
}
MICROSOFT = GOOGLE | {
    "provider": "microsoft",
    "host": "globex-example.mail.protection.outlook.com",
    "address": "52.101.73.2",
    "egress": "out2",
}
OK = "250 2.0.0 OK 1795182712 5b1f17b1804b1-477a9d6e2c1si41 - gsmtp"
UNKNOWN = (
    "550 5.1.1 The email account that you tried to reach does not exist. Please try"
    " double-checking the recipient's email address for typos."
)
BUSY = "451 4.7.500 Server busy. Please try again later from [198.51.100.22]. (S77719)"
HOSTILE = '<img src=x onerror=alert(1)>"><script>alert(2)</script>'


class Mailroom:
    """Writes mail into the log of a box of this process."""

    def __init__(self, path: Path, ago: int = 15 * clock.MINUTE) -> None:
        self.home = Home(path / "home")
        self.now = FakeClock(clock.now_ms() - ago)
        self.outbox = Outbox(self.now)

    def accept(self, tenant: int, *to: str, **more: Any) -> int:
        """A message that was accepted."""
        self.now.move(2000)
        words = {"from": "billing@acme.example", "sender": "b+1.k3q9@bounce.acme.example"}
        words |= {"signing_domain": "acme.example", "signed": ["pb1", "pb1e"], "size": 48212}
        return self.outbox.accept(*to, tenant=tenant, **(words | more))

    def told(self, tenant: int, message: int, n: int, kind: str, to: str, **more: Any) -> None:
        """What happened next."""
        self.now.move(131)
        tell = (
            self.outbox.tried if "reply" in more and "host" in (GOOGLE | more) else self.outbox.tell
        )
        tell(message, n, kind, to, **({"tenant": tenant} | more))

    def ship(self) -> None:
        """Everything into the log; and count it."""
        writer = LogWriter(write_partitions(self.home.log_dir), keep_days=KEEP_DAYS, now=self.now)
        writer.open()
        ship(writer, self.outbox)
        writer.close()
        log, store = LogReader(self.home.log_dir), Store(self._counts, clock.now_ms)
        store.open()
        while Counter(store, log).step():
            pass
        store.close()
        log.close()

    @property
    def _counts(self) -> Any:
        return self.home.statistics_location(Settings())


SOURCE = (
    b"Received: from [client hidden] by relay.example (Pillarbox) with ESMTPSA\r\n"
    b"\t(TLS1.3 TLS_AES_256_GCM_SHA384) id 01kag7q2m4x8r; Fri, 20 Nov 2026 13:31:52 +0000\r\n"
    b"Date: Fri, 20 Nov 2026 14:31:51 +0100\r\nFrom: Acme Store <billing@acme.example>\r\n"
    b"To: dana@northwind.example\r\nCc: archive@northwind.example, billing@globex.example\r\n"
    b"Subject: =?utf-8?q?Your_order_10-48213_has_shipped_=E2=9C=93?=\r\n"
    b"X-Odd: <img src=x onerror=alert(1)>\r\n"
    b"Message-ID: <20261120133151.48213@app.acme.example>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="=_b1_7f3a9c"\r\n\r\n'
    b"--=_b1_7f3a9c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello,\r\n\r\n"
    b"your order 10-48213 left our warehouse today with 2 parcels.\r\n"
    b'<script>alert("no")</script>\r\n\r\n--=_b1_7f3a9c\r\nContent-Type: application/pdf\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\n"
    + b"JVBERi0xLjcKJeLjz9MKMSAwIG9iago8PC9UeXBlL0NhdGFsb2cvUGFnZXMgMiAwIFI+Pgplbm\r\n" * 600
    + b"--=_b1_7f3a9c--\r\n"
)


def waiting(number: int, tenant: int, n: int, address: str, at: int, **more: Any) -> dict[str, Any]:
    """A recipient that waits, as the queue's owner tells of it."""
    row = {"id": ids.to_text(number), "message_id": number, "n": n, "tenant_id": tenant}
    row |= {"class": "transactional", "address": address, "domain": address.partition("@")[2]}
    row |= {"status": "deferred", "reason": BUSY, "kind": "slowed", "next": at + 284_000}
    row |= {
        "expires": at + 172_800_000,
        "attempts": 1,
        "host": "",
        "egress": "out2",
        "pool": "out1",
    }
    return row | more


def in_queue(api: Any, message: str, tenant: int) -> None:
    """The message of three recipients waits for its third, and its bytes are kept."""
    number = ids.from_text(message)
    api.owners.messages[number] = tenant
    api.owners.rows[number] = [waiting(number, tenant, 2, "billing@globex.example", clock.now_ms())]
    api.owners.content[number] = SOURCE


def shop_day(room: Mailroom, tenant: int) -> dict[str, str]:
    """Mail of a shop with each kind of fate; the ids of the messages by it."""
    made = {}
    made["hostile"] = room.accept(tenant, "eve@evil.example", subject=HOSTILE, tags=[HOSTILE])
    room.told(
        tenant, made["hostile"], 0, "bounced", "eve@evil.example",
        **GOOGLE | {"reply": f"550 5.7.1 {HOSTILE}", "category": "policy", "host": HOSTILE},
    )  # fmt: skip
    made["good"] = room.accept(
        tenant, "hello@orchard.example", subject="Your receipt from Acme Store"
    )
    room.told(
        tenant,
        made["good"],
        0,
        "delivered",
        "hello@orchard.example",
        reply="250 ok dirdel",
        **GOOGLE,
    )
    made["suppressed"] = room.accept(
        tenant, "stock@delta-freight.example", subject="Low stock: 14 articles"
    )
    room.told(
        tenant, made["suppressed"], 0, "suppressed", "stock@delta-freight.example",
        reason="on the suppression list since a hard bounce",
    )  # fmt: skip
    made["bounced"] = room.accept(tenant, "j.old@lumen.example", subject="Reset your password")
    room.told(
        tenant, made["bounced"], 0, "bounced", "j.old@lumen.example",
        **GOOGLE | {"reply": UNKNOWN, "category": "user_unknown", "hard": True, "phase": "rcpt"},
    )  # fmt: skip
    made["invoice"] = room.accept(
        tenant, "office@harbor-books.example", subject="Invoice 2026-11-0480"
    )
    room.told(
        tenant, made["invoice"], 0, "delivered", "office@harbor-books.example",
        reply="250 2.6.0 Queued mail for delivery", **MICROSOFT,
    )  # fmt: skip
    room.told(
        tenant, made["invoice"], 0, "complained", "office@harbor-books.example",
        feedback="abuse", reporter="Yahoo!-Mail-Feedback/2.0",
    )  # fmt: skip
    made["three"] = room.accept(
        tenant, "dana@northwind.example", "archive@northwind.example", "billing@globex.example",
        subject="Your order 10-48213 has shipped", tags=["order", "shipped"], credential=1,
    )  # fmt: skip
    room.told(tenant, made["three"], 0, "delivered", "dana@northwind.example", reply=OK, **GOOGLE)
    room.told(
        tenant, made["three"], 1, "bounced", "archive@northwind.example",
        **GOOGLE | {"reply": UNKNOWN, "category": "user_unknown", "hard": True},
    )  # fmt: skip
    room.told(
        tenant, made["three"], 2, "deferred", "billing@globex.example",
        **MICROSOFT
        | {"reply": BUSY, "category": "rate_limited", "next": room.now() + 300_000, "scope": "session"},
    )  # fmt: skip
    return {name: ids.to_text(one) for name, one in made.items()}
