"""What the first page says of counts, records and addresses, without asking anybody."""

from __future__ import annotations

from datetime import UTC

import pytest

from admin_ui.console.box_mail import traffic_chart
from admin_ui.console.home_box import risks_of, services_of
from admin_ui.console.sender_health import judged
from admin_ui.console.sent import today_of, two_days
from admin_ui.console.todo import Item, headline, sentence
from admin_ui.console.words import percent
from admin_ui.desks import Alarms
from appliance.core import clock
from appliance.domains import DomainKey, KeyState
from appliance.statistics import Counts, Point

NOW = 1_800_000_000_000 // clock.DAY * clock.DAY + 14 * clock.HOUR + 32 * clock.MINUTE
ALARMS = Alarms(bounced=2.0, complained=0.1, least=100)


@pytest.mark.parametrize(
    ("part", "whole", "digits", "said"),
    [
        (0, 0, 2, "0 %"),
        (0, 500, 2, "0 %"),
        (12, 1000, 1, "1.2 %"),
        (12, 1000, 2, "1.20 %"),
        (1, 1_000_000, 2, "< 0.01 %"),
        (1, 1000, 0, "< 1 %"),
        (7, 7, 1, "100 %"),
    ],
)
def test_a_share_is_written_in_one_way_and_what_is_there_is_never_nothing(
    part, whole, digits, said
):
    assert percent(part, whole, digits) == said


def item(kind):
    return Item(kind, "", "", "", "")


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ((), "Nothing needs doing."),
        (("way",), "Nothing is broken."),
        (("bad",), "One thing is broken."),
        (("bad", "bad"), "Two things are broken."),
        (("look",), "One thing needs a look."),
        (("bad", "look", "look"), "One thing is broken and two need a look."),
        (("bad",) * 12 + ("look",), "12 things are broken and one needs a look."),
    ],
)
def test_the_headline_counts_in_words(kinds, words):
    assert headline([item(kind) for kind in kinds]) == words


def test_a_finders_words_begin_as_a_sentence_but_names_keep_their_case():
    assert sentence("the dkim record broke") == "The dkim record broke"
    assert sentence("acme has sent") == "acme has sent"


def test_a_day_is_summed_and_compared_with_the_whole_hours_of_the_day_before():
    midnight = NOW // clock.DAY * clock.DAY
    points = [
        Point(at=midnight - clock.DAY + 9 * clock.HOUR, counts=Counts(accepted=100, delivered=90)),
        Point(at=midnight - clock.HOUR, counts=Counts(accepted=500, delivered=500)),
        Point(at=midnight + 9 * clock.HOUR, counts=Counts(accepted=106, delivered=97, bounced_hard=3)),
        Point(at=midnight + 14 * clock.HOUR, counts=Counts(accepted=50, delivered=40, complained=1)),
    ]  # fmt: skip
    today = today_of(points, NOW, UTC)
    assert (today.accepted, today.delivered, today.failed, today.complained) == (156, 137, 3, 1)
    assert today.against == "+6 % on yesterday"  # this hour is not over: it does not count
    assert today.chart.rows[9][:4] == ("09:00", "97", "0", "3")
    assert two_days(NOW, UTC).start == midnight - clock.DAY


def test_a_day_without_mail_is_a_sentence():
    waits = today_of([], NOW, UTC, {NOW: 312, NOW - 2 * clock.DAY: 9}).chart
    assert "312 wait" in waits.finding
    assert [one.classes for column in waits.columns for one in column.bars if one.height > 2] != []
    assert today_of([], NOW, UTC).chart.empty == "Nothing was sent today or yesterday."


@pytest.mark.parametrize(
    ("counts", "words", "kind"),
    [
        (Counts(), "No mail yet", "way"),
        (Counts(delivered=50, bounced_hard=20), "Too little to judge", "way"),
        (Counts(delivered=1000), "Healthy", "good"),
        (Counts(delivered=985, bounced_soft=15), "Bounces near the limit", "look"),
        (Counts(delivered=970, bounced_hard=30), "Bounces too high", "bad"),
        (Counts(delivered=970, bounced_hard=30, complained=9), "Complaints too high", "bad"),
    ],
)
def test_the_mail_of_a_domain_is_judged_by_the_limits_of_the_settings(counts, words, kind):
    assert judged(counts, ALARMS) == (words, kind)


def test_a_tenant_with_held_mail_is_at_risk_though_nobody_told():
    (risk,) = risks_of([], [("delta", 9120)], {4: "delta"}, {"delta": Counts(delivered=1)})
    assert (risk.tenant_id, risk.is_grave) == (4, True)
    assert risk.why.startswith("9,120 messages are held")


def test_a_process_that_is_not_well_comes_first_with_its_words():
    reports = {
        "a": {"ok": True, "started_at": NOW - 5, "checks": {}},
        "b": {"ok": False, "checks": {"disk": {"ok": False, "words": "full"}}},
        "mta-0": {"ok": False, "words": "does not answer", "checks": {}},
    }
    found = [(one.name, one.words) for one in services_of(reports, NOW)]
    assert found == [
        ("b", "full"),
        ("Accepting and sending, 1", "does not answer"),
        ("a", "5"),
    ]


def test_one_minute_is_no_line_yet():
    row = {"at": NOW, "accepted": 1.0, "delivered": 1.0, "deferred": 0.0}
    assert traffic_chart([row], UTC).empty
    assert not traffic_chart([row, row | {"at": NOW + clock.MINUTE}], UTC).empty


def test_only_a_key_that_signs_gets_old():
    words = {"id": 1, "domain_id": 1, "selector": "pb1", "algorithm": "rsa", "public_key": ""}
    times = {"created_at": NOW - 331 * clock.DAY, "updated_at": 0, "withdraw_at": 0}
    assert DomainKey(**words, **times, state=KeyState.ACTIVE).is_old(NOW)
    assert not DomainKey(**words, **times, state=KeyState.RETIRING).is_old(NOW)
    assert not DomainKey(**words, **times | {"created_at": NOW}, state=KeyState.ACTIVE).is_old(NOW)
