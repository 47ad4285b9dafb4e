"""What one shard keeps, on SQLite and on PostgreSQL."""

from __future__ import annotations

import random
import re

import pytest

from appliance.core.errors import FencedError, StoreError
from mta.message import ReturnPathMode, Source
from mta.spool import questions
from mta.spool.batch import IDEMPOTENCY_MS, Event
from mta.spool.questions import FIRST, Kind, Known, QueueFilter
from mta.spool.store import BEFORE_ALL, Cursor, QueueKey, Reroute, Waiting
from mta.status import EventKind, Status, TrafficClass
from tests.support.recipients import NOW, admitted, message, recipient, settlement
from tests.support.spools import MINUTE, Spool
from tests.support.way import backend_at

KEY = QueueKey(7, "transactional", "example.net")
KEY_SPAN = (-1, "", "", "", -1, -1, -1, 1 << 62, "", "", "", 0, 0, 0)


# -- accept -----------------------------------------------------------------------------------


def test_a_message_is_read_back_as_it_was_written(spool):
    letter = message(
        5,
        source=Source.API,
        traffic_class=TrafficClass.BULK,
        tags=("a", 'quote " and ü'),
        metadata='{"order": 1}',
        subject="Größe ✓ 😀",
        smtputf8=True,
        dsn=False,
        return_path_mode=ReturnPathMode.MESSAGE,
        ret="HDRS",
        envid="x+2By",
        size=len(b"\0\xffbytes"),
    )
    people = (recipient(5, 0, notify="NEVER", orcpt="rfc822;a@b"), recipient(5, 1))
    spool.write(admitted_of(letter, people, b"\0\xffbytes"))
    assert spool.store.message(5) == letter
    assert tuple(spool.store.recipients(5)) == people
    assert spool.store.content(5) == b"\0\xffbytes"


def admitted_of(letter, people, content):
    from dataclasses import replace

    return replace(admitted(letter.id, *people, content=content), message=letter)


def test_accepting_tells_of_the_message_once_and_of_each_recipient_that_is_kept_back(spool):
    people = (
        recipient(1, 0),
        recipient(1, 1, status=Status.SUPPRESSED, reason="on the list"),
        recipient(1, 2, status=Status.HELD, reason="a surge"),
    )
    spool.write(admitted(1, *people))
    rows = spool.store.events(0, 10)
    assert [(row.kind, row.n) for row in rows] == [("accepted", -1), ("suppressed", 1), ("held", 2)]


def test_a_message_to_suppressed_recipients_only_is_done_at_once_and_keeps_no_content(spool):
    spool.write(admitted(1, recipient(1, status=Status.SUPPRESSED)))
    assert spool.store.content(1) is None
    assert spool.rows("SELECT open, done_at FROM message") == [(0, NOW)]


def test_a_batch_that_fails_leaves_nothing(spool):
    spool.write(admitted(1))
    twice = (admitted(2), admitted(3), admitted(3))
    with pytest.raises(StoreError):
        spool.write(*twice, settle=(settlement(recipient(1)),))
    assert [spool.count(t) for t in ("message", "content", "recipient", "outbox")] == [1, 1, 1, 1]
    assert spool.statuses(1) == ["queued"]
    spool.write(admitted(2))
    assert [seq for seq, _ in spool.events()] == [1, 2]


@pytest.mark.parametrize("text", ["half a pair \ud800", "\x00"])
def test_a_text_that_cannot_be_stored_fails_as_a_store_error_or_is_kept_whole(spool, text):
    poisoned = admitted(1, recipient(1, reason=text))
    try:
        spool.write(poisoned)
    except StoreError:
        assert spool.count("message") == 0
    else:
        assert spool.store.recipients(1)[0].reason == text
    spool.write(admitted(2))
    assert spool.count("message") >= 1


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 200])
def test_a_batch_of_any_size_is_written_whole(spool, count):
    spool.write(*(admitted(n, recipient(n, 0), recipient(n, 1)) for n in range(1, count + 1)))
    tables = ("message", "content", "recipient", "outbox")
    assert [spool.count(t) for t in tables] == [count, count, 2 * count, count]
    assert spool.rows("SELECT min(id), max(id) FROM message") == [(1, count)]


# -- settle -----------------------------------------------------------------------------------


