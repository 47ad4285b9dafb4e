"""Issuer: an OpenID Connect issuer as the box talks to it: discovery, its keys, codes into identities.

Requests go to https alone (to plain http only on this machine, for a laboratory), follow no redirect, take
SECONDS in all and MOST_OCTETS of an answer. What discovery says is kept for an hour; keys are fetched anew
when a token names one that is not known, at most once a minute. An ID token counts only when an asymmetric
signature of the issuer's own keys, issuer, audience, times and nonce are all right.

Fails with IssuerError: `str()` says it in full, for the log; people are told less.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import httpcore
import msgspec
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from appliance.core import clock
from appliance.core.tls import verifying_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from appliance.people.model import Provider

SECONDS: Final = 10.0
MOST_OCTETS: Final = 256 * 1024
DISCOVERY_LIFE: Final = clock.HOUR
KEYS_PAUSE: Final = clock.MINUTE
LEEWAY: Final = 60  # seconds that clocks may differ
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
_HERE: Final = ("localhost", "127.0.0.1", "::1")
_FAULTS: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
_SCOPE: Final = "openid email profile"


class IssuerError(Exception):
    """The issuer does not answer as it must, or what it says is not to be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom an issuer vouches for."""

    email: str
    name: str
    is_email_verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What discovery said, and when."""

    at: int
    authorization: str
    token: str
    keys: str


class Issuer:
    """One issuer; one object per process."""

    def __init__(self, provider: Provider, now: Callable[[], int] = clock.now_ms) -> None:
        self._provider, self._now = provider, now
        self._known: _Known | None = None
        self._keys: KeySet | None = None
        self._keys_at = 0

    @cached_property
    def _context(self) -> ssl.SSLContext:
        """Reading the machine's certificates takes 40 ms: only for those who sign in this way."""
        return verifying_context()

    async def departure(self, redirect: str, *, state: str, nonce: str, challenge: str) -> str:
        """Where to send a browser."""
        known = await self._discovered()
        query = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": redirect,
            "scope": _SCOPE,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        mark = "&" if "?" in known.authorization else "?"
        return f"{known.authorization}{mark}{urlencode(query)}"

    async def identity(self, redirect: str, code: str, *, verifier: str, nonce: str) -> Identity:
        """Who came back with this code."""
        known = await self._discovered()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "client_id": self._provider.client_id,
            "client_secret": self._provider.client_secret,
            "code_verifier": verifier,
        }
        answer = await self._ask(known.token, form)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise IssuerError(f"{known.token} gave no id_token")
        return self._identity(await self._claims(token, nonce))

    async def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        try:
            return self._checked(token, await self._key_set(), nonce)
        except (JoseError, ValueError) as error:
            if not await self._has_newer_keys():
                raise IssuerError(f"the ID token is not to be believed: {error}") from error
        try:
            return self._checked(token, await self._key_set(), nonce)
        except (JoseError, ValueError) as error:
            raise IssuerError(f"the ID token is not to be believed: {error}") from error

    def _checked(self, token: str, keys: KeySet, nonce: str) -> Mapping[str, Any]:
        read = jwt.decode(token, keys, algorithms=list(_ALGORITHMS))
        claims = CodeIDToken(
            read.claims,
            read.header,
            options={
                "iss": {"essential": True, "value": self._provider.issuer},
                "aud": {"essential": True, "value": self._provider.client_id},
            },
            params={"nonce": nonce, "client_id": self._provider.client_id},
        )
        claims.validate(now=self._now() // clock.SECOND, leeway=LEEWAY)
        return dict(claims)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        email, name = claims.get("email"), claims.get("name")
        # Microsoft says it with a claim of its own (xms_edov), as a boolean or as text.
        said = (claims.get("email_verified"), claims.get("xms_edov"))
        is_verified = any(one is True or one in ("true", "1", 1) for one in said)
        return Identity(
            email=email if isinstance(email, str) else "",
            name=name if isinstance(name, str) else "",
            is_email_verified=is_verified or self._provider.trusts_email,
        )

    async def _discovered(self) -> _Known:
        now = self._now()
        if self._known is not None and now - self._known.at < DISCOVERY_LIFE:
            return self._known
        issuer = self._provider.issuer
        found = await self._ask(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise IssuerError(f"{issuer} calls itself {str(found.get('issuer'))[:200]!r}")
        self._known = _Known(
            at=now,
            authorization=_url(found.get("authorization_endpoint")),
            token=_url(found.get("token_endpoint")),
            keys=_url(found.get("jwks_uri")),
        )
        return self._known

    async def _key_set(self) -> KeySet:
        if self._keys is None:
            await self._fetch_keys()
        assert self._keys is not None, "fetching sets them or raises"
        return self._keys

    async def _has_newer_keys(self) -> bool:
        """Fetch the keys again, unless that was done just now; whether it was done."""
        if self._now() - self._keys_at < KEYS_PAUSE:
            return False
        await self._fetch_keys()
        return True

    async def _fetch_keys(self) -> None:
        known = await self._discovered()
        found = await self._ask(known.keys)
        try:
            self._keys = KeySet.import_key_set({"keys": _signing(found)})
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise IssuerError(f"{known.keys} gives no usable keys: {error}") from error
        self._keys_at = self._now()

    async def _ask(self, url: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object behind a URL; a form is posted."""
        checked = _url(url)
        try:
            async with (
                asyncio.timeout(SECONDS),
                httpcore.AsyncConnectionPool(ssl_context=self._context) as pool,
                _asked(pool, checked, form) as response,
            ):
                body = await _read(response)
                if response.status != HTTPStatus.OK:
                    raise IssuerError(f"{checked} answered {response.status}")
                return _object(body)
        except (*_FAULTS, TimeoutError, OSError, ValueError) as error:
            raise IssuerError(f"{checked}: {str(error) or type(error).__name__}") from error


def _asked(
    pool: httpcore.AsyncConnectionPool, url: str, form: Mapping[str, str] | None
) -> AbstractAsyncContextManager[httpcore.Response]:
    headers: dict[bytes | str, bytes | str] = {
        "Host": urlsplit(url).netloc.rpartition("@")[2],
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    if form is None:
        return pool.stream("GET", url, headers=headers)
    body = urlencode(form).encode()
    headers |= {
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body)),
    }
    return pool.stream("POST", url, headers=headers, content=body)


async def _read(response: httpcore.Response) -> bytes:
    octets = bytearray()
    async for piece in response.aiter_stream():
        octets += piece
        if len(octets) > MOST_OCTETS:
            raise ValueError(f"it sends more than {MOST_OCTETS} octets")
    return bytes(octets)


def _object(body: bytes) -> dict[str, Any]:
    found = msgspec.json.decode(body)
    if not isinstance(found, dict):
        raise ValueError("it sends no JSON object")
    return found


def _url(given: object) -> str:
    """A URL that may be asked."""
    parts = urlsplit(given) if isinstance(given, str) else None
    if parts is None or not parts.hostname:
        raise IssuerError(f"{str(given)[:200]!r} is no URL")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _HERE):
        raise IssuerError(f"{str(given)[:200]!r} is not https")
    return parts.geturl()


def _signing(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The public keys among what was sent; a symmetric one signs nothing here."""
    keys = found.get("keys")
    if not isinstance(keys, list):
        raise ValueError("there is no list of keys")
    return [
        key
        for key in keys
        if isinstance(key, dict)
        and key.get("kty") in ("RSA", "EC", "OKP")
        and key.get("use", "sig") == "sig"
    ]
