"""What waits at rest: no news is lost, whatever happens while a page is being read."""

from __future__ import annotations

from bisect import insort

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mta.scheduling.backlog import KEY_LIMIT, KEYS_A_TURN, TURN, WAKES, Backlog
from mta.scheduling.blocked import Blocked
from mta.spool.store import Cursor, QueueKey, Waiting

KEY = QueueKey(7, "transactional", "example.net")
OTHER = QueueKey(7, "bulk", "example.org")


def backlog():
    return Backlog(lambda _tenant: 1)


def ready(found, now):
    """The keys that may be read now, however many looks at the clock that takes."""
    states = []
    found.wake(now)
    while True:
        while (state := found.pop()) is not None:
            states.append(state)
        if (due := found.next_due()) is None or due > now:
            return [state.key for state in states], states
        found.wake(now)


def reading(found, now=100):
    """The state of KEY while a page of it is being read."""
    found.note(KEY, 50)
    _, [state] = ready(found, now)
    return state


def test_a_key_is_ready_when_its_first_recipient_is_due_and_not_before():
    found = backlog()
    found.note(KEY, 100)
    assert ready(found, 99)[0] == []
    assert found.next_due() == 100
    assert ready(found, 100)[0] == [KEY]


def test_the_earliest_of_several_due_times_counts():
    found = backlog()
    for due_at in (300, 100, 200):
        found.note(KEY, due_at)
    assert ready(found, 100)[0] == [KEY]
    assert ready(found, 500)[0] == []  # it is being read already


def test_what_the_store_found_at_start_is_taken_over():
    found = backlog()
    found.load([Waiting(KEY, 5, 100), Waiting(OTHER, 1, 10)], 0)
    assert (len(found), ready(found, 50)[0]) == (2, [OTHER])


def test_what_was_due_already_at_start_is_ready_at_once():
    found = backlog()
    found.load([Waiting(KEY, 5, 100), Waiting(OTHER, 1, 10)], 50)
    assert (found.pop().key, found.pop()) == (OTHER, None)


def test_of_many_keys_that_become_due_at_once_some_wake_and_the_others_at_the_next_look():
    found = backlog()
    for n in range(WAKES + 3):
        found.note(QueueKey(7, "bulk", f"d{n}.example"), 50)
    for woken, due in ((WAKES, 50), (3, None)):
        found.wake(100)
        assert sum(found.pop() is not None for _ in range(WAKES + 3)) == woken
        assert found.next_due() == due


def test_urgent_mail_does_not_wait_behind_bulk_that_was_due_earlier():
    found = backlog()
    for n in range(WAKES + 3):
        found.note(QueueKey(8, "bulk", f"d{n}.example"), 50)
    found.note(KEY, 90)
    assert ready(found, 100)[0][0] == KEY


def test_a_key_with_nothing_left_is_forgotten():
    found = backlog()
    found.page_read(reading(found), None, 0)
    assert len(found) == 0


def test_what_is_due_later_is_remembered_after_the_last_page():
    found = backlog()
    found.page_read(reading(found), None, 900)
    assert ready(found, 899)[0] == []
    assert ready(found, 900)[0] == [KEY]


def test_more_behind_a_page_is_read_on_behind_its_end():
    found = backlog()
    end = Cursor(60, 8, 0)
    found.page_read(reading(found), end, 0)
    _, [state] = ready(found, 100)
    assert state.cursor == end


@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("due_at", [40, 60, 70])
def test_news_that_comes_while_a_page_is_read_is_looked_at_afterwards(more, due_at):
    found = backlog()
    state = reading(found)
    found.note(KEY, due_at)
    found.took(KEY, 10)
    cursor = Cursor(60, 8, 0) if more else None
    found.page_read(state, cursor, 0)
    _, [again] = ready(found, 100)
    assert again.cursor.due_at < due_at


def test_what_became_durable_behind_the_place_that_was_read_is_read_from_the_start():
    """Two messages are committed in another order than they were received in."""
    found = backlog()
    found.took(KEY, 10)
    found.page_read(reading(found), Cursor(60, 8, 0), 0)
    _, [state] = ready(found, 100)
    found.page_read(state, None, 0)
    found.note(KEY, 55)
    _, [state] = ready(found, 100)
    assert state.cursor == Cursor()


@pytest.mark.parametrize("end", [40, 100])
def test_a_rewind_while_a_page_is_read_is_not_lost(end):
    """Even if what is to be read again is due to be tried only later than the page's end."""
    found = backlog()
    state = reading(found)
    found.rewind(KEY, 99)
    found.page_read(state, Cursor(end, 8, 0), 0)
    _, [state] = ready(found, 100)
    assert state.cursor == Cursor()


