"""Rules of TLS reports (RFC 8460), pure: who wants them where, when they leave, what they say."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from appliance.tls_reports.model import Line, Reporter
    from mta.transport.tls_results import AppliedPolicy, TlsResult

MAX_DESTINATIONS: Final = 5
_EARLIEST: Final = 15 * clock.MINUTE  # the last counts of the day are in by then
_SPREAD: Final = 4 * clock.HOUR
_DOMAIN: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_MAILBOX: Final = re.compile(r"[A-Za-z0-9.!#$&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9._-]{1,253}")


def begins_at(day: int, hostname: str) -> int:
    """When the reports of a day leave: some hours after it, each box at a time of its own."""
    spread = int.from_bytes(hashlib.sha256(f"{hostname} {day}".encode()).digest()[:8], "big")
    return day + clock.DAY + _EARLIEST + spread % (_SPREAD - _EARLIEST)


def report_id(day: int, domain: str, hostname: str) -> str:
    """The same at every try: receivers know a double by it."""
    return f"{clock.aware(day):%Y-%m-%d}.{domain}@{hostname}"


def wanted_by(domain: str) -> str | None:
    """The name whose TXT record says where reports go; None for what is no plain domain name."""
    return f"_smtp._tls.{domain}" if _DOMAIN.fullmatch(domain) else None


def destinations(texts: Iterable[str]) -> tuple[str, ...]:
    """`mailto:address` and `https://...` of the one TLSRPTv1 record; () without (RFC 8460 section 3)."""
    records = [text for text in texts if re.match(r"v=TLSRPTv1[ \t]*;", text)]
    if len(records) != 1:
        return ()
    for field in records[0].split(";")[1:]:
        name, _, value = field.partition("=")
        if name.strip() == "rua":
            found = (_destination(uri.strip()) for uri in value.split(","))
            return tuple(dict.fromkeys(filter(None, found)))[:MAX_DESTINATIONS]
    return ()


def _destination(uri: str) -> str:
    """The URI as we use it, "" for one we cannot."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "mailto":
        address = unquote(rest.partition("?")[0])
        return f"mailto:{address}" if _MAILBOX.fullmatch(address) else ""
    is_url = scheme.lower() == "https" and uri.isascii() and uri.isprintable()
    return uri if is_url and _host_of(uri) else ""


def _host_of(uri: str) -> str:
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:  # "https://[": no address that could be asked
        return ""


def report(lines: Sequence[Line], reporter: Reporter, day: int, domain: str) -> dict[str, Any]:
    """The report as RFC 8460 section 4.4 writes it."""
    by_policy: dict[AppliedPolicy, list[Line]] = defaultdict(list)
    for line in lines:
        by_policy[line.result.policy].append(line)
    return {
        "organization-name": reporter.organisation,
        "date-range": {
            "start-datetime": _moment(day),
            "end-datetime": _moment(day + clock.DAY - clock.SECOND),
        },
        "contact-info": reporter.contact,
        "report-id": report_id(day, domain, reporter.hostname),
        "policies": [
            _policy(policy, found) for policy, found in sorted(by_policy.items(), key=_key)
        ],
    }


def packed(document: dict[str, Any]) -> bytes:
    """A report as it travels: JSON, compressed; the same octets at every try."""
    return gzip.compress(json.dumps(document, indent=1).encode(), mtime=0)


def _moment(ms: int) -> str:
    return f"{clock.aware(ms):%Y-%m-%dT%H:%M:%SZ}"


def _key(entry: tuple[AppliedPolicy, list[Line]]) -> tuple[str, tuple[str, ...]]:
    return entry[0].type, entry[0].lines


def _policy(policy: AppliedPolicy, lines: Sequence[Line]) -> dict[str, Any]:
    failed = [line for line in lines if line.result.failure is not None]
    said: dict[str, Any] = {"policy-type": policy.type, "policy-domain": policy.domain}
    if policy.lines:
        said["policy-string"] = list(policy.lines)
    if policy.mx:
        said["mx-host"] = list(policy.mx)
    entry: dict[str, Any] = {
        "policy": said,
        "summary": {
            "total-successful-session-count": sum(x.count for x in lines if x not in failed),
            "total-failure-session-count": sum(x.count for x in failed),
        },
    }
    if failed:
        entry["failure-details"] = [
            _failure(line.result, line.count) for line in sorted(failed, key=lambda x: -x.count)
        ]
    return entry


def _failure(result: TlsResult, count: int) -> dict[str, Any]:
    """What is not known is left out."""
    said = {
        "result-type": result.failure,
        "sending-mta-ip": result.source,
        "receiving-mx-hostname": result.host,
        "receiving-ip": result.address,
        "failed-session-count": count,
        "failure-reason-code": result.reason,
    }
    return {name: value for name, value in said.items() if value}
