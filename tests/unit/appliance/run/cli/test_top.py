"""The screen of `pillarbox top` from facts: what it says, and that it fits every terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.text import Text

from appliance.core import clock
from appliance.run.cli.top_columns import Column, line_of, widths
from appliance.run.cli.top_facts import Process, together
from appliance.run.cli.top_screen import UNBOUNDED, screen, sparkline

NOW = 1_800_000_000_000  # 2027-01-15 08:00 UTC


def flow(egress, provider, **changes):
    zero = dict.fromkeys(("delivered", "deferred", "bounced", "ready", "connections", "sites"), 0)
    return {"egress": egress, "provider": provider, "states": {}} | zero | changes


def destination(domain, **changes):
    return {
        "domain": domain,
        "provider": "google",
        "waiting": 0,
        "held": 0,
        "oldest": 0,
        "delivered": 0,
        "connections": 0,
        "words": "",
    } | changes


def part(**changes):
    """An overview of one process in which nothing goes on."""
    return {
        "at": NOW,
        "process": "mta-0",
        "series": {kind: [0] * 60 for kind in ("accepted", "delivered", "deferred", "bounced")},
        "flows": [],
        "destinations": [],
        "blocked": [],
        "queue": {"at": NOW, "counts": {}, "oldest": 0, "total": 0},
        "memory": {"ready": 0, "being_sent": 0, "connections": 0},
        "commit": {"median_ms": 1.0, "p99_ms": 4.5},
        "stops": [],
    } | changes


def facts(*parts, alarms=(), processes=()):
    return together(
        parts or (part(),), hostname="box.example", alarms=list(alarms), processes=list(processes)
    )


def full():
    """Much of everything, with names and words that are far too long."""
    long = "451 4.7.1 Greylisted, 请稍后再试, see https://example.net/" + "x" * 300
    return facts(
        part(
            flows=[
                flow(f"egress-with-a-long-name-{n}", "microsoft365", delivered=1_000_000 - n)
                for n in range(40)
            ],
            destinations=[
                destination(
                    f"{'d' * 60}{n}.example", waiting=900_000 - n, oldest=NOW - n, words=long
                )
                for n in range(40)
            ],
            blocked=[{"why": long + str(n), "keys": 9 + n, "until_at": NOW + 1} for n in range(30)],
            queue={"at": NOW, "counts": {"queued": 9_999_999}, "oldest": NOW - 9, "total": 9},
            stops=[f"tenant {n} is suspended: {long}" for n in range(9)],
        ),
        processes=[
            Process(name=f"mta-{n}", pid=n, started_at=NOW - 5000, memory=10**9, words="")
            for n in range(9)
        ],
    )


def shown(found, **size):
    lines = screen(found, **({"width": 120, "height": UNBOUNDED} | size))
    return "\n".join(line.plain for line in lines)


@pytest.mark.parametrize("width", [40, 80, 89, 100, 132, 250])
@pytest.mark.parametrize("height", [10, 24, 30, 60, UNBOUNDED])
def test_every_line_fits_and_there_are_no_more_than_the_terminal_has(width, height):
    lines = screen(full(), width=width, height=height)
    assert len(lines) <= height
    assert max(line.cell_len for line in lines) <= width


@pytest.mark.parametrize("height", [24, 40])
def test_every_part_has_its_share_and_says_what_is_not_shown(height):
    text = shown(full(), width=80, height=height)
    for title in ("EGRESS", "DESTINATION", "QUEUES"):
        assert title in text
    assert "of 40)" in text
    assert "of 30)" in text
    assert "and 5 more: pillarbox queue list" in text


def test_on_a_narrow_terminal_the_less_telling_columns_are_left_out():
    assert "BOUNCED" not in shown(full(), width=80)
    assert "BOUNCED" in shown(full(), width=90)


def test_a_quiet_box_says_so():
    text = shown(facts(), height=24)
    assert "nothing waits and nothing goes" in text
    assert "EGRESS" not in text


def test_what_is_stopped_and_what_is_wrong_come_first():
    found = facts(
        part(stops=["the kill switch is ON since 14:30Z"]), alarms=["192.0.2.1 is listed"]
    )
    lines = shown(found).splitlines()
    assert lines[1:3] == ["■ the kill switch is ON since 14:30Z", "! 192.0.2.1 is listed"]


def test_the_remotes_words_cannot_command_the_terminal():
    words = "451 \x1b[2Jgone\r\n\x9b31m"
    found = facts(
        part(
            destinations=[destination("a\x1b[5m.example", waiting=1, oldest=NOW, words=words)],
            blocked=[{"why": words, "keys": 1, "until_at": 0}],
            stops=[words],
            flows=[flow("out\x1b1", "google", states={"suspended": words})],
        )
    )
    assert not any(
        ord(char) < 32 or 127 <= ord(char) < 160 for char in shown(found).replace("\n", "")
    )


def test_numbers_have_units_and_nothing_is_a_dash():
    counts = [0] * 50 + [1204] * 10
    series = {
        "accepted": counts,
        "delivered": [0] * 59 + [3],
        "deferred": [0] * 60,
        "bounced": [0] * 60,
    }
    found = facts(
        part(
            series=series,
            destinations=[destination("gmail.com", waiting=133_125, oldest=NOW - 4 * clock.DAY)],
            queue={
                "at": NOW,
                "counts": {"deferred": 133_125},
                "oldest": NOW - 4 * clock.DAY,
                "total": 1,
            },
        ),
        processes=[
            Process(name="mta-0", pid=1, started_at=NOW - clock.HOUR, memory=312_400_000, words="")
        ],
    )
    text = shown(found)
    for words in ("1,204/s", "0.3/s", "waiting 133,125", "oldest 4 d", "p99 4.5 ms"):
        assert words in text
    assert "up 1 h   memory 312 MB: mta-0 312" in text
    row = next(line for line in text.splitlines() if line.startswith("gmail.com"))
    assert row.split() == ["gmail.com", "google", "133,125", "-", "4", "d", "-", "-"]


def test_an_old_count_says_so():
    queue = {"at": NOW - clock.MINUTE, "counts": {}, "oldest": 0, "total": 0}
    assert "(counted 1 min ago)" in shown(facts(part(queue=queue)))
    assert "counted" not in shown(facts())


@pytest.mark.parametrize(
    ("counts", "line"),
    [([0, 1, 4, 8], "▁▂▅█"), ([], ""), ([0, 0], "▁▁")],
)
def test_a_sparkline_is_high_where_much_was(counts, line):
    assert sparkline(counts, max([1, *counts]), ascii_only=False) == line


def test_a_terminal_without_such_letters_gets_ascii():
    assert shown(facts(part(series=full().series)), ascii_only=True).isascii()


# -- several processes ---------------------------------------------------------


def test_processes_are_told_as_one_box():
    one = part(
        flows=[flow("out1", "google", delivered=3, connections=1, states={"slowed": "10/min"})],
        destinations=[destination("a.example", waiting=2, oldest=NOW - 10, words="older")],
        blocked=[{"why": "warmup", "keys": 2, "until_at": 5}],
        queue={"at": NOW - 5, "counts": {"queued": 2}, "oldest": NOW - 10, "total": 1},
        stops=["paused"],
    )
    other = part(
        flows=[flow("out1", "google", delivered=4, connections=2)],
        destinations=[destination("a.example", waiting=1, held=1, oldest=NOW - 5, words="newer")],
        blocked=[{"why": "warmup", "keys": 1, "until_at": 9}],
        queue={"at": NOW, "counts": {"queued": 1, "held": 1}, "oldest": NOW - 5, "total": 1},
        stops=["paused"],
    )
    found = facts(one, other)
    assert found.counts == {"queued": 3, "held": 1}
    assert (found.counted_at, found.oldest) == (NOW - 5, NOW - 10)
    assert found.stops == ["paused"]
    assert found.blocked == [{"why": "warmup", "keys": 3, "until_at": 9}]
    (row,) = found.flows
    assert (row["delivered"], row["connections"], row["states"]) == (7, 3, {"slowed": "10/min"})
    (there,) = found.destinations
    assert (there["waiting"], there["held"], there["words"]) == (3, 1, "older")


def test_addresses_in_trouble_come_before_busy_ones_and_idle_warmups_last():
    found = facts(
        part(
            flows=[
                flow("idle", "google", states={"warming": "0 of 200 today"}),
                flow("busy", "google", delivered=500),
                flow("sick", "google", states={"suspended": "until 15:00Z"}),
                flow("warm", "google", delivered=600, states={"warming": "9 of 200 today"}),
            ]
        )
    )
    assert [row["egress"] for row in found.flows] == ["sick", "warm", "busy", "idle"]


def test_facts_are_not_changed_by_putting_them_together():
    given = part(flows=[flow("out1", "google", states={})], blocked=[])
    twice = facts(given, given), facts(given, given)
    assert replace(twice[0], processes=[]) == twice[1]


# -- columns ---------------------------------------------------------------------

COLUMNS = [Column("NAME", 12), Column("N", right=True), Column("WORDS")]


def test_columns_are_as_wide_as_what_stands_in_them():
    assert widths(COLUMNS, [["ab", "1,000", "x"]], 60) == [4, 5, 60 - 4 - 5 - 4]
    assert widths(COLUMNS, [["a" * 30, "1", "x"]], 60)[0] == 12


def test_names_give_way_before_the_words_are_gone():
    first, number, words = widths(COLUMNS, [["a" * 30, "1,000", "x"]], 30)
    assert (first, number, words) == (5, 5, 16)


def test_a_cell_is_cut_by_what_it_takes_on_the_terminal_not_by_its_letters():
    line = line_of(COLUMNS, [4, 5, 6], ["收件人", "12", Text("long words")])
    assert line.plain.split() == ["收", "…", "12", "long", "…"]
    assert line.cell_len == 4 + 2 + 5 + 2 + 6
