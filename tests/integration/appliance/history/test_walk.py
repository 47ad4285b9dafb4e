"""Searches with very many hits find the same rows by whichever way they go."""

from __future__ import annotations

import itertools
import random

import pytest

from appliance.core.clock import HOUR
from appliance.core.errors import UsageError
from appliance.core.scope import Scope
from appliance.history import Filters, walk
from appliance.history.days import day_of
from appliance.history.queries import Way, recipients
from appliance.history.read_outbox import read
from mta.status import Status

BOX = Scope.system()
SCOPES = (BOX, Scope.tenant(1), Scope.tenant(2), Scope.tenant(3))
FILTERS = (
    Filters(address="user*"),
    Filters(address="USER1*"),
    Filters(address="nobody*"),
    Filters(address="user*", status=Status.DEFERRED),
    Filters(address="user*", domain="common.example"),
    Filters(domain="common.example"),
    Filters(domain="Rare.example"),
    Filters(status=Status.DEFERRED),
    Filters(sender="shop@sender.example", domain="rare.example"),
)


@pytest.fixture
def addresses(writer, outbox, now):
    """Three days of mail of three tenants; by message and recipient: tenant, address, status."""
    dice, there = random.Random(3), {}
    for _ in range(90):
        now.move(int(dice.random() * 90 * HOUR / 60))
        tenant = dice.choice((1, 1, 1, 2, 2, 3))
        domains = ("common.example",) * 4 + ("rare.example",)
        people = [f"user{dice.randint(1, 30)}@{dice.choice(domains)}" for _ in range(2)]
        message_id = outbox.accept(*people, tenant=tenant)
        for n, address in enumerate(people):
            status = dice.choice((Status.QUEUED, Status.DEFERRED, Status.DELIVERED))
            if status is not Status.QUEUED:
                outbox.tried(message_id, n, str(status), address, tenant=tenant)
            there[message_id, n] = (tenant, address, status)
    events, rejected = read(0, outbox.take(), writer.today)
    assert not rejected
    writer.write(0, events)
    assert len({day_of(message_id) for message_id, _ in there}) > 1
    return there


def expected(there, scope, filters):
    """What a look at every row finds, newest first."""
    prefix, domain = filters.address.rstrip("*").lower(), filters.domain.lower()
    return [
        key
        for key, (tenant, address, status) in sorted(there.items(), reverse=True)
        if scope.tenant_id in (None, tenant)
        and address.startswith(prefix)
        and (not domain or address.endswith("@" + domain))
        and filters.status in (None, status)
    ]


def all_pages(reader, scope, filters, size):
    cursor, found = "", []
    while True:
        page = reader.search(scope, filters, cursor=cursor, limit=size)
        found += [(row.message_id, row.n) for row in page.rows]
        cursor = page.cursor
        if not cursor:
            return found


@pytest.mark.parametrize(
    "bounds",
    [
        (10**6, 10**6, 0, 10**6, 1),
        (5, 10, 4, 10**6, 1),
        (1, 3, 1000, 10**6, 1),
        (1, 10**6, 0, 10**6, 1),
        (2, 3, 0, 9, 7),
    ],
)
def test_every_way_finds_the_same_rows_in_the_same_order(reader, addresses, monkeypatch, bounds):
    for name, value in zip(("MANY", "WINDOW", "FEW", "LOTS", "LOOKED_AT"), bounds, strict=True):
        monkeypatch.setattr(walk, name, value)
    for scope, filters in itertools.product(SCOPES, FILTERS):
        wanted = expected(addresses, scope, filters)
        for size in (7, 50):
            assert all_pages(reader, scope, filters, size) == wanted, (scope, filters, size)


def test_a_prefix_whose_very_many_hits_are_all_old_is_looked_for_a_bounded_time(
    writer, outbox, reader, log_location, monkeypatch
):
    if isinstance(log_location, str):
        pytest.skip("PostgreSQL plans by its own statistics")
    for name, value in {"MANY": 2, "WINDOW": 3, "LOTS": 4, "LOOKED_AT": 5}.items():
        monkeypatch.setattr(walk, name, value)
    for name in ("old",) * 6 + ("new",) * 12:
        outbox.accept(f"{name}@receiver.example")
    events, _ = read(0, outbox.take(), writer.today)
    writer.write(0, events)
    pages = [reader.search(BOX, Filters(address="old*"), limit=3)]
    while pages[-1].cursor:
        pages.append(reader.search(BOX, Filters(address="old*"), cursor=pages[-1].cursor, limit=3))
    assert pages[0].rows == ()
    assert pages[0].looked == 5
    assert sum(len(page.rows) for page in pages) == 6


@pytest.mark.parametrize(
    ("scope", "way", "words"),
    [
        (BOX, Way.BY_TIME, "USING PRIMARY KEY"),
        (Scope.tenant(7), Way.BY_TIME, "ix_log_recipient_tenant"),
        (Scope.tenant(7), Way.FAR_DOWN, "COVERING INDEX ix_log_recipient_tenant"),
        (BOX, Way.HOW_MANY, "COVERING INDEX ix_log_recipient_address"),
    ],
)
def test_sqlite_goes_the_way_meant_and_sorts_nothing(
    addresses, log_location, reader, scope, way, words
):
    if isinstance(log_location, str):
        return  # PostgreSQL plans by its own statistics
    query = recipients(Filters(address="user*", status=Status.BOUNCED), scope, reader._dialect, way)
    bounds = {"lo": 0, "hi": 1 << 62, "cursor_id": 1 << 62, "cursor_n": 0, "limit": 9, "skip": 9}
    (day, *_) = reader._partitions.days()
    values = query.values(**bounds)
    plan = [
        row[3] for row in reader._partitions.rows(day, f"EXPLAIN QUERY PLAN {query.sql}", values)
    ]
    assert any(words in step for step in plan), plan
    outer = next((i for i, step in enumerate(plan) if "SCAN page" in step), len(plan))
    assert not any("TEMP B-TREE" in step for step in plan[:outer]), plan


@pytest.mark.parametrize(
    "filters",
    [
        Filters(address="a\0b@example.net"),
        Filters(address="user\0*"),
        Filters(domain="half\ud800a-character"),
        Filters(tag="\0"),
        Filters(since=253_402_300_799_999),
        Filters(until=253_402_300_799_999, tag="none"),
    ],
)
def test_what_no_log_can_hold_is_not_found(reader, addresses, filters):
    assert reader.search(BOX, filters).rows == ()


@pytest.mark.parametrize("n", ["-1", "99999999999999999999999", "x", ""])
def test_a_cursor_that_was_never_given_is_refused(reader, n):
    with pytest.raises(UsageError, match="is no cursor"):
        reader.search(BOX, Filters(), cursor=f"05jp19fyg0000.{n}")
