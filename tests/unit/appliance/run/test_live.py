"""Rates and minutes of several processes as one."""

from __future__ import annotations

from appliance.run.live import live_of, traffic_of


def test_rates_of_all_processes_add_up_to_what_happens_a_second():
    one = {"accepted": 30, "delivered": 20, "deferred": 9, "bounced": 5}
    one |= {"connections": 3, "due_soon": 100}
    assert live_of([one, one]) == {
        "accepted_per_s": 6.0,
        "leaving_per_s": 5.0,
        "connections": 6,
        "due_next_hour": 200,
    }


def minute(number, count):
    counts = dict.fromkeys(("accepted", "delivered", "deferred", "bounced"), count)
    return [number, number * 60_000, counts]


def test_traffic_begins_where_the_youngest_process_began():
    found = traffic_of([[minute(7, 60), minute(8, 60)], [minute(8, 30)]])
    assert [row["at"] for row in found] == [480_000]
    assert found[0]["delivered"] == 1.5
    assert traffic_of([[minute(7, 60)], []]) == []
