"""What the parts of admission cost: scan, prepare, body hash, signatures; median µs for each size.

    .venv/bin/python bench/parts.py

Runs in one thread on an idle core; the bodies are plain text, base64 and indented HTML, because the
canonical form of a body costs what its white space costs.
"""

from __future__ import annotations

import statistics
import timeit
from typing import TYPE_CHECKING

from mta.directory import Credential, DkimKey, Tenant
from mta.message import Client, RecipientRequest, SigningPlan, Source, Submission
from mta.policy.address import parse_mailbox
from mta.policy.headers import scan
from mta.policy.prepare import prepare
from mta.signing.canonical import body_hash
from mta.signing.dkim import sign
from mta.signing.keys import ED25519, RSA, load_own, make_ed25519, make_rsa, to_der

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = b"".join(
    line + b"\r\n"
    for line in (
        b"Received: from app1.internal ([10.0.0.4])",
        b"\tby relay.example.com with ESMTP id 12345;",
        b"\tFri, 20 Nov 2026 10:00:00 +0000",
        b'From: "Example Shop" <orders@shop.example.com>',
        b"To: Jane Customer <jane.customer@example.net>",
        b"Reply-To: <support@shop.example.com>",
        b"Subject: Your order 1234-5678 has been shipped and is on its way",
        b"Date: Fri, 20 Nov 2026 09:59:59 +0000",
        b"Message-ID: <CAF1234567890abcdef@app1.shop.example.com>",
        b"MIME-Version: 1.0",
        b"Content-Type: multipart/alternative;",
        b'\tboundary="----=_Part_1234_5678.90"',
        b"Content-Transfer-Encoding: 7bit",
        b"X-Mailer: ShopMailer 4.2",
        b"X-Entity-Ref-ID: 6d5f0c6e",
        b"List-Unsubscribe: <https://shop.example.com/u/abcdef>",
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        b"List-Id: <orders.shop.example.com>",
        b"Feedback-ID: order:shop:bulk:shop",
    )
)
BODIES = {
    "text": b"This is a line of ordinary text such as receipts have, about 76 octets in.\r\n",
    "base64": b"QWxsIGdvb2QgdGhpbmdzIGNvbWUgdG8gdGhvc2Ugd2hvIHdhaXQgYW5kIGhhc2ggdGhlaXIgYm9k\r\n",
    "html": b"          <td class=cell>some text here and there</td>\r\n      <td>\r\n",
}
NOW = 1_790_000_000_000


def median_us(call: Callable[[], object], number: int) -> float:
    """Median of nine runs, in microseconds a call."""
    return statistics.median(timeit.repeat(call, number=number, repeat=9)) / number * 1e6


def submission(content: bytes) -> Submission:
    """What a client with TLS and AUTH handed over."""
    return Submission(
        source=Source.SMTP,
        tenant=Tenant(id=1, name="acme"),
        credential=Credential(id=1, tenant_id=1, name="shop", username="shop", secret_hash=b""),
        client=Client(
            address="192.0.2.10",
            port=50000,
            helo="app1.example.com",
            tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
            protocol="ESMTPSA",
        ),
        envelope_from="orders@shop.example.com",
        recipients=(RecipientRequest(address="jane.customer@example.net"),),
        data=content,
        received_at=NOW,
    )


def parts(
    content: bytes, rsa: SigningPlan, ed25519: SigningPlan
) -> dict[str, Callable[[], object]]:
    """The steps that one message takes."""
    made, block = submission(content), scan(content, allow_8bit=False)
    ready = prepare(made, block, message_id=1 << 50, hostname="mx.example.com", now_ms=NOW)
    body = content[block.end + 2 :]
    both = SigningPlan(domain=rsa.domain, keys=rsa.keys + ed25519.keys)
    return {
        "scan": lambda: scan(content, allow_8bit=False),
        "prepare": lambda: prepare(
            made, block, message_id=1 << 50, hostname="mx.example.com", now_ms=NOW
        ),
        "body hash": lambda: body_hash(body),
        "sign RSA": lambda: sign(ready.content, rsa, now_s=NOW // 1000),
        "sign Ed25519": lambda: sign(ready.content, ed25519, now_s=NOW // 1000),
        "sign both": lambda: sign(ready.content, both, now_s=NOW // 1000),
    }


def main() -> None:
    """Print the table."""
    rsa_key, ed25519_key = make_rsa(), make_ed25519()
    rsa = SigningPlan(
        domain="shop.example.com",
        keys=(DkimKey(selector="pb1", algorithm=RSA, private_key=rsa_key),),
    )
    ed25519 = SigningPlan(
        domain="shop.example.com",
        keys=(DkimKey(selector="pb2", algorithm=ED25519, private_key=ed25519_key),),
    )
    for size in (4096, 102_400):
        for kind, line in BODIES.items():
            body = line * ((size - len(HEAD)) // len(line))
            for name, call in parts(HEAD + b"\r\n" + body, rsa, ed25519).items():
                print(f"{size // 1024:4} KB {kind:7} {name:13} {median_us(call, 200):8.1f} µs")
    mailbox = median_us(lambda: parse_mailbox("jane@example.net", smtputf8=False), 5000)
    stored = to_der(rsa_key)
    print(
        f"parse_mailbox {mailbox:.2f} µs, load_own(RSA) {median_us(lambda: load_own(stored), 50):.1f} µs"
    )


if __name__ == "__main__":
    main()
