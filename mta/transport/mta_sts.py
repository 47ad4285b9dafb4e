"""MTA-STS policies of receivers: fetched when their DNS record names a new one, kept for their max_age.

Promises: mail waits at most WAIT seconds for a policy that the box has never seen, or whose record has
changed; then the fetch goes on behind it. A policy that holds is kept whatever fails (RFC 8461 section
5.1): neither a missing record nor a fetch that fails takes it away, only its max_age or a newer policy.
A kept policy is fetched again once a day in the background. A domain whose policy cannot be had is asked
again after AGAIN at the earliest (section 3.3); until then it counts as having none. Failed fetches are
counted for the domain's TLS reports.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.core import clock, tasks
from mta.transport.https import HttpsFailed
from mta.transport.sts_policy import MAX_BYTES, KeptPolicy, Policy, Unsound, parse
from mta.transport.tls_results import AppliedPolicy, Failure, PolicyType

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.transport.https import HttpsAnswer, HttpsClient
    from mta.transport.mx_cache import StsCache
    from mta.transport.tls_results import TlsResults

WAIT: Final = 10.0
AGAIN: Final = 5 * clock.MINUTE
_FETCH_SECONDS: Final = 60.0
_SHORTEST: Final = clock.MINUTE  # a policy holds so long at least: for the mail it was fetched for
_MAX_DOMAINS: Final = 20_000
_MAX_FETCHES: Final = 50
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """The policy that holds now, if any; from `until` (ms) on it must be asked for again."""

    policy: Policy | None
    until: int


class StsPolicies:
    """One per process; processes share what they fetched through the cache."""

    def __init__(
        self,
        client: HttpsClient,
        results: TlsResults,
        *,
        cache: StsCache | None = None,
        wait: float = WAIT,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._client, self._results, self._cache = client, results, cache
        self._wait, self._now = wait, now
        self._kept: OrderedDict[str, KeptPolicy] = OrderedDict()
        self._failed: OrderedDict[str, int] = OrderedDict()  # not to be fetched before
        self._fetching: dict[str, asyncio.Task[KeptPolicy | None]] = {}
        self._slots = asyncio.Semaphore(_MAX_FETCHES)

    async def find(self, domain: str, sts_id: str) -> Found | None:
        """The policy of a domain whose record names `sts_id` ("" without a record); None: never one."""
        kept = self._remembered(domain)
        if kept is None and not sts_id:
            return None
        if kept is not None and sts_id in ("", kept.id):
            if not self._is_fresh(kept):
                self._fetch(domain, kept.id)
        elif task := self._fetch(domain, sts_id):
            await asyncio.wait((task,), timeout=self._wait)
            kept = self._remembered(domain)
        return Found(kept.policy if kept is not None else None, self._until(domain, kept))

    def _until(self, domain: str, kept: KeptPolicy | None) -> int:
        soon = self._now() + clock.MINUTE  # a fetch that is under way
        if kept is None or not self._is_fresh(kept):
            return max(self._failed[domain], soon) if self._has_failed(domain) else soon
        return min(kept.expires_at, _fresh_until(kept))

    def _remembered(self, domain: str) -> KeptPolicy | None:
        kept = self._kept.get(domain)
        if kept is None or not self._is_fresh(kept):
            # Another process may have fetched it meanwhile.
            kept = (self._cache.get(domain) if self._cache is not None else None) or kept
            if kept is not None:
                self._remember(domain, kept)
        return kept if kept is not None and kept.expires_at > self._now() else None

    def _remember(self, domain: str, kept: KeptPolicy) -> None:
        self._kept[domain] = kept
        self._kept.move_to_end(domain)
        if len(self._kept) > _MAX_DOMAINS:
            self._kept.popitem(last=False)

    def _fetch(self, domain: str, sts_id: str) -> asyncio.Task[KeptPolicy | None] | None:
        """The fetch under way; None where one has just failed."""
        task = self._fetching.get(domain)
        if task is None and not self._has_failed(domain):
            task = tasks.spawn(self._load(domain, sts_id), name=f"mta-sts {domain}")
            self._fetching[domain] = task
            task.add_done_callback(lambda _: self._fetching.pop(domain, None))
        return task

    async def _load(self, domain: str, sts_id: str) -> KeptPolicy | None:
        url = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
        try:
            async with self._slots:
                answer = await self._client.get(url, limit=MAX_BYTES, seconds=_FETCH_SECONDS)
            policy = _read(answer)
        except HttpsFailed as error:
            kind = Failure.STS_WEBPKI if error.is_certificate else Failure.STS_FETCH
            self._note_failure(domain, kind, str(error))
            return None
        except Unsound as error:
            self._note_failure(domain, Failure.STS_INVALID, str(error))
            return None
        self._failed.pop(domain, None)
        now = self._now()
        lasts = max(policy.max_age * clock.SECOND, _SHORTEST)
        kept = KeptPolicy(policy=policy, id=sts_id, fetched_at=now, expires_at=now + lasts)
        self._remember(domain, kept)
        if self._cache is not None:
            self._cache.put(domain, kept)
        return kept

    def _is_fresh(self, kept: KeptPolicy) -> bool:
        # What was fetched at a time yet to come was fetched before the clock stepped back.
        return kept.fetched_at <= self._now() < _fresh_until(kept)

    def _has_failed(self, domain: str) -> bool:
        """Whether the last fetch failed just now."""
        return 0 < self._failed.get(domain, 0) - self._now() <= AGAIN

    def _note_failure(self, domain: str, kind: Failure, words: str) -> None:
        _log.info("the MTA-STS policy of %s cannot be had: %s", domain, words)
        self._failed[domain] = self._now() + AGAIN
        self._failed.move_to_end(domain)
        if len(self._failed) > _MAX_DOMAINS:
            self._failed.popitem(last=False)
        self._results.failed(AppliedPolicy(type=PolicyType.STS, domain=domain), kind, words)


def _fresh_until(kept: KeptPolicy) -> int:
    """When it should be looked at again: daily, or half-way through a shorter life."""
    return kept.fetched_at + min(clock.DAY, (kept.expires_at - kept.fetched_at) // 2)


def _read(answer: HttpsAnswer) -> Policy:
    """The policy in an answer (RFC 8461 section 3.3). Raises HttpsFailed or Unsound."""
    if answer.status != 200:
        raise HttpsFailed(f"the server answered {answer.status}")
    if answer.content_type != "text/plain":
        raise Unsound(f"the policy is {answer.content_type or 'of no type'}, not text/plain")
    try:
        return parse(answer.body.decode("ascii"))
    except UnicodeDecodeError as error:
        raise Unsound("the policy is not ASCII") from error