def test_a_settlement_moves_its_recipient_and_tells_of_it(spool):
    spool.write(admitted(1))
    later = settlement(recipient(1), Status.DEFERRED, due_at=NOW + MINUTE)
    assert spool.write(settle=(later,)) == []
    [found] = spool.store.recipients(1)
    assert (found.status, found.due_at, found.attempts) == (Status.DEFERRED, NOW + MINUTE, 1)
    assert (found.reason, found.last_host, found.last_egress) == (
        "450 4.2.1 later",
        "mx.example.net",
        "default",
    )
    assert [kind for _, kind in spool.events()] == ["accepted", "deferred"]


def test_settling_without_an_attempt_counts_none(spool):
    spool.write(admitted(1))
    assert spool.write(settle=(settlement(recipient(1), Status.SUPPRESSED, tried=False),)) == []
    [found] = spool.store.recipients(1)
    assert (found.status, found.attempts) == (Status.SUPPRESSED, 0)


@pytest.mark.parametrize(
    "before",
    [
        {"status": Status.HELD},
        {"status": Status.CANCELLED},
        {"status": Status.DELIVERED},
        {"status": Status.DEFERRED, "attempts": 1},  # another attempt was settled already
    ],
)
def test_a_settlement_that_lost_the_race_is_reported_and_changes_nothing(spool, before):
    spool.write(admitted(1, recipient(1, **before), recipient(1, 1)))
    was = spool.store.recipients(1)
    outbox = spool.events()
    lost = settlement(recipient(1))
    assert spool.write(settle=(lost, settlement(recipient(1, 1)))) == [lost]
    assert spool.store.recipients(1)[0] == was[0]
    assert spool.statuses(1)[1] == "delivered"
    assert [kind for _, kind in spool.events()] == [k for _, k in outbox] + ["delivered"]


def test_a_settlement_of_nobody_is_reported(spool):
    lost = settlement(recipient(99))
    assert spool.write(settle=(lost,)) == [lost]


def test_a_message_is_done_when_its_last_recipient_is_final_and_its_content_goes(spool):
    people = tuple(recipient(1, n) for n in range(3))
    spool.write(admitted(1, *people))
    spool.write(settle=(settlement(people[0]), settlement(people[1], Status.BOUNCED)))
    assert spool.rows("SELECT open, done_at FROM message") == [(1, 0)]
    assert spool.store.content(1) is not None
    spool.write(settle=(settlement(people[2], Status.DEFERRED, due_at=NOW),))
    assert spool.rows("SELECT open, done_at FROM message") == [(1, 0)]
    spool.now += MINUTE
    last = recipient(1, 2, attempts=1)
    spool.write(settle=(settlement(last, Status.EXPIRED),))
    assert spool.rows("SELECT open, done_at FROM message") == [(0, NOW + MINUTE)]
    assert spool.store.content(1) is None


def test_a_lost_settlement_does_not_close_its_message(spool):
    spool.write(admitted(1, recipient(1, 0), recipient(1, 1, status=Status.HELD)))
    spool.write(settle=(settlement(recipient(1, 0)), settlement(recipient(1, 1))))
    assert spool.rows("SELECT open FROM message") == [(1,)]


def test_the_same_outcome_told_twice_closes_its_message_once(spool):
    people = tuple(recipient(1, n) for n in range(3))
    spool.write(admitted(1, *people))
    spool.write(settle=(settlement(people[0]),))
    lost = spool.write(settle=(settlement(people[0]), settlement(people[1])))
    assert [one.recipient.n for one in lost] == [0]
    assert spool.rows("SELECT open FROM message") == [(1,)]
    assert spool.store.content(1) is not None


def test_outcomes_of_one_batch_for_several_messages_close_each_by_its_own_count(spool):
    spool.write(
        *(admitted(m, *(recipient(m, n) for n in range(m))) for m in (1, 2, 3)),
    )
    spool.write(
        settle=tuple(settlement(recipient(m, n)) for m in (1, 2, 3) for n in range(2) if n < m)
    )
    assert spool.rows("SELECT id, open FROM message ORDER BY id") == [(1, 0), (2, 0), (3, 1)]
    assert [spool.store.content(m) is None for m in (1, 2, 3)] == [True, True, False]


# -- people's moves ---------------------------------------------------------------------------


def moved(spool, *moves, held=False):
    return spool.write(then=lambda store, batch: store.move(moves, batch, held=held))


