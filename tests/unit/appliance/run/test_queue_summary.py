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
        "reason": "",
    } | changes


def part(*groups, **changes):
    return {
        "by": "domain",
        "at": 1000,
        "counts": {"deferred": sum(one["count"] for one in groups)},
        "oldest": min((one["oldest"] for one in groups), default=0),
        "total": len(groups),
        "groups": list(groups),
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
