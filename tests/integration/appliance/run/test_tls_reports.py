"""MTA-20: yesterday's TLS reports go to those who ask for them, once, by mail and by HTTPS."""

from __future__ import annotations

import email
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appliance.core import clock
from appliance.core.dns import Resolver
from appliance.core.errors import StoreError
from appliance.core.settings import Box, Settings
from appliance.core.settings import TlsReports as Options
from appliance.lab.dns_server import Fault, LabDns
from appliance.lab.receiver import Receiver
from appliance.run.tls_reports import TlsReporter, tls_reporter
from appliance.tls_reports import Reporter, TlsReports, begins_at
from appliance.tls_reports.service import AGAIN, LEASE, MAX_TRIES, SOON
from mta.directory import DkimKey, SendingDomain
from mta.message import Source, Submission
from mta.policy.refusal import Refused
from mta.signing.keys import make_ed25519
from mta.transport.https import HttpsClient
from mta.transport.tls_results import AppliedPolicy, Failure, PolicyType, TlsResults
from tests.support.authority import known_root, trusting
from tests.support.control import START
from tests.support.delivery import dns_settings
from tests.support.way import open_way, until
from tests.support.web_host import WebHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TODAY = START - START % clock.DAY
YESTERDAY = TODAY - clock.DAY
BOX = Reporter(organisation="Shop", contact="tls@box.example", hostname="box.example")
RECORD = "v=TLSRPTv1; rua="


class Desk:
    """The reporter with all it talks to."""

    def __init__(self, engine: Any, now: Any, dns: LabDns, web: WebHost) -> None:
        self.engine, self.now, self.dns, self.web = engine, now, dns, web
        self.queued: list[Submission] = []
        self.error: Exception | None = None
        self.results = TlsResults(now)
        self.room = TlsReports(engine, now)

    async def submit(self, submission: Submission) -> int:
        if self.error is not None:
            raise self.error
        self.queued.append(submission)
        return len(self.queued)

    def publish(self, rua: str, domain: str = "good.test") -> None:
        self.dns.zone[f"_smtp._tls.{domain}"] = {"TXT": [RECORD + rua]}

    async def count(self, domain: str = "good.test") -> None:
        """Some sessions of yesterday, through the mta's side."""
        self.now.move(-clock.DAY)
        policy = AppliedPolicy(type=PolicyType.NONE, domain=domain)
        for _ in range(3):
            self.results.succeeded(policy)
        self.results.failed(policy, Failure.NO_STARTTLS, "not offered", place=("mx", "192.0.2.1"))
        self.now.move(clock.DAY)
        await self.room.add(self.results.drain())

    def reporter(self) -> TlsReporter:
        """A worker that has just been started, at the hour of the reports."""
        self.now.at = max(self.now.at, begins_at(YESTERDAY, BOX.hostname))
        resolver = Resolver(dns_settings(self.dns, timeout=1.0), now=self.now)
        https = HttpsClient(resolver, allow_private=True, context=trusting(), port=self.web.port)
        return TlsReporter(
            reports=self.room,
            reporter=BOX,
            resolver=resolver,
            https=https,
            submit=self.submit,
            now=self.now,
        )


@pytest.fixture
async def desk(engine, now) -> AsyncIterator[Desk]:
    web_context = known_root().issue("reports.good.test").context()
    zone = {"reports.good.test": {"A": ["127.0.0.1"]}}
    async with LabDns(zone) as dns, WebHost(web_context) as web:
        yield Desk(engine, now, dns, web)


def counts(body: bytes) -> tuple[int, int]:
    (policy,) = json.loads(gzip.decompress(body))["policies"]
    return tuple(policy["summary"].values())


async def test_a_report_goes_by_mail_through_the_queue(desk: Desk) -> None:
    desk.publish("mailto:tls@good.test")
    await desk.count()
    assert not await desk.reporter().step()
    (submission,) = desk.queued
    assert (submission.source, submission.envelope_from) == (Source.TLS_REPORT, "")
    assert [r.address for r in submission.recipients] == ["tls@good.test"]
    mail: Any = email.message_from_bytes(submission.data)
    assert mail["X-Pillarbox-Idempotency-Key"].startswith("tlsrpt ")
    assert mail["X-Pillarbox-Class"] == "transactional"
    assert counts(mail.get_payload()[1].get_payload(decode=True)) == (3, 1)