def move(n, status, message_id=1):
    from mta.spool.batch import Event
    from mta.spool.store import Move
    from mta.status import EventKind

    kind = {Status.QUEUED: EventKind.RELEASED}.get(status) or EventKind(status)
    event = Event(message_id=message_id, n=n, kind=kind, at=NOW, data={"by": "ann"})
    return Move(message_id, n, status, NOW, "by ann", event)


def test_a_persons_move_takes_effect_only_on_what_stands_where_it_was_seen(spool):
    states = (Status.QUEUED, Status.DEFERRED, Status.HELD, Status.DELIVERED)
    spool.write(admitted(1, *(recipient(1, n, status=s) for n, s in enumerate(states))))
    done = moved(spool, *(move(n, Status.HELD) for n in range(4)))
    assert [m.n for m in done] == [0, 1]
    assert spool.statuses(1) == ["held", "held", "held", "delivered"]
    done = moved(spool, *(move(n, Status.QUEUED) for n in range(4)), held=True)
    assert [m.n for m in done] == [0, 1, 2]
    assert spool.statuses(1) == ["queued", "queued", "queued", "delivered"]


def test_cancelling_the_last_recipient_closes_the_message(spool):
    spool.write(admitted(1, recipient(1, 0), recipient(1, 1)))
    moved(spool, move(0, Status.CANCELLED))
    assert spool.store.content(1) is not None
    moved(spool, move(1, Status.CANCELLED), move(1, Status.CANCELLED))
    assert spool.rows("SELECT open FROM message") == [(0,)]
    assert spool.store.content(1) is None
    assert [kind for _, kind in spool.events()].count("cancelled") == 2


# -- what is due ------------------------------------------------------------------------------


def test_what_waits_is_summed_up_by_key(spool):
    spool.write(
        admitted(
            1, recipient(1, 0), recipient(1, 1, due_at=NOW - 5), recipient(1, 2, domain="b.test")
        ),
        admitted(2, recipient(2, traffic_class=TrafficClass.BULK), recipient(2, 1, tenant_id=8)),
        admitted(
            3, *(recipient(3, n, status=s) for n, s in enumerate([Status.HELD, Status.BOUNCED]))
        ),
    )
    found = {entry.key: entry for entry in spool.store.waiting()}
    assert found == {
        entry.key: entry
        for entry in (
            Waiting(KEY, 2, NOW - 5),
            Waiting(QueueKey(7, "bulk", "example.net"), 1, NOW),
            Waiting(QueueKey(7, "transactional", "b.test"), 1, NOW),
            Waiting(QueueKey(8, "transactional", "example.net"), 1, NOW),
        )
    }


def test_what_is_due_now_is_given_and_the_time_of_the_next_is_known(spool):
    dues = [NOW - 1, NOW, NOW + 1, NOW + 9]
    spool.write(admitted(1, *(recipient(1, n, due_at=due) for n, due in enumerate(dues))))
    assert [r.n for r in spool.store.due(KEY, NOW, Cursor(), 10)] == [0, 1]
    assert spool.store.later(KEY, NOW) == NOW + 1
    assert spool.store.later(KEY, NOW + 9) == 0


@pytest.mark.parametrize("seed", range(5))
def test_pages_are_complete_in_order_and_without_doubles(spool, seed):
    dice = random.Random(seed)
    wanted = []
    for number in range(1, 40):
        people = []
        for n in range(dice.randint(1, 8)):
            who = recipient(
                number,
                n,
                due_at=NOW + dice.randint(-5, 3),
                status=dice.choice([Status.QUEUED, Status.DEFERRED, Status.HELD, Status.DELIVERED]),
                domain=dice.choice(["example.net", "example.net", "other.test"]),
            )
            people.append(who)
            if who.domain == KEY.domain and who.status.is_waiting and who.due_at <= NOW:
                wanted.append((who.due_at, number, n))
        spool.write(admitted(number, *people))
    found, cursor, size = [], Cursor(), dice.randint(1, 9)
    while page := spool.store.due(KEY, NOW, cursor, size):
        assert len(page) <= size
        found += [(r.due_at, r.message_id, r.n) for r in page]
        cursor = Cursor(*found[-1])
    assert found == sorted(wanted)


