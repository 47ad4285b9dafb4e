"""Rules of webhooks, pure: what an endpoint may be, when an event is tried again, what an answer means."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import idna

from appliance.core.clock import HOUR, SECOND
from appliance.core.errors import UsageError
from appliance.webhooks.model import TYPES, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_PER_TENANT: Final = 20
MAX_URL: Final = 2000
MAX_DESCRIPTION: Final = 200
MAX_RETRY_AFTER: Final = HOUR
JITTER: Final = 0.2
SMTP: Final = 25
_PORTS: Final = {"https": 443, "http": 80}
_UNPRINTED: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# As browsers and libc read them, these are addresses: 127.1, 0x7f000001, 2130706433, 0177.0.0.1.
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")
_NOT_ASCII: Final = re.compile(r"[^\x21-\x7e]")
_TRY_LATER: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL as it is asked."""

    scheme: str
    host: str  # a name in A-labels, or an address without brackets
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """In one spelling."""
        return f"{self.scheme}://{self.authority}{self.path}"


@lru_cache(maxsize=4096)  # asked for every attempt
def target_of(url: str) -> Target:
    """The parts of a URL. Raises UsageError naming what is wrong."""
    if len(url) > MAX_URL:
        raise _wrong(f"it is longer than {MAX_URL} characters")
    if _UNPRINTED.search(url):
        raise _wrong("it has a blank, a backslash or a control character in it")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _wrong(f"it is no URL: {error}") from error
    if parts.scheme not in _PORTS:
        raise _wrong("it does not begin with https://")
    if "@" in parts.netloc:
        raise _wrong("it holds a user name: a webhook proves itself by its signature")
    if "[" in parts.netloc and ":" not in host:
        raise _wrong("its host is no address, and stands in brackets")
    if "#" in url:
        raise _wrong("it has a fragment (#), which is never sent")
    return Target(
        scheme=parts.scheme,
        host=_host(host),
        port=_port(_PORTS[parts.scheme] if port is None else port),
        path=_path(parts.path, parts.query),
    )


def checked_url(url: str, *, allow_http: bool) -> Target:
    """The URL of a new endpoint."""
    target = target_of(url.strip())
    if target.scheme == "http" and not allow_http:
        raise _wrong("it is not encrypted: use https://, or set webhooks.allow_http")
    return target


def _host(host: str) -> str:
    name = host.rstrip(".")
    address = _address(name)
    if address:
        return address
    try:
        plain = name if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise _wrong(f"its host is no name: {error}") from error
    labels = plain.lower().split(".")
    if len(plain) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise _wrong("its host is no name: write https://hooks.example.com/path")
    if _NUMBER.fullmatch(labels[-1]):
        raise _wrong("its host is a number: write an address with four parts, as in 192.0.2.1")
    return ".".join(labels)


def _address(host: str) -> str:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.scope_id:
        raise _wrong("its address names an interface of this machine")
    return str(found)


def _port(port: int) -> int:
    if port in (0, SMTP):
        raise _wrong(f"nothing is ever posted to port {port}")
    return port


def _path(path: str, query: str) -> str:
    text = (path or "/") + (f"?{query}" if query else "")
    return _NOT_ASCII.sub(lambda found: "".join(f"%{o:02X}" for o in found[0].encode()), text)


def _wrong(words: str) -> UsageError:
    return UsageError(f"this URL cannot be an endpoint: {words}", field="url")


def checked_types(types: Iterable[str]) -> tuple[str, ...]:
    """The chosen types, in the order of the list."""
    chosen = set(types)
    unknown = sorted(chosen.difference(TYPES))
    if unknown:
        raise UsageError(
            f"{unknown[0][:60]!r} is no type of event: there are {', '.join(TYPES)}", field="types"
        )
    if not chosen:
        raise UsageError("choose at least one type of event", field="types")
    return tuple(one for one in TYPES if one in chosen)


def checked_description(text: str) -> str:
    """Words for people."""
    words = " ".join(text.split())
    if len(words) > MAX_DESCRIPTION or not words.isprintable():
        raise UsageError(
            f"a description has at most {MAX_DESCRIPTION} characters, all of them printable",
            field="description",
        )
    return words


def outcome_of(status: int) -> Outcome:
    """What the status of an answer means. Redirects are not followed: they are refusals."""
    if 200 <= status < 300:
        return Outcome.TAKEN
    if status == 410:
        return Outcome.GONE
    if status >= 500 or status in _TRY_LATER:
        return Outcome.FAILED
    return Outcome.REFUSED


def wait_ms(waits: Sequence[float], failures: int, roll: float) -> int:
    """How long to wait after so many failures; `roll` (0 to 1) spreads what failed at once."""
    seconds = waits[min(max(failures, 1), len(waits)) - 1]
    return int(seconds * SECOND * (1 - JITTER + 2 * JITTER * roll))


def retry_after_ms(text: str) -> int:
    """What a Retry-After header asks for, bounded; only seconds are understood, 0 = nothing."""
    asked = text.strip()
    if not (asked.isascii() and asked.isdecimal()):
        return 0
    return min(int(asked[:9]) * SECOND, MAX_RETRY_AFTER)