async def test_a_report_goes_by_https(desk: Desk) -> None:
    desk.publish("https://reports.good.test/tls?box=1")
    desk.web.status = 201
    await desk.count()
    await desk.reporter().step()
    ((line, headers, body),) = desk.web.requests
    assert line == "POST /tls?box=1 HTTP/1.1"
    assert headers["host"] == "reports.good.test"
    assert headers["content-type"] == "application/tlsrpt+gzip"
    assert counts(body) == (3, 1)


async def test_a_restart_sends_nothing_twice(desk: Desk) -> None:
    desk.publish("mailto:tls@good.test,https://reports.good.test/")
    await desk.count()
    for _ in range(3):
        await desk.reporter().step()
        desk.now.move(clock.HOUR)
    assert (len(desk.queued), len(desk.web.requests)) == (1, 1)


async def test_after_a_crash_the_mail_has_the_same_key_and_the_report_the_same_id(
    desk: Desk,
) -> None:
    desk.publish("mailto:tls@good.test")
    await desk.count()
    reporter = desk.reporter()

    async def dies(*_: object) -> bool:
        raise StoreError("the disk is gone")

    desk.room.sent = dies  # type: ignore[method-assign]
    await reporter.step()
    del desk.room.sent
    assert await reporter.step() is False
    assert len(desk.queued) == 1  # its lease is not over
    desk.now.move(LEASE)
    await desk.reporter().step()
    first, second = (email.message_from_bytes(s.data) for s in desk.queued)
    for name in ("X-Pillarbox-Idempotency-Key", "Message-ID", "Subject"):
        assert first[name] == second[name]
    assert first.get_payload()[1].as_string() == second.get_payload()[1].as_string()


async def test_nothing_leaves_before_the_hour_of_the_box(desk: Desk) -> None:
    desk.publish("mailto:tls@good.test")
    await desk.count()
    reporter = desk.reporter()
    desk.now.at = begins_at(YESTERDAY, BOX.hostname) - 1
    await reporter.step()
    assert desk.queued == []
    desk.now.move(1)
    await reporter.step()
    assert len(desk.queued) == 1


async def test_while_the_queue_takes_no_mail_a_report_waits_a_minute_and_loses_no_try(
    desk: Desk,
) -> None:
    desk.publish("https://reports.good.test/,mailto:tls@good.test")
    desk.error = StoreError("nobody answers at mta-0.sock")
    await desk.count()
    reporter = desk.reporter()
    for _ in range(MAX_TRIES + 1):
        await reporter.step()
        desk.now.move(SOON)
    assert (desk.queued, desk.web.requests) == ([], [])  # no half of it is gone
    desk.error = None
    await reporter.step()
    assert (len(desk.queued), len(desk.web.requests)) == (1, 1)


@pytest.mark.parametrize("fault", ["404", "refused", "wrong name"])
async def test_what_fails_is_tried_again_in_an_hour(desk: Desk, fault: str) -> None:
    host = "reports.good.test" if fault != "wrong name" else "else.good.test"
    desk.dns.zone["else.good.test"] = {"A": ["127.0.0.1"]}
    desk.publish("mailto:tls@good.test" if fault == "refused" else f"https://{host}/")
    desk.web.status = 404
    desk.error = Refused(550, "5.7.1", "no") if fault == "refused" else None
    await desk.count()
    reporter = desk.reporter()
    await reporter.step()
    desk.dns.zone["_smtp._tls.good.test"] = {"TXT": [RECORD + "https://reports.good.test/"]}
    desk.web.status, desk.web.requests = 200, []
    desk.now.move(AGAIN - 1)
    await reporter.step()
    assert desk.web.requests == []
    desk.now.move(1 + clock.HOUR)  # DNS has forgotten the old record, too
    await reporter.step()
    assert len(desk.web.requests) == 1


async def test_a_domain_that_asks_for_nothing_gets_nothing(desk: Desk) -> None:
    await desk.count()
    await desk.count('od"d.test')
    await desk.reporter().step()
    assert (desk.queued, desk.web.requests) == ([], [])
    desk.now.move(2 * clock.HOUR)
    assert await desk.room.claim(10) == []