@pytest.mark.parametrize("seed", range(3))
def test_the_list_for_people_is_complete_in_order_and_without_doubles(spool, seed):
    dice = random.Random(seed)
    wanted = []
    for number in range(1, 30):
        states = [dice.choice(list(set(Status) - {Status.SENDING})) for _ in range(4)]
        spool.write(
            admitted(number, *(recipient(number, n, status=s) for n, s in enumerate(states)))
        )
        wanted += [(number, n) for n, s in enumerate(states) if s.is_waiting or s is Status.HELD]
    found, after = [], FIRST
    while after is not None:
        page = spool.store.questions.find(QueueFilter(), after, 7)
        found += [(r.message_id, r.n) for r in page.recipients]
        after = page.after
    assert found == wanted


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ({}, [(1, 0), (1, 1), (2, 0), (3, 0)]),
        ({"message_id": 1}, [(1, 0), (1, 1)]),
        ({"message_id": 1, "n": 0}, [(1, 0)]),
        ({"tenant_id": 8}, [(2, 0)]),
        ({"credential_id": 4}, [(3, 0)]),
        ({"domain": "b.test"}, [(1, 1)]),
        ({"address": "user1@b.test"}, [(1, 1)]),
        ({"status": "held"}, [(3, 0)]),
        ({"tenant_id": 8, "status": "held"}, []),
        ({"tag": '50% "off"'}, [(2, 0)]),
        ({"tag": "receipt"}, [(1, 0), (1, 1), (3, 0)]),
        ({"tag": "Receipt"}, []),
        ({"tag": "rec"}, []),
        ({"tag": ","}, []),
        ({"tag": "größe"}, [(2, 0)]),
        ({"tag": "receipt", "status": "held"}, [(3, 0)]),
        ({"egress": "out1"}, [(3, 0)]),
    ],
)
def test_people_find_what_they_ask_for(spool, wanted, places):
    spool.write(
        admitted(1, recipient(1, 0), recipient(1, 1, domain="b.test"), tags=("receipt", "x")),
        admitted(2, recipient(2, tenant_id=8), tenant_id=8, tags=('50% "off"', "größe")),
        admitted(3, recipient(3, status=Status.HELD, last_egress="out1"), credential_id=4),
        admitted(4, recipient(4, status=Status.DELIVERED, last_egress="out1")),
    )
    found = spool.store.questions.find(QueueFilter(**wanted), FIRST, 100)
    assert [(r.message_id, r.n) for r in found.recipients] == places
    assert found.after is None


def test_what_memory_knows_narrows_the_search_down(spool):
    domains = ("a.test", "b.test", "a.test", "c.test")
    spool.write(*(admitted(n, recipient(n, domain=domain)) for n, domain in enumerate(domains, 1)))

    def places(wanted, **known):
        found = spool.store.questions.find(QueueFilter(**wanted), FIRST, 100, Known(**known))
        return [r.message_id for r in found.recipients]

    assert places({"site": "x"}, domains=frozenset({"a.test", "c.test"})) == [1, 3, 4]
    assert places({"site": "x"}, domains=frozenset()) == []
    assert places({"egress": "out1"}, places=frozenset({(2, 0), (4, 0)})) == [2, 4]
    assert places({"egress": "out1", "domain": "c.test"}, places=frozenset({(4, 0)})) == [4]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("wanted", [{}, {"domain": "d1.test"}, {"tag": "t1"}, {"credential_id": 1}])
def test_a_search_in_slices_finds_what_one_look_would(spool, monkeypatch, wanted, seed):
    dice = random.Random(seed)
    expected, filling = [], []
    for number in range(1, 40):
        who, mark, where = (dice.randint(0, 2) for _ in range(3))
        states = [dice.choice([Status.QUEUED, Status.HELD, Status.DELIVERED]) for _ in range(3)]
        people = [
            recipient(number, n, status=s, domain=f"d{where}.test") for n, s in enumerate(states)
        ]
        filling.append(admitted(number, *people, credential_id=who, tags=(f"t{mark}",)))
        said = {"domain": f"d{where}.test", "tag": f"t{mark}", "credential_id": who}
        if all(said[name] == value for name, value in wanted.items()):
            expected += [(number, n) for n, s in enumerate(states) if not s.is_final]
    spool.write(*filling)
    monkeypatch.setattr(questions, "SLICE", dice.randint(1, 9))
    monkeypatch.setattr(questions, "SLOW_SLICE", dice.randint(1, 9))
    found, after, limit = [], FIRST, dice.randint(1, 9)
    while after is not None:
        page = spool.store.questions.find(QueueFilter(**wanted), after, limit)
        assert len(page.recipients) <= limit
        found += [(r.message_id, r.n) for r in page.recipients]
        after = page.after
    assert found == expected


