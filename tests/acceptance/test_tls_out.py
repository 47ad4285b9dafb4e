"""TLS with receivers, by a whole box: DANE kept to and refused, broken TLS, a rule that gives it up, the report.

One box, receivers on addresses of their own; what they saw is compared with what `messages show` tells.
"""

from __future__ import annotations

import contextlib
import email
import gzip
import json
import os
import signal
from typing import TYPE_CHECKING, Any

from appliance.core import clock
from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Point, Script, Starttls
from appliance.tls_reports import TlsReports
from mta.transport.tls_results import AppliedPolicy, Failure, PolicyType, Tally, TlsResult
from tests.support.authority import Signed, root
from tests.support.box import make_home, serving
from tests.support.letters import Letter, open_door, post
from tests.support.records import control_of
from tests.support.way import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.box import RunningBox


RULES = """
[default]
connections = 5
messages_per_connection = 100
tls = "opportunistic"

[[rule]]
id = "tls-trouble"
text = ["trouble with encryption"]
then = [{ do = "plaintext", for = "1 h" }]
samples = ["451 4.7.0 trouble with encryption"]
"""
TROUBLE = "451 4.7.0 trouble with encryption"
DOMAINS = ("kept", "wrong", "broken", "picky", "reports")
SIGNED = ("kept.test", "wrong.test", "reports.test")
OLD_DAY = (
    clock.now_ms() // clock.DAY * clock.DAY - 2 * clock.DAY
)  # its hour is past, whatever it is now
OLD = AppliedPolicy(type=PolicyType.NONE, domain="reports.test")


class World:
    """The receivers by their short name."""

    def __init__(self) -> None:
        self.certificates: dict[str, Signed] = {name: root(f"mx.{name}.test") for name in DOMAINS}
        scripts = {
            "broken": Script(starttls=Starttls.BROKEN),
            "picky": Script(starttls=Starttls.GOOD, once={Point.MAIL: [TROUBLE]}),
        }
        self.receivers = {
            name: Receiver(
                scripts.get(name, Script(starttls=Starttls.GOOD)),
                context=self.certificates[name].context(),
            )
            for name in DOMAINS
        }
        self.port = 0

    def zone(self) -> dict[str, dict[str, list[str]]]:
        zone: dict[str, dict[str, list[str]]] = {}
        for n, name in enumerate(DOMAINS, 1):
            zone[f"{name}.test"] = {"MX": [f"10 mx.{name}.test."]}
            zone[f"mx.{name}.test"] = {"A": [f"127.0.3.{n}"]}
        records = {
            "kept": self.certificates["kept"].tlsa(3),
            "wrong": self.certificates["kept"].tlsa(3),
            "reports": self.certificates["kept"].tlsa(
                3
            ),  # broken: and the report comes nevertheless
        }
        for name, record in records.items():
            zone[f"_{self.port}._tcp.mx.{name}.test"] = {"TLSA": [str(record)]}
        zone["_smtp._tls.reports.test"] = {"TXT": ["v=TLSRPTv1; rua=mailto:tls@reports.test"]}
        return zone

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        for n, name in enumerate(DOMAINS, 1):
            receiver = self.receivers[name]
            await receiver.start(f"127.0.3.{n}", self.port)
            stack.push_async_callback(receiver.stop)
            self.port = receiver.port


@contextlib.asynccontextmanager
async def started(path: Path, world: World) -> AsyncIterator[RunningBox]:
    """A box on loopback with the rules above."""
    async with contextlib.AsyncExitStack() as stack:
        await world.start(stack)
        dns = await stack.enter_async_context(LabDns(world.zone(), signed=SIGNED))
        rules = path / "rules.toml"
        rules.write_text(RULES)
        options: dict[str, Any] = {"shaping": {"file": str(rules)}, **open_door()}
        home, login, tenant_id = await make_home(path / "home", dns, world.port, **options)
        yield await stack.enter_async_context(
            serving(home, login, dns, tenant_id, path / "box.log")
        )


