"""Login: SMTP AUTH against the directory's credentials.

An unknown user costs the same time and gets the same answer as a wrong password. Failures are
counted per client network and per user over ten minutes: each makes the next answer slower, and
from a limit on further tries hear `421 4.7.0` unlooked-at until older ones are forgotten. An address
from which the same user logged in within a day is not shut out by what others try under that name:
somebody who guesses at a login must not be able to switch it off.

Refuses with 535 5.7.8 (wrong, revoked, expired, not from here), 421 4.7.0 (too many), 454 4.7.0 (the
key to the stored secret is missing). Never logs a password.
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.errors import SecretError
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mta.directory import Credential, Directory
    from mta.submission.failures import FailureLedger

MAX_DELAY: Final = 30.0
KNOWN_FOR: Final = clock.DAY
MAX_KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Use:
    """When and from where a credential was last used."""

    address: str
    at: int
    tls: str = ""


@dataclass(frozen=True, slots=True)
class Rebuff:
    """That a credential, or somebody who tried to sign in as it, was refused."""

    at: int
    sender: str  # of the envelope; "" for a sign-in
    words: str  # the reply


class Uses:
    """Last use and last refusal of each credential, kept until the roof writes them down."""

    def __init__(self) -> None:
        self._uses: dict[int, Use] = {}
        self._rebuffs: dict[int, Rebuff] = {}

    def note_use(self, credential_id: int, address: str, now: int, tls: str = "") -> None:
        """The latest use is the one that counts."""
        self._uses[credential_id] = Use(address, now, tls)

    def note_rebuff(self, credential_id: int, sender: str, words: str, now: int) -> None:
        """The latest refusal is the one that is told."""
        self._rebuffs[credential_id] = Rebuff(now, sender, words)

    def drain(self) -> dict[int, Use]:
        """Uses since the last call, by credential."""
        uses, self._uses = self._uses, {}
        return uses

    def drain_rebuffs(self) -> dict[int, Rebuff]:
        """Refusals since the last call, by credential."""
        rebuffs, self._rebuffs = self._rebuffs, {}
        return rebuffs


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRules:
    """How failures are answered (`submission.login_failures`, `submission.login_delay`)."""

    failures: int
    delay: float


class Login:
    """Checks logins for one process."""

    def __init__(  # noqa: PLR0913 - collaborators, by keyword, set once by the wiring
        self,
        *,
        directory: Callable[[], Directory],
        matches: Callable[[str, bytes], bool],
        ledger: FailureLedger,
        rules: LoginRules,
        decoy: bytes,
        now: Callable[[], int] = clock.now_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`decoy`: a stored hash of nobody's secret, checked where a user is unknown."""
        self.failed = 0
        self._directory, self._matches, self._ledger = directory, matches, ledger
        self._rules, self._decoy, self._now, self._sleep = rules, decoy, now, sleep
        self._known: dict[tuple[str, str], int] = {}

    async def check(self, address: str, username: str, password: str) -> Credential:
        """The credential that logs in, or Refused."""
        user, network = username.lower()[:255], network_of(address)
        keys = (f"user:{user}", f"net:{network}")
        is_known = self._now() - self._known.get((user, network), -KNOWN_FOR) < KNOWN_FOR
        watched = keys[1:] if is_known else keys
        if max(map(self._ledger.count, watched)) >= self._rules.failures:
            raise Refused(421, "4.7.0", "too many failed logins; try again in ten minutes")
        credential = self._directory().credentials.get(user)
        if not self._is_right(credential, password) or credential is None:
            await self._fail(keys, user)
        else:
            check_usable(credential, address, self._now())
            self._remember((user, network))
            return credential
        raise Refused(535, "5.7.8", "user name or password is wrong", log=f"login failed: {user!r}")

    def _is_right(self, credential: Credential | None, password: str) -> bool:
        stored = self._decoy if credential is None else credential.secret_hash
        try:
            return self._matches(password, stored)
        except SecretError as error:
            if credential is None:
                return False
            text = "logins cannot be checked now; try again later"
            raise Refused(454, "4.7.0", text, log=f"{credential.username}: {error}") from error

    async def _fail(self, keys: tuple[str, str], user: str) -> None:
        self.failed += 1
        for key in keys:
            self._ledger.record(key)
        failures = max(map(self._ledger.count, keys))
        await self._sleep(min(self._rules.delay * failures, MAX_DELAY))

    def _remember(self, key: tuple[str, str]) -> None:
        self._known.pop(key, None)
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[key] = self._now()


def check_usable(credential: Credential, address: str, now: int) -> None:
    """Whether the credential may be used now and from here; Refused (535) says why not."""
    if credential.revoked:
        raise Refused(535, "5.7.8", "this login was revoked: ask for a new one")
    if credential.expires_at and credential.expires_at <= now:
        raise Refused(535, "5.7.8", "this login has expired: use the one that replaces it")
    if credential.networks:
        ip = ipaddress.ip_address(address)
        if not any(ip in network for network in credential.networks):
            raise Refused(535, "5.7.8", f"this login may not be used from {address}")


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, an IPv6 /64 (one subscriber has all of it)."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
