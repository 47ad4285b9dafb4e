"""Rules: what is wrong in settings whose types are right; one small check per kind of text.

`problems()` returns (path, words) for all it finds, so that the loader can name the lines. Pure.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.core.settings import Settings
    from appliance.core.settings_lines import Path

Problem = tuple["Path", str]
# RFC 5321 section 2.3.5 with the underscore that real zones have; A-labels only, as HELO needs.
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_PROVIDER: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_MAILBOX: Final = re.compile(r"[^\s@<>]{1,64}@[^\s@<>]+")


def problems(settings: Settings) -> list[Problem]:
    """All that is wrong, each with the path of its option."""
    return [
        *_texts(settings),
        *_listeners(settings),
        *_networks(settings),
        *_nameservers(settings),
        *_pairs(settings),
        *_sign_in(settings),
    ]


def _texts(settings: Settings) -> Iterator[Problem]:
    box, delivery = settings.box, settings.delivery
    texts: tuple[tuple[Path, str, Callable[[str], str | None]], ...] = (
        (("box", "hostname"), box.hostname or " ", wrong_domain),
        (("box", "postmaster"), box.postmaster, wrong_mailbox),
        (("box", "bounce_domain"), box.bounce_domain, wrong_domain),
        (("delivery", "helo"), delivery.helo, wrong_domain),
        (("delivery", "source_address"), delivery.source_address, wrong_ipv4),
        (("delivery", "smarthost", "host"), delivery.smarthost.host, wrong_host),
        (("tls_reports", "contact"), settings.tls_reports.contact, wrong_mailbox),
        (("warmup", "timezone"), settings.warmup.timezone or " ", wrong_zone),
        (("web", "public_url"), settings.web.public_url, wrong_public_url),
        (("database", "url"), settings.database.url, wrong_database),
    )
    for path, text, wrong in texts:
        words = wrong(text) if text else None
        if words is not None:
            yield path, words


def _listeners(settings: Settings) -> Iterator[Problem]:
    for name in settings.listeners.__struct_fields__:
        address = getattr(settings.listeners, name).address
        words = wrong_address(address) if address else None
        if words is not None:
            yield ("listeners", name, "address"), words


def _networks(settings: Settings) -> Iterator[Problem]:
    submission = settings.submission
    for index, trusted in enumerate(submission.trusted_networks):
        path: Path = ("submission", "trusted_networks", index)
        words = wrong_network(trusted.network)
        if words is not None:
            yield (*path, "network"), words
        if not trusted.tenant:
            yield (*path, "tenant"), "is empty; give the name of a tenant"
    for index, network in enumerate(submission.proxy_networks):
        words = wrong_network(network)
        if words is not None:
            yield ("submission", "proxy_networks", index), words
    for index, network in enumerate(settings.web.proxies):
        words = wrong_network(network)
        if words is not None:
            yield ("web", "proxies", index), words
    for index, network in enumerate(settings.webhooks.allow_networks):
        words = wrong_network(network)
        if words is not None:
            yield ("webhooks", "allow_networks", index), words


def _nameservers(settings: Settings) -> Iterator[Problem]:
    for index, server in enumerate(settings.dns.nameservers):
        try:
            nameserver(server)
        except ValueError as error:
            yield ("dns", "nameservers", index), str(error)
    for index, address in enumerate(settings.dns.trusted):
        words = wrong_address(address) or _not_asked(address, settings.dns.nameservers)
        if words is not None:
            yield ("dns", "trusted", index), words


def _not_asked(trusted: str, servers: tuple[str, ...]) -> str | None:
    """Why trusting this name server does nothing."""
    asked = set()
    for server in servers:
        with contextlib.suppress(ValueError):
            asked.add(ipaddress.ip_address(nameserver(server)[0]))
    if not servers or ipaddress.ip_address(trusted) in asked:
        return None
    return f"{trusted} is never asked: it is not in dns.nameservers"


def _pairs(settings: Settings) -> Iterator[Problem]:
    """Options that only make sense together."""
    tls, smarthost, dns = settings.tls, settings.delivery.smarthost, settings.dns
    if bool(tls.certificate) != bool(tls.private_key):
        missing = "private_key" if tls.certificate else "certificate"
        yield ("tls", missing), "is missing; give certificate and private_key, or neither"
    if bool(smarthost.username) != bool(smarthost.password):
        missing = "password" if smarthost.username else "username"
        yield (
            ("delivery", "smarthost", missing),
            "is missing; give username and password, or neither",
        )
    if smarthost.username and smarthost.tls in ("none", "opportunistic"):
        yield (
            ("delivery", "smarthost", "tls"),
            f'"{smarthost.tls}" could send the password in the clear; '
            'with a username only "required" or "implicit" is allowed',
        )
    yield from _backups(settings)
    if dns.min_ttl > dns.max_ttl:
        yield ("dns", "min_ttl"), f"{dns.min_ttl} is more than dns.max_ttl, {dns.max_ttl}"


def _sign_in(settings: Settings) -> Iterator[Problem]:
    known: set[str] = set()
    for index, provider in enumerate(settings.sign_in.providers):
        path: Path = ("sign_in", "providers", index)
        if not _PROVIDER.fullmatch(provider.name) or provider.name in known:
            yield (*path, "name"), "is not a short name of its own: letters, digits and hyphens"
        known.add(provider.name)
        if not _is_safe_url(provider.issuer):
            yield (*path, "issuer"), f'"{provider.issuer}" is not an https:// address'
        for name in ("client_id", "client_secret"):
            if not getattr(provider, name):
                yield (*path, name), "is missing; the issuer gives it when the box is made known"
    if settings.sign_in.session_idle > settings.sign_in.session_life:
        yield ("sign_in", "session_idle"), "is more than sign_in.session_life"


def _backups(settings: Settings) -> Iterator[Problem]:
    backup = settings.backup
    if backup.directory and not backup.directory.startswith("/"):
        yield ("backup", "directory"), f'"{backup.directory}" is not an absolute path'
    if backup.directory and not backup.key_file:
        yield ("backup", "key_file"), "is missing; make one with `pillarbox backup new-key FILE`"
    if backup.directory and settings.database.url:
        words = "is for embedded files; PostgreSQL makes its own backups (pg_dump): leave it empty"
        yield ("backup", "directory"), words


def nameserver(text: str) -> tuple[str, int]:
    """Address and port of "192.0.2.1", "192.0.2.1:5353", "2001:db8::1" or "[2001:db8::1]:53"."""
    address, port = text, "53"
    if text.startswith("["):
        address, _, port = text[1:].partition("]:")
    elif text.count(":") == 1:
        address, port = text.split(":")
    number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else 0
    if _is_address(address) and 1 <= number <= 65535:
        return address, number
    raise ValueError(
        f'"{text}" is not a nameserver; write "192.0.2.1", "192.0.2.1:5353" or "[2001:db8::1]:53"'
    )


def wrong_address(text: str) -> str | None:
    """Why this is not an IP address."""
    return None if _is_address(text) else f'"{text}" is not an IP address, such as 192.0.2.1 or ::'


def wrong_ipv4(text: str) -> str | None:
    """Why this is not an IPv4 address."""
    if _is_address(text) and ":" not in text:
        return None
    return f'"{text}" is not an IPv4 address, such as 192.0.2.1'


def wrong_network(text: str) -> str | None:
    """Why this is not a network."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        return f'"{text}" is not a network, such as 10.1.0.0/16 ({error})'
    return None