async def test_a_name_server_that_cannot_say_is_asked_again(desk: Desk) -> None:
    desk.publish("mailto:tls@good.test")
    desk.dns.faults["_smtp._tls.good.test"] = Fault.SERVFAIL
    await desk.count()
    reporter = desk.reporter()
    await reporter.step()
    assert desk.queued == []
    del desk.dns.faults["_smtp._tls.good.test"]
    desk.now.move(AGAIN)
    await reporter.step()
    assert len(desk.queued) == 1


async def test_the_settings_say_who_reports(engine, desk: Desk) -> None:
    box = Box(hostname="Box.Example")
    plain = tls_reporter(Settings(box=box), engine, desk.submit)._reporter
    assert plain == Reporter(
        organisation="box.example", contact="postmaster@box.example", hostname="box.example"
    )
    options = Options(organisation="Shop", contact="tls@shop.example")
    named = tls_reporter(Settings(box=box, tls_reports=options), engine, desk.submit)._reporter
    assert (named.organisation, named.contact) == ("Shop", "tls@shop.example")


class Killed(BaseException):
    """As SIGKILL: nobody catches it."""


def dies_after(work: Any) -> Any:
    async def once(*given: Any) -> Any:
        await work(*given)
        raise Killed

    return once


def box_keys() -> SendingDomain:
    key = DkimKey(selector="s1", algorithm="ed25519-sha256", private_key=make_ed25519())
    return SendingDomain(
        id=0,
        tenant_id=0,
        name="box.example",
        verified=True,
        keys=(key,),
    )


@pytest.mark.parametrize("arrow", ["claim", "submit", "sent"])
async def test_wherever_the_worker_dies_the_report_of_a_day_leaves_exactly_once(
    desk: Desk, tmp_path: Path, arrow: str
) -> None:
    desk.publish("mailto:tls@good.test")
    await desk.count()
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:

        async def submit(submission: Submission) -> int:
            return await way.intake.accept(replace(submission, received_at=clock.now_ms()))

        desk.submit = submit  # type: ignore[method-assign]
        owner = desk if arrow == "submit" else desk.room
        alive = getattr(owner, arrow)
        setattr(owner, arrow, dies_after(alive))
        with pytest.raises(Killed):
            await desk.reporter().step()
        setattr(owner, arrow, alive)
        for _ in range(3):
            await desk.reporter().step()
            desk.now.move(LEASE)
        await until(lambda: mx.messages)
        assert [kind for kind, _ in await way.events()].count("accepted") == 1
        assert mx.count == 1
        assert await desk.room.claim(10) == []


async def test_the_queue_takes_the_mail_signs_it_and_takes_it_once(
    desk: Desk, tmp_path: Path
) -> None:
    desk.publish("mailto:tls@good.test")
    await desk.count()
    await desk.reporter().step()
    submission = replace(desk.queued[0], received_at=clock.now_ms())
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.directory = replace(way.directory, box_keys=box_keys())
        first = await way.intake.accept(submission)
        assert await way.intake.accept(submission) == first
        await until(lambda: mx.messages)
        assert way.router.asked == ["*report:good.test"]  # nothing is demanded of TLS for it
        (received,) = mx.messages
        assert received.mail_from == ""
        assert b"X-Pillarbox" not in received.data
        head = received.data.partition(b"\r\n\r\n")[0]
        assert b"DKIM-Signature:" in head
        assert b"d=box.example" in head


async def test_a_worker_that_was_off_reports_of_earlier_days_before_the_hour_of_the_last(
    desk: Desk,
) -> None:
    desk.publish("mailto:tls@good.test")
    desk.now.move(-clock.DAY)
    await desk.count()  # the day before yesterday
    desk.now.move(clock.DAY)
    await desk.count()
    reporter = desk.reporter()
    desk.now.at = TODAY + 1  # nobody was there yesterday
    await reporter.step()
    (first,) = desk.queued
    desk.now.at = begins_at(YESTERDAY, BOX.hostname)
    await reporter.step()
    subjects = [email.message_from_bytes(one.data)["Subject"] for one in (first, desk.queued[1])]
    days = [clock.iso(day)[:10] for day in (YESTERDAY - clock.DAY, YESTERDAY)]
    assert [day in subject for day, subject in zip(days, subjects, strict=True)] == [True, True]