def test_a_large_message_is_found_whole(spool, monkeypatch):
    monkeypatch.setattr(questions, "SLICE", 4)
    spool.write(admitted(1, *(recipient(1, n) for n in range(10))), admitted(2))
    found, after = [], FIRST
    while after is not None:
        page = spool.store.questions.find(QueueFilter(message_id=1), after, 100)
        found += [(r.message_id, r.n) for r in page.recipients]
        after = page.after
    assert found == [(1, n) for n in range(10)]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_what_waits_is_counted_in_slices(spool, monkeypatch, size):
    monkeypatch.setattr(questions, "SLICE", size)
    tried = {"status": Status.DEFERRED, "last_egress": "out1"}
    spool.write(
        admitted(1, *(recipient(1, n) for n in range(3))),
        admitted(2, recipient(2, due_at=NOW - 5), recipient(2, 1, due_at=NOW + 5, **tried)),
        admitted(3, recipient(3, domain="b.test", status=Status.HELD, last_egress="out1")),
        admitted(4, recipient(4, tenant_id=8, **tried), tenant_id=8),
        admitted(5, recipient(5, status=Status.DELIVERED)),
    )
    assert counted(spool, Kind.WAITING) == {
        (7, "example.net", "queued"): (4, NOW - 5, 1),
        (7, "example.net", "deferred"): (1, NOW + 5, 2),
        (8, "example.net", "deferred"): (1, NOW, 4),
    }
    assert counted(spool, Kind.HELD) == {(7, "b.test", "held"): (1, NOW, 3)}
    assert counted(spool, Kind.EGRESS) == {
        (0, "", "queued"): (4, NOW - 5, 1),
        (0, "out1", "deferred"): (2, NOW, 2),
        (0, "out1", "held"): (1, NOW, 3),
    }


def test_the_oldest_of_a_group_is_read_as_it_stands(spool):
    spool.write(admitted(1, recipient(1, domain="b.test"), recipient(1, 1, reason="450 later")))
    asked = [(7, "example.net", "queued", 1, NOW, 1), (7, "gone.test", "queued", 1, NOW, 1)]
    one, gone = spool.store.questions.samples(asked, Kind.WAITING)
    assert (one.n, one.reason) == (1, "450 later")
    assert gone is None


def test_held_mail_whose_life_is_over_is_found(spool):
    ends = (NOW, NOW + 1)
    spool.write(
        *(admitted(n, recipient(n, status=Status.HELD, expires_at=e)) for n, e in enumerate(ends)),
        admitted(9, recipient(9, expires_at=NOW)),
    )
    assert [r.message_id for r in spool.store.questions.held_expired(NOW, 10)] == [0]


def test_a_reroute_changes_the_pool_of_what_waits_and_of_nothing_else(spool):
    states = (Status.QUEUED, Status.DEFERRED, Status.HELD, Status.DELIVERED)
    spool.write(
        admitted(1, *(recipient(1, n, status=s) for n, s in enumerate(states))),
        admitted(2, recipient(2, pool="vip")),
    )
    places = [(1, n) for n in range(4)] + [(2, 0)]
    done = spool.write(then=lambda store, batch: store.reroute(reroutes(places, "vip"), batch))
    assert [(r.message_id, r.n) for r in done] == [(1, 0), (1, 1), (1, 2)]
    assert [r.pool for r in spool.store.recipients(1)] == ["vip", "vip", "vip", ""]
    assert [kind for _, kind in spool.events()].count("rerouted") == 3


def reroutes(places, pool):
    kind = EventKind.REROUTED
    return [
        Reroute(m, n, pool, Event(message_id=m, n=n, kind=kind, at=NOW, data={})) for m, n in places
    ]


def counted(spool, kind):
    """Number, next due and oldest by tenant, name and state."""
    found, after = {}, None
    while True:
        tallies, after = spool.store.questions.tally(kind, after)
        for tenant, name, status, number, due, oldest, _soon in tallies:
            before = found.get((tenant, name, status), (0, due, oldest))
            sums = (before[0] + number, min(before[1], due), min(before[2], oldest))
            found[tenant, name, status] = sums
        if after is None:
            return found


# -- restart, outbox, tidying -----------------------------------------------------------------


def test_the_outbox_goes_on_counting_after_a_restart(spool):
    spool.write(admitted(1), admitted(2))
    spool.reopen()
    spool.write(admitted(3))
    assert [seq for seq, _ in spool.events()] == [1, 2, 3]