def test_a_page_that_could_not_be_read_is_asked_for_again():
    found = backlog()
    state = reading(found)
    found.note(KEY, 70)
    found.not_read(state)
    assert ready(found, 100)[0] == [KEY]


SHUT = Blocked(("closed", "all"), 0, "stopped by ann")


def waiting_for(place: str, until: int) -> Blocked:
    return Blocked(("warmup", place), until, f"{place} has no room")


def test_a_parked_key_stays_back_and_goes_on_where_it_was():
    found = backlog()
    found.note(KEY, 50)
    found.note(OTHER, 50)
    found.park(KEY, SHUT)
    assert ready(found, 100)[0] == [OTHER]
    assert found.places() == [(SHUT, 1)]
    found.open(lambda place: place == ("lane", "mx"), 100)
    assert ready(found, 100)[0] == []
    found.open(lambda place: place == SHUT.place, 100)
    assert ready(found, 100)[0] == [KEY]
    assert found.places() == []


def test_a_key_that_was_parked_before_its_time_is_not_forgotten_when_the_clock_steps_back():
    found = backlog()
    found.note(KEY, 50)
    found.park(KEY, SHUT)
    found.wake(60)
    found.open(lambda _: True, 40)
    assert ready(found, 40)[0] == []
    assert ready(found, 50)[0] == [KEY]


def test_news_of_a_parked_key_is_kept_until_it_goes_on():
    found = backlog()
    found.note(KEY, 200)
    found.park(KEY, SHUT)
    found.note(KEY, 50)
    assert ready(found, 100)[0] == []
    found.open(lambda _: True, 100)
    assert ready(found, 100)[0] == [KEY]


def test_a_key_parked_while_its_page_was_read_goes_on_behind_that_page():
    found = backlog()
    state = reading(found)
    found.park(KEY, SHUT)
    found.page_read(state, Cursor(60, 8, 0), 0)
    assert ready(found, 100)[0] == []
    found.open(lambda _: True, 100)
    _, [state] = ready(found, 100)
    assert state.cursor == Cursor(60, 8, 0)


def test_a_place_opens_by_itself_when_its_time_has_come():
    found = backlog()
    found.note(KEY, 50)
    found.park(KEY, waiting_for("google", 300))
    assert found.next_due() == 50
    assert ready(found, 299)[0] == []
    assert found.next_due() == 300
    assert ready(found, 300)[0] == [KEY]


def test_a_place_that_is_closed_for_longer_keeps_all_who_wait_there():
    found = backlog()
    for key in (KEY, OTHER):
        found.note(key, 50)
        found.park(key, waiting_for("google", 300))
    found.park(KEY, waiting_for("google", 900))
    assert ready(found, 300)[0] == []
    assert found.blocked(OTHER) == waiting_for("google", 900)
    assert sorted(key.domain for key in ready(found, 900)[0]) == [OTHER.domain, KEY.domain][::-1]


@pytest.mark.parametrize(
    ("end", "left"),
    [
        (lambda found, state: found.park(KEY, waiting_for("google", 900)), "google"),
        (lambda found, state: found.page_read(state, None, 50), None),
        (lambda found, state: found.not_read(state), None),
    ],
    ids=["found closed again", "it went", "not read"],
)
def test_why_a_key_waits_is_known_while_it_is_looked_at_again_and_until_the_look_ends(end, left):
    found = backlog()
    found.note(KEY, 50)
    found.park(KEY, waiting_for("google", 300))
    found.open(lambda _: True, 100)
    _, [state] = ready(found, 100)
    assert found.blocked(KEY) == waiting_for("google", 300)
    end(found, state)
    assert found.blocked(KEY) == (left and waiting_for(left, 900))


def test_a_place_lets_some_go_at_a_time_and_the_others_a_turn_later():
    found = backlog()
    keys = [QueueKey(7, "bulk", f"d{n}.example") for n in range(KEYS_A_TURN + 3)]
    for key in keys:
        found.note(key, 50)
        found.park(key, waiting_for("google", 100))
    assert len(ready(found, 100)[0]) == KEYS_A_TURN
    assert ready(found, 100)[0] == []
    assert ready(found, 100 + TURN)[0] == keys[-3:]