async def test_what_receivers_demand_is_kept_to_and_what_became_of_it_is_told(
    tmp_path: Path,
) -> None:
    world = World()
    async with started(tmp_path, world) as box:
        names = [name for name in DOMAINS if name != "reports"]
        letters = [Letter(to=f"jane@{name}.test") for name in names]
        ids = dict(zip(names, await post(box.submission, letters), strict=True))

        got = ("kept", "broken", "picky")

        async def delivered() -> bool:
            return all(world.receivers[name].count for name in got)

        await until(delivered, seconds=60)
        tls = {name: await attempts(box, ids[name], "delivered") for name in got}
        assert tls["kept"] == ["TLSv1.3 TLS_AES_256_GCM_SHA384 (dane-ee verified)"]
        assert tls["broken"] == tls["picky"] == [""]
        assert not world.receivers["picky"].messages[0].is_tls
        assert await attempts(box, ids["picky"], "deferred") != [""]

        waiting = await box.cli("queue", "show", ids["wrong"])
        reason = waiting["recipients"][0]["reason"]
        assert "the certificate of mx.wrong.test matches none of its TLSA records" in reason
        assert "the DANE records of the host demand it" in reason
        assert not any(line.startswith("MAIL") for _, line in world.receivers["wrong"].commands)

        explained = await box.cli("shaping", "explain", "kept.test")
        assert explained["tls_policy"] == "DANE"
        assert "|" not in explained["site"]

        await report_comes_once(box, world)
    await counts_are_kept(box)


async def attempts(box: RunningBox, message_id: str, kind: str) -> list[str]:
    """How the attempts that ended so were secured, as the story tells it."""
    told: list[str] = []

    async def is_told() -> bool:
        story = await box.cli("messages", "show", message_id)
        told[:] = [event["tls"] for event in story["events"] if event["kind"] == kind]
        return bool(told)

    await until(is_told, seconds=60)
    return told


async def report_comes_once(box: RunningBox, world: World) -> None:
    """Signed, to a host whose TLSA records are wrong, and not again when the worker is killed."""
    mx = world.receivers["reports"]
    async with control_of(box) as engine:
        await TlsReports(engine).add(
            [
                Tally(OLD_DAY, TlsResult(policy=OLD), 7),
                Tally(OLD_DAY, TlsResult(policy=OLD, failure=Failure.EXPIRED, host="mx"), 2),
            ]
        )
    await kill_the_worker(box)  # the next one looks at the days that are over
    await until(lambda: mx.messages, seconds=60)
    (report,) = mx.messages
    assert report.mail_from == ""
    assert report.is_tls
    mail: Any = email.message_from_bytes(report.data)
    assert "d=box.test" in mail["DKIM-Signature"]
    assert (mail["TLS-Report-Domain"], mail["TLS-Report-Submitter"]) == ("reports.test", "box.test")
    assert (mail.get_content_type(), mail.get_param("report-type")) == (
        "multipart/report",
        "tlsrpt",
    )
    document = json.loads(gzip.decompress(mail.get_payload()[1].get_payload(decode=True)))
    (policy,) = document["policies"]
    assert list(policy["summary"].values()) == [7, 2]

    await kill_the_worker(box)
    await until(lambda: is_done(box), seconds=60)
    assert len(mx.messages) == 1


async def kill_the_worker(box: RunningBox) -> None:
    old = box.pids()["worker"]
    os.kill(old, signal.SIGKILL)

    async def again() -> bool:
        return box.pids().get("worker", old) != old and await box.healthy()

    await until(again, seconds=60)


async def is_done(box: RunningBox) -> bool:
    """Whether no worker has anything to report."""
    async with control_of(box) as engine:
        return await TlsReports(engine).claim(100) == []


async def counts_are_kept(box: RunningBox) -> None:
    """What the box counted today waits for tomorrow's reports; the report itself is no part of it."""
    async with control_of(box) as engine:
        room = TlsReports(engine)
        await room.open(clock.now_ms() + clock.DAY)
        found = {
            (line.result.policy.domain, line.result.failure, line.count > 0)
            for due in await room.claim(100)
            for line in await room.lines(due)
        }
    assert ("mx.kept.test", None, True) in found
    assert ("mx.wrong.test", Failure.VALIDATION, True) in found
    assert ("broken.test", Failure.VALIDATION, True) in found
    assert not any("reports.test" in domain for domain, _, _ in found)
