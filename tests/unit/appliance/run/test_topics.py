"""Which topics of the console a change is about."""

from __future__ import annotations

from admin_ui.desks import Topic
from appliance.core.control import Part
from appliance.core.marks import EVERYBODY, Moved
from appliance.core.scope import BOX
from appliance.history import Fresh
from appliance.run.pulse import MARKS
from appliance.run.topics import OF_KIND, OF_PART, joined, of_log, of_marks, of_suppressions
from mta.status import EventKind


def test_every_part_and_every_kind_of_event_has_its_topics():
    assert set(OF_PART) == set(Part)
    assert set(OF_KIND) == set(EventKind)


def test_every_source_of_marks_has_a_topic():
    for one in MARKS:
        if one.source != "generation":
            assert of_marks([Moved(one.source, 3, "")])[3]


def test_every_topic_but_services_comes_from_somewhere():
    told = joined(
        of_marks([Moved("generation", EVERYBODY, part) for part in Part]),
        of_marks([Moved(one.source, 3, "") for one in MARKS if one.source != "generation"]),
        of_suppressions(None),
        of_log(Fresh(1, {3: frozenset(EventKind)})),
    )
    assert set().union(*told.values()) == set(Topic) - {Topic.SERVICES}


def test_a_counter_concerns_everybody_and_the_stop_is_one():
    told = of_marks([Moved("generation", EVERYBODY, "operations")])
    assert told == {EVERYBODY: {Topic.SENDING, Topic.QUEUE}}


def test_what_a_person_did_shows_in_the_audit_log_and_among_people():
    assert of_marks([Moved("audit", 3, "domain.create")]) == {3: {Topic.AUDIT}}
    assert of_marks([Moved("audit", 3, "user.role")]) == {3: {Topic.AUDIT, Topic.PEOPLE}}
    told = of_marks([Moved("audit", BOX, "user.rename")])
    assert told == {BOX: {Topic.AUDIT}, EVERYBODY: {Topic.PEOPLE}}
    lost = of_marks([Moved("audit", EVERYBODY, "")])
    assert lost == {EVERYBODY: {Topic.AUDIT, Topic.PEOPLE}}


def test_suppressions_concern_whom_they_are_of_unless_there_are_too_many():
    assert of_suppressions(frozenset({3})) == {3: {Topic.SUPPRESSIONS}}
    assert of_suppressions(frozenset()) == {}
    assert of_suppressions(None) == {EVERYBODY: {Topic.SUPPRESSIONS}}


def test_a_bounce_is_told_to_its_tenant_and_a_flood_to_everybody():
    fresh = Fresh(9, {3: frozenset({"bounced"}), 4: frozenset({"accepted", "delivered"})})
    told = of_log(fresh)
    assert told[3] == {Topic.MESSAGES, Topic.QUEUE, Topic.BOUNCES}
    assert told[4] == {Topic.MESSAGES, Topic.QUEUE}
    flood = of_log(Fresh(9, {}, is_too_much=True))
    assert flood == {EVERYBODY: {Topic.MESSAGES, Topic.QUEUE, Topic.BOUNCES}}


def test_joining_leaves_out_what_has_no_topic():
    assert joined({EVERYBODY: set()}, {3: {Topic.JOBS}}, {3: {Topic.KEYS}}) == {
        3: {Topic.JOBS, Topic.KEYS}
    }
