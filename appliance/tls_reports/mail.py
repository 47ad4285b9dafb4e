"""A TLS report as mail (RFC 8460 section 5.3): multipart/report, the report as a compressed attachment.

Pure. It asks the relays behind us not to insist on TLS for it (TLS-Required: no, RFC 8689): a report on
broken TLS must arrive where TLS is broken.
"""

from __future__ import annotations

import base64
import hashlib
import textwrap
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.tls_reports.rules import report_id

if TYPE_CHECKING:
    from appliance.tls_reports.model import Reporter

_LINE: Final = 76


def report_mail(
    to: str, body: bytes, reporter: Reporter, *, day: int, domain: str, now: int
) -> bytes:
    """The whole message; its From is the postmaster of the box, whose key signs it."""
    unique = report_id(day, domain, reporter.hostname)
    boundary = "=_" + hashlib.sha256(unique.encode()).hexdigest()[:32]
    begin, end = day // clock.SECOND, (day + clock.DAY) // clock.SECOND - 1
    name = f"{reporter.hostname}!{domain}!{begin}!{end}.json.gz"
    written = "\r\n".join(textwrap.wrap(base64.b64encode(body).decode("ascii"), _LINE))
    digest = hashlib.sha256(f"{unique} {to}".encode()).hexdigest()[:32]
    return (
        f"From: TLS reports <postmaster@{reporter.hostname}>\r\n"
        f"To: <{to}>\r\n"
        f"Subject: Report Domain: {domain}\r\n Submitter: {reporter.hostname}\r\n"
        f" Report-ID: <{unique}>\r\n"
        f"Date: {format_datetime(clock.aware(now))}\r\n"
        f"Message-ID: <tlsrpt-{digest}@{reporter.hostname}>\r\n"
        f"TLS-Report-Domain: {domain}\r\n"
        f"TLS-Report-Submitter: {reporter.hostname}\r\n"
        "TLS-Required: no\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type="tlsrpt";\r\n boundary="{boundary}"\r\n'
        "\r\n"
        f"--{boundary}\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "\r\n"
        f"This is an aggregate TLS report from {reporter.hostname} (RFC 8460):\r\n"
        f"how it could secure its connections for mail to {domain}\r\n"
        f"on {clock.aware(day):%Y-%m-%d} (UTC).\r\n"
        f"\r\n--{boundary}\r\n"
        "Content-Type: application/tlsrpt+gzip\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        f'Content-Disposition: attachment;\r\n filename="{name}"\r\n'
        "\r\n"
        f"{written}\r\n"
        f"--{boundary}--\r\n"
    ).encode("ascii")
