"""A small OpenID Connect issuer on loopback that lies when told to.

async with TestIssuer() as issuer: ... issuer.claims |= {"aud": "somebody else"}
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from functools import cache
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "box", "issuer secret"


class TestIssuer:
    """Signs what `claims` say, with `key` and `algorithm`; every answer can be replaced."""

    __test__ = False

    def __init__(self) -> None:
        self.key = new_key("one")
        self.published = [self.key]
        self.algorithm, self.header = "RS256", {"kid": "one"}
        self.claims: dict[str, Any] = {}  # over those that are right
        self.answers: dict[str, tuple[int, bytes]] = {}  # path: status and body, in place of ours
        self.asked: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}  # what a browser was sent with
        self.now = 0
        self.url = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        await asyncio.sleep(0)

    def consent(self, url: str, code: str = "a code") -> str:
        """A person says yes in the browser that was sent here; the state that goes back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        self.codes[code] = query
        return query["state"]

    def id_token(self, nonce: str) -> str:
        now = self.now or int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": "42",
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "email": "ada@acme.example",
            "email_verified": True,
            "name": "Ada Lovelace",
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.algorithm == "none":
            parts = ({"alg": "none", "typ": "JWT"}, claims)
            return ".".join(_plain(json.dumps(part).encode()) for part in parts) + "."
        if self.algorithm == "HS256":
            return _confused(claims, self.key.as_pem(private=False))
        return jwt.encode(
            {"alg": self.algorithm, **self.header}, claims, self.key, algorithms=[self.algorithm]
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        length = next(
            (int(line[15:]) for line in head if line.lower().startswith("content-length:")), 0
        )
        form = parse_qs((await reader.readexactly(length)).decode())
        self.asked.append(f"{method} {path}")
        status, body = self.answers.get(path) or self._answer(path, form)
        writer.write(
            f"HTTP/1.1 {status} whatever\r\nContent-Type: application/json\r\n"
            f"Location: {self.url}/elsewhere\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        try:
            await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()

    def _answer(self, path: str, form: dict[str, list[str]]) -> tuple[int, bytes]:
        if path == "/.well-known/openid-configuration":
            found: dict[str, Any] = {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
            }
        elif path == "/keys":
            found = {"keys": [key.as_dict(private=False) for key in self.published]}
        elif path == "/token":
            return self._token({name: values[0] for name, values in form.items()})
        else:
            return 404, b"{}"
        return 200, json.dumps(found).encode()

    def _token(self, form: dict[str, str]) -> tuple[int, bytes]:
        sent = self.codes.pop(form.get("code", ""), None)
        proof = _plain(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        is_right = (
            sent is not None
            and (form["client_id"], form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
            and form["redirect_uri"] == sent["redirect_uri"]
            and proof == sent["code_challenge"]
        )
        if not is_right or sent is None:
            return 400, b'{"error": "invalid_grant"}'
        answer = {
            "access_token": "x",
            "token_type": "Bearer",
            "id_token": self.id_token(sent["nonce"]),
        }
        return 200, json.dumps(answer).encode()


@cache
def new_key(name: str) -> RSAKey:
    """A key of its own for each name; making one takes a while."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig"})


def _confused(claims: dict[str, Any], public: bytes) -> str:
    """Signed with the public key as if it were a shared secret: the classic confusion."""
    parts = ({"alg": "HS256", "typ": "JWT", "kid": "one"}, claims)
    signed = ".".join(_plain(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{_plain(hmac.digest(public, signed.encode(), 'sha256'))}"


def _plain(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