def test_a_place_that_closes_again_in_mid_turn_lets_no_more_go():
    found = backlog()
    for n in range(KEYS_A_TURN + 3):
        found.note(QueueKey(7, "bulk", f"d{n}.example"), 50)
        found.park(QueueKey(7, "bulk", f"d{n}.example"), waiting_for("google", 100))
    keys, states = ready(found, 100)
    for state in states:  # room for five, then none: each page was read to no end
        found.page_read(state, None, 50)
    for key in keys[5:]:
        found.park(key, waiting_for("google", 500))
    assert ready(found, 499)[0] == keys[:5]
    assert found.places() == [(waiting_for("google", 500), KEYS_A_TURN + 3 - 5)]
    assert len(ready(found, 500)[0]) == KEYS_A_TURN + 3 - 5


def test_a_place_that_is_found_closed_keeps_nobody_who_waits_at_another():
    """Two tenants are stopped for reasons of their own; one of them may go on."""
    found = backlog()
    keys = {
        t: [QueueKey(t, "bulk", f"d{n}.example") for n in range(KEYS_A_TURN + 9)] for t in (1, 2)
    }
    stops = {t: Blocked(("closed", "tenant", str(t)), 0, "unpaid") for t in (1, 2)}
    for tenant, group in keys.items():
        for key in group:
            found.note(key, 50)
            found.park(key, stops[tenant])
    found.open(lambda _: True, 100)
    for state in ready(found, 100)[1]:
        if state.key.tenant_id == 2:
            found.park(state.key, stops[2])
        found.page_read(state, None, 50 if state.key.tenant_id == 2 else 0)
    assert ready(found, 100 + TURN)[0] == keys[1][KEYS_A_TURN:]
    assert found.places() == [(stops[2], KEYS_A_TURN + 9)]


def test_keys_that_are_due_and_not_looked_at_yet_are_known():
    found = backlog()
    found.note(KEY, 50)
    found.note(OTHER, 50)
    assert not found.has_ready
    found.wake(100)
    found.pop()
    assert found.has_ready
    found.pop()
    assert not found.has_ready


def test_what_is_due_or_opens_is_worth_a_look_and_nothing_else():
    found = backlog()
    assert not found.has_due(1000)
    found.note(KEY, 50)
    assert not found.has_due(49)
    assert found.has_due(50)
    found.park(KEY, Blocked(("site", "x"), 70, "it is silent"))
    found.wake(50)
    assert not found.has_due(69)
    assert found.has_due(70)
    found.wake(70)
    assert found.has_due(70), "it is ready, and nobody has read it"


def test_a_key_waits_at_one_place_only():
    found = backlog()
    found.note(KEY, 50)
    found.park(KEY, waiting_for("google", 100))
    found.park(KEY, waiting_for("yahoo", 200))
    assert ready(found, 100)[0] == []
    assert found.places() == [(waiting_for("yahoo", 200), 1)]
    assert ready(found, 200)[0] == [KEY]


