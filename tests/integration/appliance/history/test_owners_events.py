"""The log takes the events that the mta really writes: this is where the two meet."""

from __future__ import annotations

import msgspec

from appliance.core.ids import IdMaker
from appliance.core.scope import Scope
from appliance.history import OutboxRow
from appliance.history.read_outbox import read
from mta.message import (
    Admitted,
    Attempt,
    Message,
    Recipient,
    RecipientResult,
    ReturnPathMode,
    Source,
    Step,
)
from mta.outcome.decide import RetrySchedule
from mta.outcome.record import Recorder, plain
from mta.reply import Reply
from mta.spool.batch import Batch
from mta.status import EventKind, Phase, Status, TrafficClass
from mta.status import Scope as FailureScope
from tests.support.control import START


def recipient(message_id, n, address):
    return Recipient(
        message_id=message_id,
        n=n,
        tenant_id=7,
        traffic_class=TrafficClass.BULK,
        address=address,
        domain=address.rpartition("@")[2],
        status=Status.QUEUED,
        due_at=START,
        expires_at=START * 2,
    )


def message_of(message_id):
    return Message(
        id=message_id,
        tenant_id=7,
        credential_id=3,
        source=Source.SMTP,
        traffic_class=TrafficClass.BULK,
        envelope_from="app@sender.example",
        header_from="shop@sender.example",
        message_id="<1@sender.example>",
        subject="Grüße",
        size=99,
        accepted_at=START,
        client="192.0.2.9",
        tags=("spring",),
        metadata='{"order": 1}',
        smtputf8=False,
        body_8bit=False,
        ret="",
        envid="",
        dsn=True,
        return_path_mode=ReturnPathMode.RECIPIENT,
        bounce_domain="bounce.sender.example",
        signing_domain="sender.example",
    )


def attempt_of(*replies):
    results = tuple(
        RecipientResult(n=n, reply=reply, phase=Phase.RCPT, scope=FailureScope.RECIPIENT)
        for n, reply in enumerate(replies)
    )
    return Attempt(
        results=results,
        host="mx.receiver.example",
        address="198.51.100.7",
        egress="default",
        tls="",
        steps=(Step(0, "", "220 hello"), Step(9, "RCPT TO:<ann@receiver.example>", "250 ok")),
        started_at=START,
        ended_at=START + 90,
    )


def test_accepted_and_outcomes_as_the_mta_words_them(writer, reader):
    message = message_of(IdMaker(2).make(START))
    people = [recipient(message.id, n, f"{who}@receiver.example") for n, who in enumerate("abc")]
    batch = Batch(shard=2, now=START, next_seq=1)
    batch.add_message(
        Admitted(message=message, recipients=tuple(people), content=b"x", selectors=())
    )
    schedule = RetrySchedule(waits=(1000,), jitter=0, lifetime=9, bulk_lifetime=9)
    replies = (Reply(250, "2.1.5", "ok"), Reply(550, "5.1.1", "no such user"))
    recorder = Recorder(schedule, lambda: 0.5)
    for recorded in recorder.attempt(message, people, attempt_of(*replies), START + 90):
        batch.add_event(recorded.settlement.event)
    told = plain(people[2], Status.SUPPRESSED, EventKind.SUPPRESSED, "complained once", START)
    batch.add_event(told.event)
    rows = [OutboxRow(*event[1:]) for event in batch.events]
    over_the_wire = msgspec.msgpack.decode(msgspec.msgpack.encode(rows), type=list[OutboxRow])
    events, rejected = read(2, over_the_wire, writer.today)
    assert not rejected
    writer.write(2, events)
    history = reader.show(Scope.system(), message.id)
    assert [(r.status, r.reply) for r in history.recipients] == [
        (Status.DELIVERED, "250 2.1.5 ok"),
        (Status.BOUNCED, "550 5.1.1 no such user"),
        (Status.SUPPRESSED, "complained once"),
    ]
    assert (history.subject, history.metadata, history.tags) == (
        "Grüße",
        '{"order": 1}',
        ("spring",),
    )
    assert history.traffic_class is TrafficClass.BULK
    bounced = history.events[2]
    assert (bounced.kind, bounced.data["hard"]) == (EventKind.BOUNCED, True)
    assert bounced.steps == attempt_of().steps