def test_the_outbox_goes_on_counting_when_everything_was_acknowledged(spool):
    spool.write(admitted(1), admitted(2))
    spool.write(then=lambda store, _: store.acknowledge(2))
    assert spool.events() == []
    spool.reopen()
    spool.write(admitted(3))
    assert spool.events() == [(3, "accepted")]


def test_an_acknowledgement_that_comes_late_takes_nothing_back(spool):
    spool.write(*(admitted(n) for n in range(1, 6)))
    spool.write(then=lambda store, _: store.acknowledge(4))
    spool.write(then=lambda store, _: store.acknowledge(2))
    spool.reopen()
    spool.write(admitted(9))
    assert [seq for seq, _ in spool.events()] == [5, 6]


def test_events_are_given_in_pages_and_by_message(spool):
    spool.write(*(admitted(n) for n in range(1, 8)))
    assert [row.seq for row in spool.store.events(2, 3)] == [3, 4, 5]
    assert [row.message_id for row in spool.store.events_of(4)] == [4]


def test_the_highest_id_is_known_after_a_restart(spool):
    spool.write(admitted(5), admitted(3))
    spool.reopen()
    assert spool.last_id == 5


def test_the_highest_id_is_known_after_its_message_was_purged_and_the_box_restarted(spool):
    spool.write(admitted(5))
    spool.write(settle=(settlement(recipient(5)),))
    spool.write(then=lambda store, batch: store.purge(NOW, batch.now, 10))
    assert spool.count("message") == 0
    spool.reopen()
    assert spool.last_id == 5


def test_only_what_has_been_done_long_enough_is_purged(spool):
    for number in (1, 2, 3):
        spool.now = NOW + number
        spool.write(admitted(number, recipient(number), recipient(number, 1)))
        spool.write(settle=tuple(settlement(recipient(number, n)) for n in range(number)))
    purged = spool.write(then=lambda store, batch: store.purge(NOW + 2, batch.now, 10))
    assert purged == 1
    assert spool.rows("SELECT id FROM message ORDER BY id") == [(1,), (3,)]
    assert spool.rows("SELECT DISTINCT message_id FROM recipient ORDER BY 1") == [(1,), (3,)]
    assert spool.rows("SELECT message_id FROM content") == [(1,)]


def test_purging_keeps_to_its_limit_oldest_first(spool):
    for number in range(1, 6):
        spool.now += 1
        spool.write(admitted(number, recipient(number, status=Status.SUPPRESSED)))
    assert spool.write(then=lambda store, batch: store.purge(spool.now, batch.now, 3)) == 3
    assert spool.rows("SELECT id FROM message ORDER BY id") == [(4,), (5,)]


def test_events_outlive_their_message_until_the_log_has_them(spool):
    spool.write(admitted(1, recipient(1, status=Status.SUPPRESSED)))
    spool.write(then=lambda store, batch: store.purge(spool.now, batch.now, 9))
    assert [kind for _, kind in spool.events()] == ["accepted", "suppressed"]


# -- idempotency ------------------------------------------------------------------------------


def test_a_key_stands_for_its_message_until_it_is_forgotten(spool):
    spool.write(admitted(1, idempotency_key="order-1"))
    assert spool.store.message_for_key(7, "order-1", NOW) == 1
    assert spool.store.message_for_key(8, "order-1", NOW) is None
    assert spool.store.message_for_key(7, "order-2", NOW) is None
    assert spool.store.message_for_key(7, "order-1", NOW + IDEMPOTENCY_MS) is None


def test_a_key_that_was_forgotten_can_be_used_again_before_it_is_tidied_away(spool):
    spool.write(admitted(1, idempotency_key="order-1"))
    spool.now += IDEMPOTENCY_MS
    spool.write(admitted(2, idempotency_key="order-1"))
    assert spool.store.message_for_key(7, "order-1", spool.now) == 2


def test_a_key_that_is_in_use_is_never_given_to_another_message(spool):
    spool.write(admitted(1, idempotency_key="order-1"))
    with pytest.raises(StoreError):
        spool.write(admitted(2, idempotency_key="order-1"))
    assert spool.store.message_for_key(7, "order-1", NOW) == 1


def test_old_keys_are_tidied_away(spool):
    spool.write(admitted(1, idempotency_key="old"))
    spool.now += IDEMPOTENCY_MS
    spool.write(admitted(2, idempotency_key="new"))
    spool.write(then=lambda store, batch: store.purge(0, batch.now, 10))
    assert spool.rows("SELECT key FROM idempotency") == [("new",)]


