"""Summaries of several processes as one."""

from __future__ import annotations

from appliance.run.queue_summary import merged


def group(name, **changes):
    return {
        "name": name,
        "provider": "",
        "status": "deferred",
        "count": 1,
        "oldest": 100,
        "next": 200,
        "until": 0,
        "due_soon": 0,
        "kind": "slowed",
        "reason": "",
        "words": "",
        "egress": "",
    } | changes


def part(*groups, **changes):
    return {
        "by": "domain",
        "at": 1000,
        "counts": {"deferred": sum(one["count"] for one in groups)},
        "oldest": min((one["oldest"] for one in groups), default=0),
        "oldest_waiting": 0,
        "total": len(groups),
        "due_soon": 2,
        "groups": list(groups),
        "reasons": [],
    } | changes


def reason(kind, recipients, **changes):
    return {
        "kind": kind,
        "recipients": recipients,
        "destinations": 1,
        "example": "a.example",
        "most": recipients,
    } | changes


def test_one_part_is_the_whole():
    only = part(group("a.example"))
    assert merged([only]) == only


def test_groups_of_the_same_name_and_state_are_one_told_by_its_oldest():
    found = merged(
        [
            part(group("a.example", count=2, oldest=50, reason="451 older"), at=900),
            part(
                group("a.example", count=3, provider="google", next=10), group("b.example", count=9)
            ),
        ]
    )
    assert (found["at"], found["oldest"], found["counts"]) == (900, 50, {"deferred": 14})
    assert [(one["name"], one["count"]) for one in found["groups"]] == [
        ("b.example", 9),
        ("a.example", 5),
    ]
    both = found["groups"][1]
    assert (both["reason"], both["provider"], both["next"]) == ("451 older", "google", 10)


def test_states_are_told_apart():
    found = merged([part(group("a.example")), part(group("a.example", status="held"))])
    assert found["total"] == 2


def test_an_empty_part_makes_nothing_old():
    assert merged([part(), part(group("a.example"))])["oldest"] == 100
    assert merged([part(), part()])["oldest"] == 0


def test_a_group_of_several_parts_waits_for_what_its_oldest_waits_for():
    old = group("a.example", oldest=50, kind="warmup", until=900, egress="out2", words="451 x")
    found = merged([part(group("a.example", egress="out1", due_soon=3)), part(old)])
    (both,) = found["groups"]
    assert (both["kind"], both["until"], both["egress"]) == ("warmup", 900, "out2")
    assert (both["words"], both["due_soon"], found["due_soon"]) == ("451 x", 3, 4)


def test_what_is_held_makes_nothing_that_waits_old():
    parts = [part(group("a.example"), oldest_waiting=100), part(oldest_waiting=70), part()]
    assert merged(parts)["oldest_waiting"] == 70


def test_reasons_add_up_and_name_the_fullest_destination_of_the_whole():
    one = part(
        group("a.example", count=6),
        group("b.example", count=5),
        reasons=[reason("slowed", 11, destinations=2, most=6)],
    )
    two = part(
        group("b.example", count=4, kind="warmup"),
        group("b.example", status="queued", count=3),
        reasons=[
            reason("warmup", 4, example="b.example"),
            reason("slowed", 3, example="b.example"),
        ],
    )
    slowed, warmup = merged([one, two])["reasons"]
    assert (slowed["recipients"], slowed["destinations"]) == (14, 2)
    assert (slowed["example"], slowed["most"]) == ("b.example", 12)
    assert (warmup["kind"], warmup["recipients"]) == ("warmup", 4)


def test_a_merged_count_by_reason_keeps_destinations_as_examples():
    parts = [part(group("slowed", count=9), by="reason", reasons=[reason("slowed", 9)])] * 2
    assert merged(parts)["reasons"][0]["example"] == "a.example"
