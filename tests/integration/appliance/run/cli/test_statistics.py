"""`pillarbox statistics`: shows counts of a box that runs or not, and has them made again."""

from __future__ import annotations

import pytest

from appliance.core import clock
from appliance.history import LogReader, LogWriter, write_partitions
from appliance.statistics import Counter, Store
from tests.support.control import FakeClock
from tests.support.history import Outbox
from tests.support.statistics import ship


@pytest.fixture
def acme(shell):
    return shell.json("tenant", "create", "acme")["id"]


@pytest.fixture
def counted(shell, acme):
    """Two messages of a tenant, one of the box."""
    now = FakeClock(clock.now_ms() - clock.MINUTE)
    outbox = Outbox(now)
    for tenant in (acme, acme, 0):
        message_id = outbox.accept("ann@example.net", tenant=tenant, tags=["order"])
        now.move(3 * clock.SECOND)
        outbox.tried(message_id, 0, "delivered", "a@b.example", tenant=tenant, provider="google")
    writer = LogWriter(write_partitions(shell.home.log_dir), keep_days=9)
    writer.open()
    ship(writer, outbox)
    writer.close()
    store, reader = Store(shell.home.path / "statistics.db"), LogReader(shell.home.log_dir)
    store.open()
    Counter(store, reader).step()
    reader.close()
    store.close()


def test_a_box_that_has_counted_nothing_says_so(shell):
    answer = shell.json("statistics", "show", "--by", "tag")
    assert (answer["rows"], answer["total"]["accepted"]) == ([], 0)
    assert "nothing was counted" in shell("statistics", "show", "--by", "tag").out


def test_counts_of_the_box_and_of_a_tenant(shell, counted):
    answer = shell.json("statistics", "show")
    assert len(answer["rows"]) in (8, 9), "a week, in whole days"
    assert answer["total"]["delivered"] == 3
    assert 2000 < answer["total"]["delay_p50_ms"] <= 5000
    assert answer["counted_to_at"]
    ours = shell.json("statistics", "show", "--tenant", "acme", "--step", "hour", "--since", "2h")
    assert ours["total"]["delivered"] == sum(row["delivered"] for row in ours["rows"]) == 2


def test_ranking_by_a_dimension_and_one_value_of_it(shell, counted):
    ranked = shell.json("statistics", "show", "--by", "tenant")["rows"]
    assert [(row["tenant"], row["accepted"]) for row in ranked] == [("acme", 2), ("box", 1)]
    of_google = shell.json("statistics", "show", "--by", "provider", "--value", "google")
    assert of_google["total"]["delivered"] == 3
    said = shell("statistics", "show", "--by", "provider").out
    assert "google" in said
    assert "total" in said


def test_what_makes_no_sense_is_refused_in_words(shell, acme):
    assert "--value needs --by" in shell.error("statistics", "show", "--value", "x", expect=64)
    words = shell.error("statistics", "show", "--by", "tenant", "--tenant", "acme", expect=64)
    assert "whole box" in words
    words = shell.error("statistics", "show", "--step", "hour", "--since", "60d", expect=64)
    assert "more than 1000 hours" in words


def test_counting_again_is_a_job(shell):
    made = shell.json("statistics", "rebuild")
    job = shell.json("job", "show", str(made["job"]))
    assert (job["kind"], job["state"]) == ("statistics-rebuild", "queued")