# -- owners -----------------------------------------------------------------------------------


def test_a_second_owner_fences_the_first_whose_next_commit_fails_and_writes_nothing(spool):
    spool.write(admitted(1))
    second = Spool(spool.backend)
    with pytest.raises(FencedError, match="new owner"):
        spool.write(admitted(2))
    assert second.count("message") == 1
    second.write(admitted(3))
    assert [seq for seq, _ in second.events()] == [1, 2]
    second.store.close()


def test_a_fenced_owner_cannot_settle_or_move_either(spool):
    spool.write(admitted(1, recipient(1, 0), recipient(1, 1)))
    second = Spool(spool.backend)
    with pytest.raises(FencedError):
        spool.write(settle=(settlement(recipient(1)),))
    with pytest.raises(FencedError):
        moved(spool, move(1, Status.CANCELLED))
    assert second.statuses(1) == ["queued", "queued"]
    second.store.close()


@pytest.mark.postgres
def test_shards_of_one_database_see_nothing_of_each_other(postgres_url):
    backend = backend_at(postgres_url)
    zero, one = Spool(backend, 0), Spool(backend, 1)
    zero.write(admitted(1))
    one.write(admitted(2), admitted(3, recipient(3, status=Status.HELD)))
    assert [w.recipients for w in zero.store.waiting()] == [1]
    assert [r.message_id for r in one.store.due(KEY, NOW, Cursor(), 10)] == [2]
    assert [
        r.message_id for r in one.store.questions.find(QueueFilter(), FIRST, 10).recipients
    ] == [2, 3]
    assert [seq for seq, _ in zero.events()] == [1]
    assert list(counted(zero, Kind.WAITING).values()) == [(1, NOW, 1)]
    assert counted(zero, Kind.HELD) == {}
    assert list(counted(one, Kind.EGRESS).values()) == [(1, NOW, 2), (1, NOW, 3)]
    one.write(then=lambda store, _: store.acknowledge(9))
    assert zero.events() == [(1, "accepted")]
    zero.store.close()
    one.store.close()


# -- indexes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "parameters", "index"),
    [
        ("waiting", (0, 7, "", "", "", 100), "recipient_waiting"),
        ("due", (0, 7, "transactional", "d3.test", "", NOW, -1, -1, -1, 100), "recipient_waiting"),
        ("next_due", (0, 7, "transactional", "d3.test", "", NOW), "recipient_waiting"),
        ("done", (0, NOW, 100), "message_done"),
        ("end_waiting", (0, 7, "", "", "", 0, 0, 0, 100), "recipient_waiting"),
        ("count_waiting", (NOW, NOW, 0, *KEY_SPAN), "recipient_waiting"),
        ("count_held", (NOW, 0, *KEY_SPAN), "recipient_held"),
        ("held_expired", (0, NOW, 100), "recipient_held"),
    ],
)
def test_the_scheduler_reads_through_the_partial_indexes(spool, statement, parameters, index):
    """In a store where most is done, as it is between two purges."""
    fill(spool)
    plan = explain(spool, spool.store._sql[statement], parameters)
    assert index in plan, plan


def test_what_waits_is_read_slice_by_slice_without_a_sort(spool):
    """A start costs one look at each key, however often it stops to let the mail have its turn."""
    fill(spool)
    plan = explain(spool, spool.store._sql["waiting"], (0, 7, "", "", "", 100))
    assert re.search("COVERING INDEX|Index Only Scan|Bitmap", plan), plan
    assert "TEMP B-TREE" not in plan, plan
    whole, after, slices = spool.store.waiting(), BEFORE_ALL, []
    while found := spool.store.waiting(after, 3):
        slices.append(found)
        after = found[-1].key
    assert [entry for found in slices for entry in found] == whole
    assert [len(found) for found in slices] == [3, 3, 3, 1]


def test_what_is_held_is_found_through_its_partial_index(spool):
    fill(spool)
    held = "SELECT message_id FROM recipient WHERE shard = 0 AND tenant_id = 7 AND status = 'held'"
    assert "recipient_held" in explain(spool, held, ())


@pytest.mark.parametrize("kind", ["waiting", "held"])
def test_counting_reads_the_index_alone_and_sorts_nothing(spool, kind):
    """A million rows take a second so; with a look at each row, ten."""
    fill(spool)
    soon = {"waiting": (NOW, NOW), "held": (NOW,)}[kind]
    plan = explain(spool, spool.store._sql[f"count_{kind}"], (*soon, 0, *KEY_SPAN))
    assert re.search("COVERING INDEX|Index Only Scan|Bitmap", plan), plan
    assert "TEMP B-TREE" not in plan, plan