def wrong_public_url(text: str) -> str | None:
    """Why browsers cannot reach the console so, or passkeys cannot be bound to it."""
    parts = urlsplit(text if _is_safe_url(text) else "")
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        return (
            f'"{text}" is not an address such as https://mail.example.org (http only for localhost)'
        )
    if _is_address(parts.hostname):
        return f'"{text}" has no host name, which passkeys need: give one, or localhost'
    return None


def _is_safe_url(text: str) -> bool:
    """Https to anywhere, or http to this machine (laboratory)."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_here = host in ("localhost", "127.0.0.1", "::1")
    fits = wrong_host(host) is None and parts.username is None
    return fits and (parts.scheme == "https" or (parts.scheme == "http" and is_here))


def wrong_zone(text: str) -> str | None:
    """Why a text is no time zone."""
    try:
        clock.zone(text)
    except ValueError as error:
        return str(error)
    return None


def wrong_domain(text: str) -> str | None:
    """Why this is not a domain name."""
    if len(text) <= 255 and _DOMAIN.fullmatch(text):
        return None
    return f'"{text.strip()}" is not a domain name, such as mail.example.org (IDN: as xn--...)'


def wrong_host(text: str) -> str | None:
    """Why this is neither a domain name nor an IP address."""
    return None if _is_address(text) else wrong_domain(text)


def wrong_mailbox(text: str) -> str | None:
    """Why this is not a mail address."""
    return (
        None
        if _MAILBOX.fullmatch(text)
        else f'"{text}" is not a mail address, such as admin@example.org'
    )


def wrong_database(text: str) -> str | None:
    """Why this is not a database the box can use. Never repeats the text: it may hold a password."""
    if text.startswith(("postgresql://", "postgres://")):
        return None
    return "is not a PostgreSQL address, postgresql://user:password@host/name; empty means SQLite"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
