"""Receivers that misbehave: state, reason and next try of each, as `queue show` prints them."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime

import aiosmtplib

from appliance.core import clock
from appliance.lab.dns_server import Fault, LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Action, Point, Script
from tests.support.box import running_box
from tests.support.way import until

HOSTS = {
    "127.0.1.1": ("later.test", Script(always={Point.RCPT: "450 4.2.1 not now"})),
    "127.0.1.2": ("never.test", Script(always={Point.RCPT: "550 5.1.1 no such user"})),
    "127.0.1.3": ("drops.test", Script(always={Point.CONTENT: Action.DROP})),
    "127.0.1.4": ("tarpit.test", Script(always={Point.MAIL: Action.HANG})),
    "127.0.1.5": ("banner.test", Script(always={Point.GREETING: Action.ENDLESS_LINE})),
    "127.0.1.6": ("chatty.test", Script(always={Point.EHLO: Action.ENDLESS_REPLY})),
    "127.0.1.7": ("nonsense.test", Script(always={Point.MAIL: "hello, who is there?"})),
    "127.0.1.8": ("greylist.test", Script(greylist=True)),
}

EXPECTED = {
    "later.test": ("deferred", "not now"),
    "never.test": ("bounced", "no such user"),
    "drops.test": ("deferred", ""),
    "tarpit.test": ("deferred", ""),
    "banner.test": ("deferred", ""),
    "chatty.test": ("deferred", ""),
    "nonsense.test": ("deferred", ""),
    "greylist.test": ("delivered", ""),
    "nomx.test": ("bounced", "5.1.2"),
    "nullmx.test": ("bounced", "5.1.10"),
    "loopback.test": ("bounced", "5.4"),
    "servfail.test": ("deferred", "4.4.3"),
    "silent.test": ("deferred", "4.4.3"),
}


def _zone() -> dict[str, dict[str, list[str]]]:
    zone = {"nullmx.test": {"MX": ["0 ."]}, "loopback.test": {"MX": ["10 box.test."]}}
    for address, (domain, _) in HOSTS.items():
        zone[domain] = {"MX": [f"10 mx.{domain}."]}
        zone[f"mx.{domain}"] = {"A": [address]}
    return zone


async def test_each_misbehaviour_shows_state_reason_and_next_try(tmp_path):
    faults = {"servfail.test": Fault.SERVFAIL, "silent.test": Fault.SILENCE}
    async with contextlib.AsyncExitStack() as stack:
        dns = await stack.enter_async_context(LabDns(_zone(), faults=faults))
        port = 0
        for address, (_, script) in HOSTS.items():
            receiver = Receiver(script)
            await receiver.start(address, port)
            stack.push_async_callback(receiver.stop)
            port = receiver.port
        box = await stack.enter_async_context(
            running_box(
                tmp_path,
                dns,
                port,
                delivery={
                    "remote_port": port,
                    "allow_private_addresses": True,
                    "greeting_timeout": 1.0,
                    "command_timeout": 1.0,
                    "data_timeout": 1.0,
                    "dot_timeout": 1.0,
                    "session_timeout": 4.0,
                },
                queue={"retry": [1.0, 600.0], "lifetime": 6000.0, "jitter": 0.0},
            )
        )
        ids = {domain: await _submit(box, domain) for domain in EXPECTED}
        shown = {}

        async def settled() -> bool:
            for domain in EXPECTED.keys() - shown.keys():
                found = await box.cli("messages", "show", ids[domain])
                recipient = found["recipients"][0]
                if recipient["status"] == EXPECTED[domain][0] and _is_at_rest(recipient):
                    shown[domain] = found
            return len(shown) == len(EXPECTED)

        with contextlib.suppress(TimeoutError):
            await until(settled, seconds=40)
        for domain, (status, words) in EXPECTED.items():
            assert domain in shown, f"{domain}: never {status}"
            told = str(shown[domain])
            assert words in told, f"{domain}: {words!r} not in {told}"
        waiting = {d for d, (status, _) in EXPECTED.items() if status == "deferred"}
        for domain in waiting:
            queued = await box.cli("queue", "show", ids[domain])
            recipient = queued["recipients"][0]
            assert recipient["reason"], domain
            assert clock.from_datetime(datetime.fromisoformat(recipient["next"])) > 0, domain
            print(
                f"{domain:16} {recipient['status']:10} {recipient['next']}  {recipient['reason']}"
            )


def _is_at_rest(recipient) -> bool:
    return recipient["status"] != "deferred" or recipient.get("attempts", 0) >= 1


async def _submit(box, domain: str) -> str:
    address, port = box.submission
    _, answer = await aiosmtplib.send(
        f"From: orders@shop.test\r\nTo: jane@{domain}\r\nSubject: to {domain}\r\n\r\nhi\r\n".encode(),
        hostname=address,
        port=port,
        username=box.login.username,
        password=box.login.password,
        sender="orders@shop.test",
        recipients=[f"jane@{domain}"],
        start_tls=True,
        validate_certs=False,
        local_hostname="app.test",
    )
    await asyncio.sleep(0)
    return answer.rsplit(" ", 1)[-1]