def test_a_page_far_into_a_full_key_does_not_read_what_lies_before_it(spool):
    """Or reading a key of n recipients would cost n squared."""
    filling = []
    for number in range(1, 41):
        people = [recipient(number, n, due_at=NOW - 4_000 + number * 50 + n) for n in range(50)]
        filling.append(admitted(number, *people))
    spool.write(*filling)
    analyze(spool)
    parameters = (0, 7, "transactional", "example.net", "", NOW, NOW - 2_010, 39, 10, 100)
    plan = explain(spool, spool.store._sql["due"], parameters)
    assert re.search(r"due_at(, ?message_id, ?n\))? ?>", plan), plan
    assert "TEMP B-TREE" not in plan, plan


def fill(spool):
    filling = []
    for number in range(1, 201):
        status = Status.DELIVERED if number % 10 else Status.QUEUED
        status = Status.HELD if number % 50 == 7 else status
        people = [recipient(number, n, status=status, domain=f"d{n}.test") for n in range(10)]
        filling.append(admitted(number, *people))
    spool.write(*filling)
    analyze(spool)


def analyze(spool):
    spool.store._connection.execute("ANALYZE")


def explain(spool, statement, parameters):
    is_sqlite = spool.backend.dialect.name == "sqlite"
    if not is_sqlite:
        spool.store._connection.execute("SET enable_seqscan = off")
    prefix = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
    rows = spool.store._connection.execute(prefix + statement, parameters).fetchall()
    return "\n".join(str(row[-1]) for row in rows)


def test_the_content_of_finished_messages_is_kept_until_they_are_purged_where_that_is_wanted(
    location,
):
    spool = Spool(backend_at(location), keeps_content=True)
    spool.write(admitted(1, recipient(1)))
    spool.write(settle=(settlement(recipient(1), Status.BOUNCED),))
    assert spool.rows("SELECT open FROM message") == [(0,)]
    assert spool.store.content(1) is not None
    spool.write(then=lambda store, batch: store.purge(NOW, batch.now, 10))
    assert (spool.store.content(1), spool.count("message")) == (None, 0)
    spool.store.close()


def test_a_page_of_a_tenants_mail_costs_what_it_has_however_much_others_have(spool, monkeypatch):
    monkeypatch.setattr(questions, "SLICE", 10)
    monkeypatch.setattr(questions, "SLOW_SLICE", 10)
    for number in range(1, 301):
        tenant, tags = (8, ("mine",)) if number % 100 == 0 else (7, ())
        status = Status.HELD if number == 200 else Status.QUEUED
        people = [recipient(number, n, tenant_id=tenant, status=status) for n in range(2)]
        spool.write(admitted(number, *people, tenant_id=tenant, tags=tags))
    asked: list[object] = []
    find = spool.store.questions
    monkeypatch.setattr(find, "_run", lambda asks, run=find._run: asked.append(asks) or run(asks))
    page = find.find(QueueFilter(tenant_id=8), FIRST, 4)
    assert [(r.message_id, r.n) for r in page.recipients] == [
        (100, 0),
        (100, 1),
        (200, 0),
        (200, 1),
    ]
    assert len(asked) == 1
    rest = find.find(QueueFilter(tenant_id=8), page.after, 4)
    assert [(r.message_id, r.n) for r in rest.recipients] == [(300, 0), (300, 1)]
    assert rest.after is None
    for wanted, ids in (
        ({"status": "held"}, [200, 200]),
        ({"tag": "mine"}, [100, 100, 200, 200, 300, 300]),
        ({"message_id": 200}, [200, 200]),
    ):
        found = find.find(QueueFilter(tenant_id=8, **wanted), FIRST, 100)
        assert ([r.message_id for r in found.recipients], found.after) == (ids, None)


def test_what_waits_of_a_tenant_is_read_through_its_index_and_not_sorted(spool):
    fill(spool)
    asked = questions.select_recipients(QueueFilter(tenant_id=7), 0, FIRST, 100)
    text = str(asked.compile(dialect=spool.backend.dialect, compile_kwargs={"literal_binds": True}))
    plan = explain(spool, text, ())
    assert "recipient_of_tenant" in plan, plan
