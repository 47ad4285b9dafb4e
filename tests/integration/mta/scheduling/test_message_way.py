"""From accept to the receiver, in one process, with real sockets and a real store."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from appliance.core import clock
from appliance.core.errors import StoreFullError
from appliance.lab.receiver import Receiver
from appliance.lab.script import Action, Point, Script
from appliance.run.handover import BOX_CREDENTIAL, BOX_TENANT
from mta.directory import DkimKey, FromPolicy, KillSwitch, Pause, Tenant
from mta.message import RecipientRequest, ReturnPathMode, Source
from mta.policy.refusal import Refused
from mta.reply import Reply
from mta.scheduling.operations import Action as Do
from mta.signing.keys import make_ed25519
from mta.spool.questions import QueueFilter
from mta.status import Status
from mta.transport.base import RouteError
from tests.support.submissions import credential
from tests.support.way import LETTER, open_way, until


async def test_a_message_travels_from_accept_to_the_receiver(location):
    async with Receiver() as mx, open_way(location, mx.port) as way:
        message_id = await way.send()
        await until(lambda: mx.count == 1)
        await until(lambda: _is(way, message_id, "delivered"))
        assert await way.events() == [("accepted", -1), ("delivered", 0)]
    received = mx.messages[0]
    assert received.mail_from == f"b{message_id}-0@bounces.box.lab"
    assert received.data.startswith(b"DKIM-Signature:")
    assert received.data.endswith(b"\r\n\r\nhi\r\n")


async def test_a_greylisted_recipient_is_tried_again_and_delivered(location):
    async with Receiver(Script(greylist=True)) as mx, open_way(location, mx.port) as way:
        message_id = await way.send()
        await until(lambda: _is(way, message_id, "delivered"))
        assert [kind for kind, _ in await way.events()] == ["accepted", "deferred", "delivered"]


async def test_a_refused_recipient_bounces_and_its_sender_gets_one_notice(location):
    script = Script(recipients={"gone@example.net": "550 5.1.1 no such user"})
    async with Receiver(script) as mx, open_way(location, mx.port) as way:
        message_id = await way.send(recipients=("gone@example.net", "jane@example.net"))
        await until(lambda: _is(way, message_id, "bounced", "delivered"))
        await until(lambda: mx.count == 2)
    notice = next(m for m in mx.messages if m.recipients == ("orders@shop.example.com",))
    assert notice.mail_from == ""
    assert b"5.1.1 no such user" in notice.data


async def test_a_notice_is_stored_in_the_commit_of_the_outcome_it_tells_of(tmp_path):
    script = Script(recipients={"gone@example.net": "550 5.1.1 no such user"})
    async with Receiver(script) as mx, open_way(tmp_path, mx.port) as way:
        way.router.special["shop.example.com"] = RouteError(Reply(451, "4.4.3", "no DNS"))
        message_id = await way.send(recipients=("gone@example.net",))
        await until(lambda: _is(way, message_id, "bounced"))
        rows = await way.shard.call(lambda store, _: store.events(0, 10))
        assert [row.kind for row in rows[:3]] == ["accepted", "accepted", "bounced"]


async def test_a_message_that_expires_is_given_up_with_a_notice(tmp_path):
    script = Script(recipients={"jane@example.net": "450 4.2.1 later"})
    schedule_options = {"schedule": _schedule(lifetime=300)}
    async with Receiver(script) as mx, open_way(tmp_path, mx.port, **schedule_options) as way:
        message_id = await way.send()
        await until(lambda: _is(way, message_id, "expired"))
        await until(lambda: mx.count == 1)
    assert b"4.2.1 later" in mx.messages[0].data


async def test_what_waits_in_the_store_is_delivered_after_a_restart(location):
    async with open_way(location, 1) as way:
        ids = [await way.send() for _ in range(5)]
        await until(lambda: way.dispatcher.in_memory == 0)
        states = [state for number in ids for state in await way.statuses(number)]
        assert "deferred" in states
        assert set(states) <= {"deferred", "queued"}  # nobody answers: not each costs an attempt
    async with Receiver() as mx, open_way(location, mx.port) as way:
        await until(lambda: mx.count == 5)
        await until(lambda: _all_are(way, ids, "delivered"))


async def test_more_than_fits_in_memory_waits_in_the_store_and_is_delivered_in_turn(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port, max_recipients=100) as way:
        await asyncio.gather(*(way.send() for _ in range(600)))
        assert len(way.window) <= 100
        await until(lambda: mx.count == 600, seconds=20)
    assert len({m.mail_from for m in mx.messages}) == 600


async def test_several_recipients_share_a_transaction_where_the_return_path_allows_it(tmp_path):
    who = credential(return_path_mode=ReturnPathMode.MESSAGE)
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        await way.send(credential=who, recipients=("a@example.net", "b@example.net"))
        await until(lambda: mx.count == 1)
    assert mx.messages[0].recipients == ("a@example.net", "b@example.net")


async def test_each_recipient_has_a_return_path_of_its_own_by_default(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        await way.send(recipients=("a@example.net", "b@example.net"))
        await until(lambda: mx.count == 2)
    assert len({m.mail_from for m in mx.messages}) == 2


async def test_the_kill_switch_lets_nothing_begin_and_its_end_lets_all_go(location):
    async with Receiver() as mx, open_way(location, mx.port) as way:
        way.change(kill_switch=KillSwitch(by="ann", at=1, reason="blocklisted"))
        message_id = await way.send()
        await asyncio.sleep(0.3)
        assert mx.count == 0
        way.change(kill_switch=None)
        await until(lambda: _is(way, message_id, "delivered"))


@pytest.mark.parametrize("stops_own", [False, True])
async def test_the_kill_switch_lets_the_boxs_own_mail_pass_the_others(location, stops_own):
    stop = KillSwitch(by="ann", at=1, reason="blocklisted", stops_own=stops_own)
    async with Receiver() as mx, open_way(location, mx.port) as way:
        theirs = [await way.send() for _ in range(3)]
        await until(lambda: mx.count == 3)
        way.change(kill_switch=stop)
        theirs += [await way.send() for _ in range(3)]
        own = await way.send(
            source=Source.NOTICE, tenant=BOX_TENANT, credential=BOX_CREDENTIAL, envelope_from=""
        )
        if stops_own:
            await asyncio.sleep(0.3)
        else:
            await until(lambda: _is(way, own, "delivered"))
        assert mx.count == (3 if stops_own else 4)
        way.change(kill_switch=None)
        await until(lambda: _all_are(way, [*theirs, own], "delivered"))


@pytest.mark.parametrize(
    "pause",
    [
        Pause(id=1, tenant_id=7),
        Pause(id=1, domain="example.net"),
        Pause(id=1, credential_id=3),
    ],
)
async def test_a_pause_keeps_what_it_covers_and_nothing_else(tmp_path, pause):
    other = Tenant(id=8, name="other")
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.change(pauses=(pause,), tenants={7: Tenant(id=7, name="acme"), 8: other})
        held = await way.send()
        free = await way.send(
            tenant=other,
            credential=credential(id=4, tenant_id=8, from_policy=FromPolicy.ANY),
            recipients=("joe@elsewhere.example",),
        )
        await until(lambda: _is(way, free, "delivered"))
        await asyncio.sleep(0.1)
        assert await way.statuses(held) == ["queued"]
        way.change(pauses=())
        await until(lambda: _is(way, held, "delivered"))


async def test_a_cancelled_message_is_never_sent(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.change(kill_switch=KillSwitch(by="ann", at=1, reason="stop"))
        message_id = await way.send()
        done = await way.operations.act(Do.CANCEL, QueueFilter(message_id=message_id), by="ann")
        way.change(kill_switch=None)
        await asyncio.sleep(0.2)
        assert (done.changed, await way.statuses(message_id), mx.count) == (1, ["cancelled"], 0)


async def test_held_mail_waits_until_it_is_released(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.router.special["example.net"] = RouteError(Reply(451, "4.4.3", "no DNS"))
        message_id = await way.send()
        await until(lambda: _is(way, message_id, "deferred"))
        one = QueueFilter(message_id=message_id)
        assert (await way.operations.act(Do.HOLD, one, by="ann")).changed == 1
        del way.router.special["example.net"]
        await asyncio.sleep(0.5)
        assert mx.count == 0
        assert (await way.operations.act(Do.RELEASE, one, by="ann")).changed == 1
        await until(lambda: _is(way, message_id, "delivered"))


async def test_what_is_held_until_its_life_is_over_expires(location):
    async with open_way(location, 1) as way:
        message_id = await way.send()
        await until(lambda: _is(way, message_id, "deferred"))
        await way.operations.act(Do.HOLD, QueueFilter(message_id=message_id), by="ann")
        assert await way.results.held.expire(clock.now_ms()) == 0
        assert await way.results.held.expire(clock.now_ms() + clock.DAY) == 1
        assert await way.statuses(message_id) == ["expired"]
        assert (await way.events())[-2:] == [("expired", 0), ("accepted", -1)]  # its sender is told


async def test_a_person_can_ask_for_the_next_attempt_now(tmp_path):
    slow = {"schedule": _schedule(waits=(30_000,))}
    async with Receiver(Script(greylist=True)) as mx, open_way(tmp_path, mx.port, **slow) as way:
        message_id = await way.send()
        await until(lambda: _is(way, message_id, "deferred"))
        await way.operations.act(Do.RETRY, QueueFilter(message_id=message_id), by="ann")
        await until(lambda: _is(way, message_id, "delivered"))


async def test_a_message_with_send_at_waits_for_its_time(tmp_path):
    at, came = clock.now_ms() + 700, []
    header = b"X-Pillarbox-Send-At: " + clock.iso(at).encode() + b"\r\n"
    mx = Receiver(on_message=lambda _: came.append(clock.now_ms()))
    async with mx, open_way(tmp_path, mx.port) as way:
        await way.send(header + LETTER)
        await until(lambda: came)
    assert came[0] >= at // 1000 * 1000


async def test_a_suppressed_recipient_settles_at_once_and_is_never_sent(tmp_path):
    class Everybody:
        def match(self, tenant_id: int, address: str) -> bool:
            return True

    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.change(suppressions=Everybody())
        message_id = await way.send()
        assert await way.statuses(message_id) == ["suppressed"]
        assert await way.events() == [("accepted", -1), ("suppressed", 0)]
    assert mx.count == 0


async def test_a_recipient_suppressed_while_it_waits_is_not_sent(tmp_path):
    class Everybody:
        def match(self, tenant_id: int, address: str) -> bool:
            return True

    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.change(kill_switch=KillSwitch(by="ann", at=1, reason="stop"))
        message_id = await way.send()
        way.change(suppressions=Everybody(), kill_switch=None)
        await until(lambda: _is(way, message_id, "suppressed"))
    assert mx.count == 0


async def test_an_idempotency_key_seen_again_answers_with_the_first_id(location):
    keyed = b"X-Pillarbox-Idempotency-Key: order-1\r\n" + LETTER
    async with Receiver() as mx, open_way(location, mx.port) as way:
        ids = await asyncio.gather(*(way.send(keyed) for _ in range(10)))
        again = await way.send(keyed)
        await until(lambda: mx.count == 1)
        assert set(ids) == {again}
        await asyncio.sleep(0.1)
    assert mx.count == 1


async def test_a_connection_that_the_receiver_closed_costs_no_attempt(tmp_path):
    async with Receiver(Script(close_after=1)) as mx, open_way(tmp_path, mx.port) as way:
        for _ in range(3):
            message_id = await way.send()
            await until(lambda m=message_id: _is(way, m, "delivered"))
        assert "deferred" not in [kind for kind, _ in await way.events()]


async def test_a_receiver_that_hangs_up_in_data_defers_with_its_reason(tmp_path):
    slow = {"schedule": _schedule(waits=(30_000,))}
    script = Script(always={Point.DOT: Action.DROP})
    async with Receiver(script) as mx, open_way(tmp_path, mx.port, **slow) as way:
        message_id = await way.send()
        await until(lambda: _is(way, message_id, "deferred"))
        found = await way.operations.find(QueueFilter(message_id=message_id), (-1, -1), 10)
        assert found[0].reason.startswith("4")
        assert found[0].attempts == 1


async def test_a_route_that_is_permanently_wrong_bounces(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.router.special["nullmx.test"] = RouteError(Reply(556, "5.1.10", "takes no mail"))
        message_id = await way.send(recipients=("x@nullmx.test",))
        await until(lambda: _is(way, message_id, "bounced"))


async def test_a_greeting_that_refuses_defers_and_never_bounces(tmp_path):
    slow = {"schedule": _schedule(waits=(30_000,))}
    script = Script(always={Point.GREETING: "554 5.7.1 no service for you"})
    async with Receiver(script) as mx, open_way(tmp_path, mx.port, **slow) as way:
        message_id = await way.send()
        await until(lambda: _is(way, message_id, "deferred"))


async def test_too_little_space_refuses_new_mail_and_says_so(tmp_path):
    async with open_way(tmp_path, 1) as way:
        way.has_space = False
        with pytest.raises(StoreFullError, match="disk space"):
            await way.send()


async def test_a_foreign_from_is_refused_naming_the_domain(tmp_path):
    async with open_way(tmp_path, 1) as way:
        with pytest.raises(Refused, match=r"elsewhere\.example is not a verified"):
            await way.send(LETTER.replace(b"shop.example.com", b"elsewhere.example"))
        assert await way.events() == []


async def test_mail_with_the_null_sender_leaves_with_it_and_makes_no_notice(tmp_path):
    script = Script(recipients={"jane@example.net": "550 5.1.1 no such user"})
    async with Receiver(script) as mx, open_way(tmp_path, mx.port) as way:
        message_id = await way.send(envelope_from="")
        await until(lambda: _is(way, message_id, "bounced"))
        await asyncio.sleep(0.1)
        assert next(line for _, line in mx.commands if line.startswith("MAIL")).startswith(
            "MAIL FROM:<>"
        )
    assert mx.count == 0


async def test_what_waited_leaves_with_the_keys_of_the_moment(location):
    async with Receiver() as mx, open_way(location, mx.port) as way:
        way.change(kill_switch=KillSwitch(by="ann", at=1, reason="stop"))
        message_id = await way.send()
        old = way.directory.domains["shop.example.com"]
        key = DkimKey(selector="s2", algorithm="ed25519-sha256", private_key=make_ed25519())
        new = replace(old, keys=(key,))
        way.change(kill_switch=None, domains={new.name: new})
        await until(lambda: _is(way, message_id, "delivered"))
    signature = mx.messages[0].data.partition(b"\r\nReceived:")[0]
    assert b"s=s2;" in signature
    assert b"s=s1;" not in signature


async def test_above_the_limit_of_notices_a_sender_gets_one_summary(tmp_path):
    script = Script(recipients={"gone@example.net": "550 5.1.1 no such user"})
    async with Receiver(script) as mx, open_way(tmp_path, mx.port, notices_per_hour=2) as way:
        ids = [await way.send(recipients=("gone@example.net",)) for _ in range(5)]
        await until(lambda: _all_are(way, ids, "bounced"))
        await until(lambda: mx.count == 2)
        assert list(way.notices.summaries(clock.now_ms())) == []
        made = list(way.notices.summaries(clock.now_ms() + clock.HOUR))
        assert [admitted.recipients[0].address for admitted in made] == ["orders@shop.example.com"]
        assert b"3" in made[0].content


async def test_success_is_reported_only_when_the_next_hop_does_not(tmp_path):
    wanted = (RecipientRequest(address="jane@example.net", notify="SUCCESS"),)
    plain = Script(extensions=("PIPELINING", "8BITMIME"))
    async with Receiver(plain) as mx, open_way(tmp_path, mx.port) as way:
        await way.intake.accept(_with(wanted))
        await until(lambda: mx.count == 2)
        assert b"Action: relayed" in mx.messages[1].data
    async with Receiver() as mx, open_way(tmp_path / "b", mx.port) as way:
        await way.intake.accept(_with(wanted))
        await until(lambda: mx.count == 1)
        await asyncio.sleep(0.2)
        assert mx.count == 1
        assert "NOTIFY=SUCCESS" in mx.messages[0].recipient_parameters[0]


def _with(requests):
    from tests.support.submissions import submission

    return replace(submission(LETTER, received_at=clock.now_ms()), recipients=requests)


def _schedule(**changes):
    from tests.support.way import SCHEDULE

    return replace(SCHEDULE, **changes)


async def _is(way, message_id, *wanted):
    return await way.statuses(message_id) == list(wanted)


async def _all_are(way, ids, wanted):
    return all([await _is(way, message_id, wanted) for message_id in ids])


def test_the_final_states_are_those_of_the_specification():
    assert {s for s in Status if s.is_final} == {
        "delivered",
        "bounced",
        "expired",
        "suppressed",
        "cancelled",
        "corrupt",
    }