def test_a_key_with_enough_in_memory_is_not_read_until_half_has_gone():
    found = backlog()
    state = reading(found)
    found.took(KEY, KEY_LIMIT)
    found.page_read(state, Cursor(60, 8, 0), 0)
    assert ready(found, 100)[0] == []
    found.released(KEY, KEY_LIMIT // 2)
    assert ready(found, 100)[0] == []
    found.released(KEY, 1)
    assert ready(found, 100)[0] == [KEY]


def test_nothing_in_memory_means_reading_from_the_start():
    found = backlog()
    state = reading(found)
    found.took(KEY, 5)
    found.page_read(state, Cursor(60, 8, 0), 0)
    found.released(KEY, 5)
    _, [state] = ready(found, 100)
    assert state.cursor == Cursor()


def test_another_key_is_read_while_one_is_full():
    found = backlog()
    found.took(KEY, KEY_LIMIT)
    found.note(KEY, 50)
    found.note(OTHER, 50)
    assert ready(found, 100)[0] == [OTHER]


PAGE = 3
KEYS = [QueueKey(7, "bulk", f"d{n}.example") for n in range(3)]
PLACES = ["google", "yahoo"]
Row = tuple[int, int, int]


class ADispatcher(RuleBasedStateMachine):
    """A store and a window in a few lines around the real backlog: everything due is taken in time.

    Rows wait in the store until they are taken into memory; from there they are settled, deferred, put
    back, or put aside at a place that is closed. News reaches the backlog late, as it does when a commit
    is slow. Places close and open, by themselves and by news.
    """

    @initialize()
    def start(self):
        self.backlog = Backlog(lambda _: 1)
        self.now, self.number = 1_000, 0
        self.stored: dict[QueueKey, list[Row]] = {key: [] for key in KEYS}
        self.memory: list[tuple[QueueKey, Row]] = []
        self.silent: list[tuple[QueueKey, Row]] = []
        self.closed: dict[str, int] = {}  # until when; 0 = until somebody says so
        self.pages: list = []

    @rule(key=st.sampled_from(KEYS), age=st.integers(0, 50), told=st.booleans())
    def accept(self, key, age, told):
        """A message received `age` ago has become durable just now."""
        self.number += 1
        row = (self.now - age, self.number, 0)
        insort(self.stored[key], row)
        if told:
            self.backlog.note(key, row[0])
        else:
            self.silent.append((key, row))

    @rule()
    def tell(self):
        """News arrives that was still on its way to the loop."""
        for key, row in self.silent:
            self.backlog.note(key, row[0])
        self.silent.clear()

    @rule(ms=st.integers(0, 80))
    def time_passes(self, ms):
        self.now += ms
        self.closed = {n: at for n, at in self.closed.items() if not 0 < at <= self.now}

    @rule(name=st.sampled_from(PLACES), ms=st.integers(0, 120))
    def close(self, name, ms):
        self.closed[name] = self.now + ms if ms else 0

    @rule(name=st.sampled_from(PLACES))
    def open(self, name):
        self.closed.pop(name, None)
        self.backlog.open(lambda place: place == ("warmup", name), self.now)

    @rule()
    def begin_page(self):
        was_due = self.backlog.has_due(self.now)
        self.backlog.wake(self.now)
        state = self.backlog.pop()
        assert was_due or state is None, "nobody would have looked"
        if state is not None:
            place = (state.cursor.due_at, state.cursor.message_id, state.cursor.n)
            stored = self.stored[state.key]
            rows = [r for r in stored if r > place and r[0] <= self.now][:PAGE]
            later = [r for r in stored if r[0] > self.now]
            self.pages.append((state, rows, later))

    @rule(fails=st.booleans())
    def end_page(self, fails):
        if not self.pages:
            return
        state, rows, later = self.pages.pop(0)
        if fails:
            self.backlog.not_read(state)
            return
        for row in rows:
            if (state.key, row) not in self.memory and row in self.stored[state.key]:
                self.memory.append((state.key, row))
                self.backlog.took(state.key, 1)
                if blocked := self.blocked(state.key):
                    self.put_aside(state.key, row, blocked)
        if len(rows) == PAGE:
            self.backlog.page_read(state, Cursor(*rows[-1]), 0)
        else:
            self.backlog.page_read(state, None, later[0][0] if later else 0)

    def blocked(self, key):
        name = PLACES[KEYS.index(key) % 2]
        return waiting_for(name, self.closed[name]) if name in self.closed else None

    def put_aside(self, key, row, blocked):
        self.memory.remove((key, row))
        self.backlog.released(key, 1)
        self.backlog.rewind(key, row[0])
        self.backlog.park(key, blocked)

    @rule(wait=st.integers(0, 60), put_back=st.booleans())
    def leave_memory(self, wait, put_back):
        if not self.memory:
            return
        key, row = self.memory.pop(0)
        self.backlog.released(key, 1)
        if put_back:  # it was not sent: the row stays as it was
            self.backlog.rewind(key, row[0])
            return
        self.stored[key].remove(row)
        if wait:
            later = (self.now + wait, row[1], row[2])
            insort(self.stored[key], later)
            self.backlog.note(key, later[0])

    @rule()
    def find_memory_blocked(self):
        """What stands in a lane may be found to be blocked as well."""
        for key, row in list(self.memory):
            if blocked := self.blocked(key):
                self.put_aside(key, row, blocked)

    @invariant()
    def what_waits_is_known(self):
        """Unless its news is still on its way, what waits has a key that will be looked at."""
        for key in getattr(self, "stored", ()):
            waiting = [
                row
                for row in self.stored[key]
                if (key, row) not in self.memory and (key, row) not in self.silent
            ]
            assert not waiting or self.backlog.state_of(key) is not None

    @invariant()
    def only_keys_that_are_parked_are_counted(self):
        if hasattr(self, "backlog"):
            states = filter(None, map(self.backlog.state_of, KEYS))
            parked = [state for state in states if state.parked is not None]
            assert sum(count for _, count in self.backlog.places()) == len(parked)

    def teardown(self):
        """Let everything go on: then whatever is due must come into memory."""
        if not hasattr(self, "backlog"):
            return
        self.tell()
        while self.pages:
            self.end_page(fails=False)
        self.now += 1_000
        self.closed.clear()
        self.backlog.open(lambda _: True, self.now)
        for _ in range(4 * sum(map(len, self.stored.values())) + 8):
            self.begin_page()
            self.end_page(fails=False)
            self.now += TURN
        assert {(key, row) for key in KEYS for row in self.stored[key]} == set(self.memory)


TestADispatcher = ADispatcher.TestCase
TestADispatcher.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
