"""What receivers say, and what a whole box with the shipped rules does about it: a row for each reply.

Each reply is heard by an address of ours of its own, from a host with a name as the provider's. A rule
that wants its answer several times gets all but the last first, and nothing may have changed by then.
What is refused because of our address alone goes from another one (pool `spare`).
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from typing import NamedTuple

from appliance.core import clock
from appliance.egress import EgressRequest
from appliance.lab.dns_server import LabDns
from appliance.lab.script import Point, Script, Starttls
from tests.support.box import running_box
from tests.support.letters import Letter, open_door, post
from tests.support.peers import PeerReceiver
from tests.support.records import add_egresses, add_pools, throttles_of
from tests.support.way import until

MAIL, RCPT, DOT, GREETING = Point.MAIL, Point.RCPT, Point.DOT, Point.GREETING
HOSTS = {
    "gmail": "aspmx.l.google.com",
    "outlook": "outlook-com.olc.protection.outlook.com",
    "business": "firm.mail.protection.outlook.com",
    "yahoo": "mta5.am0.yahoodns.net",
    "icloud": "mx01.mail.icloud.com",
    "comcast": "mx1.comcast.net",
    "qq": "mx3.qq.com",
    "elsewhere": "mx.elsewhere.example",
}
SPARE = "127.0.2.1"


class Row(NamedTuple):
    """A reply, and what follows."""

    receiver: str
    step: Point
    times: int
    reply: str
    recipient: str  # what became of the one who was answered last
    address: str = "-"  # what changed for our address at this provider
    tenant: str = "-"  # what changed for the tenant there, other tenants being as free as before


LATER = "deferred 5 min"  # the usual wait
HOUR = "deferred 1 h"
OTHER = "sent from another address"
BOUNCED, HARD = "bounced", "bounced, suppressed"
BUSY = "1/min, 1 connection for 90 min"
LIMITED = "has been temporarily rate limited due to IP reputation."

# fmt: off
ROWS = (
    # Everybody
    Row("elsewhere", MAIL, 1, "421 4.7.0 Messages from 192.0.2.1 temporarily deferred", LATER, BUSY),
    Row("elsewhere", DOT, 1, f"451 4.7.1 The mail server [192.0.2.1] {LIMITED}", LATER, BUSY),
    Row("elsewhere", RCPT, 1, "421 4.3.2 Server busy, try again later", LATER, BUSY),
    Row("elsewhere", RCPT, 1, "450 4.2.1 Try again later", LATER),
    Row("elsewhere", RCPT, 1, "550 5.1.1 No such user", HARD),
    Row("elsewhere", RCPT, 1, "550 5.7.1 Not from you", BOUNCED),
    Row("elsewhere", MAIL, 10, "450 4.7.1 Try again later", LATER, "10/min, 1 connection for 30 min"),
    Row("elsewhere", DOT, 10, "451 4.7.1 Message content looks odd, try again later", LATER, "-", "suspended 30 min"),
    # Google
    Row("gmail", DOT, 2, "421 4.7.28 Gmail has detected an unusual rate of mail originating from your IP address.", LATER, "10/min for 30 min"),
    Row("gmail", MAIL, 2, "421 4.7.0 [192.0.2.1 15] Our system has detected an unusual rate of unsolicited mail originating from your IP address.", LATER, "10/min for 30 min"),
    Row("gmail", DOT, 5, "550 5.7.1 [192.0.2.1 12] Our system has detected that this message is likely unsolicited mail.", BOUNCED, "-", "suspended 1 h"),
    Row("gmail", DOT, 5, "550 5.7.1 [192.0.2.1 18] Our system has detected that this message is likely suspicious due to the very low reputation of the sending IP address.", BOUNCED, "suspended 1 h"),
    Row("gmail", DOT, 1, "421 4.7.23 The sending IP address has no PTR record.", HOUR, "suspended 1 h"),
    Row("gmail", DOT, 1, "421 4.7.27 The sender's SPF check did not pass.", HOUR),
    Row("gmail", DOT, 1, "421 4.7.29 This message wasn't sent over a TLS connection.", HOUR),
    Row("gmail", DOT, 1, "421 4.7.30 DKIM didn't pass.", HOUR),
    Row("gmail", DOT, 1, "421 4.7.31 The sending domain doesn't have a DMARC record.", HOUR),
    Row("gmail", DOT, 1, "421 4.7.32 The From: header isn't aligned with either SPF or DKIM.", HOUR),
    Row("gmail", DOT, 1, "421 4.7.40 The sending domain's DMARC record has no policy.", HOUR),
    Row("gmail", DOT, 1, "550 5.7.25 The sending IP address does not have a PTR record.", BOUNCED, "suspended 1 h"),
    Row("gmail", DOT, 1, "550 5.7.26 This mail has been blocked because the sender is unauthenticated.", BOUNCED),
    Row("gmail", DOT, 1, "550 5.7.27 The sender's SPF check did not pass.", BOUNCED),
    Row("gmail", DOT, 1, "550 5.7.29 This message wasn't sent over a TLS connection.", BOUNCED),
    Row("gmail", DOT, 1, "550 5.7.30 DKIM didn't pass.", BOUNCED),
    Row("gmail", RCPT, 1, "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.", HOUR),
    Row("gmail", RCPT, 1, "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.", HOUR),
    Row("gmail", RCPT, 1, "550 5.2.1 The email account that you tried to reach is disabled.", BOUNCED),
    Row("gmail", RCPT, 1, "550 5.1.1 The email account that you tried to reach does not exist.", HARD),
    Row("gmail", RCPT, 1, "452 4.2.2 The email account that you tried to reach is over quota.", LATER),
    Row("gmail", RCPT, 1, "552 5.2.2 The email account that you tried to reach is over quota.", BOUNCED),
    # Microsoft consumer
    Row("outlook", MAIL, 1, "421 RP-001 (BAY004-MC1F6) Unfortunately, some messages from 192.0.2.1 weren't sent. Please try again.", LATER, "10/min, 1 connection for 30 min"),
    Row("outlook", MAIL, 1, "421 RP-002 (COL004-MC2F9) Unfortunately, some messages from 192.0.2.1 weren't sent. Please try again.", LATER, "10/min, 1 connection for 30 min"),
    Row("outlook", MAIL, 1, "421 RP-003 (SNT004-MC3F3) Unfortunately, some messages from 192.0.2.1 weren't sent. Please try again.", LATER, "10/min, 1 connection for 30 min"),
    Row("outlook", MAIL, 1, f"451 4.7.650 The mail server [192.0.2.1] {LIMITED} (S775)", LATER, "suspended 30 min"),
    Row("outlook", RCPT, 1, f"451 4.7.651 The mail server [192.0.2.1] {LIMITED} (S3114)", LATER, "suspended 30 min"),
    Row("outlook", MAIL, 1, "421 4.3.2 The maximum number of concurrent server connections has exceeded a limit: exceeded the maximum number of connections", LATER, "1 connection for 1 h"),
    Row("outlook", MAIL, 1, "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Part of their network is on our block list (S3140).", OTHER, "suspended 2 h"),
    Row("outlook", MAIL, 1, "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Part of their network is on our block list (S3150).", OTHER, "suspended 2 h"),
    Row("outlook", MAIL, 1, "550 OU-001 (SNT004-MC1F12) Unfortunately, messages from 192.0.2.1 weren't sent.", OTHER, "suspended 4 h"),
    Row("outlook", MAIL, 1, "550 DY-001 (BAY004-MC2F1) Unfortunately, messages from 192.0.2.1 weren't sent.", OTHER, "suspended 4 h"),
    Row("outlook", MAIL, 1, "550 DY-002 (BAY004-MC2F1) Unfortunately, messages from 192.0.2.1 weren't sent.", OTHER, "suspended 4 h"),
    Row("outlook", MAIL, 1, "550 SC-002 (COL004-MC3F2) Unfortunately, messages from 192.0.2.1 weren't sent.", OTHER, "suspended 4 h"),
    Row("outlook", MAIL, 1, "550 SC-003 (COL004-MC3F2) Unfortunately, messages from 192.0.2.1 weren't sent.", OTHER, "suspended 4 h"),
    Row("outlook", MAIL, 1, "550 SC-004 (COL004-MC3F2) Unfortunately, messages from 192.0.2.1 weren't sent.", OTHER, "suspended 4 h"),
    Row("outlook", DOT, 1, "550 5.7.515 Access denied, sending domain shop.test does not meet the required authentication level.", BOUNCED),
    Row("outlook", RCPT, 1, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", HARD),
    # Microsoft 365
    Row("business", RCPT, 1, "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", LATER, "10/min, 1 connection for 30 min"),
    Row("business", MAIL, 1, "451 4.7.699 Server busy. Please try again later from [192.0.2.1].", LATER, "10/min, 1 connection for 30 min"),
    Row("business", RCPT, 1, "550 5.7.606 Access denied, banned sending IP [192.0.2.1].", OTHER, "suspended 12 h"),
    Row("business", MAIL, 1, "550 5.7.649 Access denied, banned sending IP [192.0.2.1].", OTHER, "suspended 12 h"),
    Row("business", RCPT, 1, "550 5.4.1 Recipient address rejected: Access denied.", HARD),
    Row("business", DOT, 1, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", HARD),
    # Yahoo and AOL
    Row("yahoo", MAIL, 1, "421 4.7.0 [TSS01] Messages from 192.0.2.1 temporarily deferred due to user complaints", LATER, "10/min, 1 connection for 30 min"),
    Row("yahoo", MAIL, 1, "421 4.7.0 [TS01] Messages from 192.0.2.1 temporarily deferred due to user complaints", LATER, "10/min, 1 connection for 30 min"),
    Row("yahoo", MAIL, 3, "421 4.7.1 [TS02] Messages from 192.0.2.1 temporarily deferred due to user complaints", LATER, "1/min for 30 min"),
    Row("yahoo", MAIL, 1, "421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred", LATER, "10/min for 30 min"),
    Row("yahoo", MAIL, 1, "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints", LATER, "suspended 2 h"),
    Row("yahoo", MAIL, 1, "421 4.7.0 [IPTS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints", LATER, "suspended 2 h"),
    Row("yahoo", MAIL, 1, "421 4.7.0 [TSS05] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints", LATER, "suspended 4 h"),
    Row("yahoo", MAIL, 1, "421 4.7.0 [IPTS05] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints", LATER, "suspended 4 h"),
    Row("yahoo", GREETING, 1, "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list", OTHER, "suspended 2 h"),
    # Apple, Comcast, QQ
    Row("icloud", MAIL, 5, "421 4.7.0 [BS02] Blocked", LATER, "suspended 15 min"),
    Row("icloud", RCPT, 5, "450 4.3.2 Service unavailable", LATER, "suspended 15 min"),
    Row("icloud", MAIL, 3, "421 4.7.1 [HCM1] Messages from 192.0.2.1 temporarily deferred", LATER, "suspended 15 min"),
    Row("comcast", MAIL, 2, "421 4.1.0 192.0.2.1 Throttled - try again later. Please see postmaster.comcast.net#RL0000", LATER, "10/min for 2 h"),
    Row("qq", MAIL, 1, "550 Ip frequency limited [V2VkIEFw Blocked IP 192.0.2.22].", HOUR, "suspended 1 h"),
)
# fmt: on
ZONE = {f"{name}.test": {"MX": [f"10 {host}."]} for name, host in HOSTS.items()} | {
    host: {"A": ["127.0.0.1"]} for host in HOSTS.values()
}
PATIENT = {"retry": [300.0], "lifetime": 86_400.0, "jitter": 0.0}


async def test_each_reply_leads_to_what_its_provider_means_by_it(tmp_path):
    scripts = {_source(n): _answers(row) for n, row in enumerate(ROWS)}
    async with LabDns(ZONE) as dns, PeerReceiver(_answers(None), scripts=scripts) as mx:
        async with running_box(
            tmp_path, dns, mx.port, shaping={"file": ""}, queue=PATIENT, **open_door()
        ) as box:
            await _give_each_row_an_address(box)
            early = [
                _letter(n, time) for n, row in enumerate(ROWS) for time in range(row.times - 1)
            ]
            last = [_letter(n, row.times - 1) for n, row in enumerate(ROWS)]
            await post(box.submission, early)
            await _until_tried(box, early)
            await asyncio.sleep(1)  # what changes is stored within a second
            assert await _throttles(box) == {}
            await post(box.submission, last)
            await _until_tried(box, last)
            wanted = [row[4:] for row in ROWS]

            async def all_is_as_wanted():
                return await _table(box, last) == wanted

            with contextlib.suppress(TimeoutError):  # then the table shows what is not
                await until(all_is_as_wanted, seconds=25)
            assert await _table(box, last) == wanted
            assert mx.taken() == {SPARE: sum(row.recipient == OTHER for row in ROWS)}


def _source(n):
    return f"127.0.1.{n + 1}"


def _answers(row):
    always = {} if row is None else {row.step: row.reply}
    return Script(starttls=Starttls.GOOD, always=always)  # Google wants TLS


def _letter(n, time):
    return Letter(to=f"u{n}-{time}@{ROWS[n].receiver}.test", headers=(f"X-Pillarbox-Pool: p{n}",))


async def _give_each_row_an_address(box):
    rows = range(len(ROWS))
    await add_egresses(box, [EgressRequest(name="spare", address=SPARE)])
    await add_egresses(box, [EgressRequest(name=f"e{n}", address=_source(n)) for n in rows])
    pools = {f"p{n}": (f"e{n}",) for n in rows}
    await add_pools(box, {"spare": ("spare",), **pools}, fallback="spare")


async def _until_tried(box, letters):
    wanted = {letter.to for letter in letters}

    async def tried():
        return wanted <= {m["address"] for m in await _messages(box) if m["attempts"]}

    await until(tried, seconds=25)


async def _messages(box):
    return (await box.cli("messages", "list", "--limit", "1000"))["messages"]


async def _table(box, letters):
    """What became of each recipient, its address and its tenant."""
    found = {message["address"]: message for message in await _messages(box)}
    waiting = await box.cli("queue", "list", "--recipients", "--limit", "1000")
    due = {row["address"]: row["next"] for row in waiting}
    suppressed = {row["target"] for row in await box.cli("suppression", "list", "--limit", "1000")}
    throttles = await _throttles(box)
    return [
        (
            _became(found[letter.to], due, suppressed),
            throttles.get((f"e{n}", 0), "-"),
            throttles.get((f"e{n}", box.tenant_id), "-"),
        )
        for n, letter in enumerate(letters)
    ]


def _became(message, due, suppressed):
    address = message["address"]
    if message["status"] == "deferred":
        if address not in due:
            return "has left the queue, which the log does not tell yet"
        return f"deferred {_span(_at(due[address]) - _at(message['status_at']))}"
    if message["status"] == "delivered":
        return OTHER if message["egress"] == "spare" else "delivered"
    return message["status"] + (", suppressed" if address in suppressed else "")


async def _throttles(box):
    """What changed, by egress and tenant."""
    every = await throttles_of(box)
    assert not any(one.subject.domain for one in every)
    return {(one.subject.egress, one.subject.tenant_id): _words(one) for one in every}


def _words(one):
    if one.suspended_until:
        return f"suspended {_span(one.suspended_until - one.fault.at)}"
    return f"{one.speed} for {_span(one.quiet)}"


def _at(text):
    return clock.from_datetime(datetime.fromisoformat(text))


def _span(ms):
    minutes = round(ms / clock.MINUTE)
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
