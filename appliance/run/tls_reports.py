"""TLS reports at work: the worker sends yesterday's to every domain that asks for them.

Once a day, some hours after midnight (UTC), by mail through the box's own queue or by HTTPS. A report is
claimed, sent, marked: a worker that dies in between sends it again under the same id. A mail has that id
as its idempotency key, so it is queued once; a POST may come twice, and receivers know it by its id. Mail
is done once it is in the queue, where nothing is demanded of TLS for it; a POST that fails is tried again
hourly for a day.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from appliance.core import clock, tasks
from appliance.core.dns import DnsTemporaryError, NoRecordError, NoSuchNameError, Resolver
from appliance.core.errors import StoreError
from appliance.run.handover import BOX_CREDENTIAL, BOX_TENANT
from appliance.tls_reports import (
    Due,
    Reporter,
    TlsReports,
    begins_at,
    destinations,
    packed,
    report,
    report_id,
    report_mail,
    wanted_by,
)
from mta.message import Client, RecipientRequest, Source, Submission
from mta.policy.refusal import Refused
from mta.transport.https import HttpsClient, HttpsFailed

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from appliance.core.settings import Settings

CLAIMED_AT_ONCE: Final = 50
_SENT_AT_ONCE: Final = 10
_POST_SECONDS: Final = 30.0
_CONTENT_TYPE: Final = "application/tlsrpt+gzip"
log = logging.getLogger(__name__)

Submit = Callable[[Submission], Awaitable[int]]


class TlsReporter:
    """The worker's loop."""

    def __init__(
        self,
        *,
        reports: TlsReports,
        reporter: Reporter,
        resolver: Resolver,
        https: HttpsClient,
        submit: Submit,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        """`submit` hands a message to the queue; raises Refused or StoreError."""
        self._reports, self._reporter = reports, reporter
        self._resolver, self._https, self._submit, self._now = resolver, https, submit, now
        self._opened = -1  # the last day (ms) whose reports were opened

    async def step(self) -> bool:
        """Send some of the reports that are due; True when more may be."""
        await self._open()
        claimed = await self._reports.claim(CLAIMED_AT_ONCE)
        slots = asyncio.Semaphore(_SENT_AT_ONCE)

        async def send(due: Due) -> None:
            async with slots:
                await tasks.guard(self._send(due), name=f"tls report to {due.domain}")

        await asyncio.gather(*map(send, claimed))
        return len(claimed) == CLAIMED_AT_ONCE

    async def _open(self) -> None:
        now = self._now()
        day = now - now % clock.DAY - clock.DAY
        if now < begins_at(day, self._reporter.hostname):
            day -= clock.DAY  # that one may be open: nobody worked for a day
        if self._opened < day:
            await self._reports.open(day + clock.DAY)
            await self._reports.forget()
            self._opened = day

    async def _send(self, due: Due) -> None:
        try:
            wanted = await self._wanted(due.domain)
        except DnsTemporaryError as error:
            await self._reports.not_sent(due, str(error))
            return
        lines = await self._reports.lines(due) if wanted else []
        if not lines:
            await self._reports.unwanted(due)
            return
        body = packed(report(lines, self._reporter, due.day, due.domain))
        try:
            said = [await self._deliver(destination, body, due) for destination in wanted]
        except StoreError as error:
            await self._reports.postponed(due, str(error))
            return
        words = "; ".join(
            f"{destination}: {why or 'sent'}" for destination, why in zip(wanted, said, strict=True)
        )
        if all(said):
            log.info("the TLS report for %s cannot be delivered: %s", due.domain, words)
            await self._reports.not_sent(due, words)
        else:
            await self._reports.sent(due, words)

    async def _wanted(self, domain: str) -> tuple[str, ...]:
        name = wanted_by(domain)
        if name is None:
            return ()
        try:
            found = destinations((await self._resolver.txt(name)).values)
            # Mail first: while the queue takes none, nothing is posted either, and so nothing twice.
            return tuple(sorted(found, key=lambda uri: not uri.startswith("mailto:")))
        except (NoSuchNameError, NoRecordError):
            return ()

    async def _deliver(self, destination: str, body: bytes, due: Due) -> str:
        """Why it could not be handed over; "" when it could. Raises StoreError: not by our own queue."""
        scheme, _, address = destination.partition(":")
        try:
            if scheme == "mailto":
                await self._submit(self._submission(address, body, due))
                return ""
            answer = await self._https.post(destination, body, _CONTENT_TYPE, seconds=_POST_SECONDS)
        except (HttpsFailed, Refused) as error:
            return str(error)
        return "" if 200 <= answer.status < 300 else f"the server answered {answer.status}"

    def _submission(self, to: str, body: bytes, due: Due) -> Submission:
        now, who = self._now(), self._reporter
        mail = report_mail(to, body, who, day=due.day, domain=due.domain, now=now)
        unique = f"{report_id(due.day, due.domain, who.hostname)} {to}"
        key = hashlib.sha256(unique.encode()).hexdigest()
        controls = (
            f"X-Pillarbox-Idempotency-Key: tlsrpt {key}\r\nX-Pillarbox-Class: transactional\r\n"
        )
        return Submission(
            source=Source.TLS_REPORT,
            tenant=BOX_TENANT,
            credential=BOX_CREDENTIAL,
            client=Client(address="", port=0, helo="", tls="", protocol="LOCAL"),
            envelope_from="",
            recipients=(RecipientRequest(address=to),),
            data=controls.encode("ascii") + mail,
            received_at=now,
        )


def tls_reporter(settings: Settings, engine: AsyncEngine, submit: Submit) -> TlsReporter:
    """The worker's reporter, as the settings ask for it."""
    hostname, options = settings.box.hostname.lower(), settings.tls_reports
    resolver, delivery = Resolver(settings.dns), settings.delivery
    return TlsReporter(
        reports=TlsReports(engine),
        reporter=Reporter(
            organisation=options.organisation or hostname,
            contact=options.contact or f"postmaster@{hostname}",
            hostname=hostname,
        ),
        resolver=resolver,
        https=HttpsClient(
            resolver, ipv6=delivery.ipv6, allow_private=delivery.allow_private_addresses
        ),
        submit=submit,
    )
