"""Directory: the pauses that may concern some mail are found without a look at the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mta.directory import Directory, Pause

PAUSES = (
    Pause(id=1, tenant_id=7),
    Pause(id=2, domain="example.net"),
    Pause(id=3, tenant_id=7, domain="example.net"),
    Pause(id=4, tenant_id=8),
    Pause(id=5, egress="out1"),
    Pause(id=6, tenant_id=7, tag="news"),
)


@pytest.mark.parametrize(
    ("tenant_id", "domain", "found"),
    [
        (7, "example.net", {1, 2, 3, 5, 6}),
        (7, "example.org", {1, 5, 6}),
        (8, "example.net", {2, 4, 5}),
        (9, "example.org", {5}),
    ],
)
def test_all_pauses_that_may_concern_some_mail_are_found_and_no_other(tenant_id, domain, found):
    directory = Directory(generation=1, pauses=PAUSES)
    pauses = directory.pauses_of(tenant_id, domain)
    assert {pause.id for pause in pauses} == found
    assert len(pauses) == len(found)


def test_the_next_generation_has_its_own_pauses():
    directory = Directory(generation=1, pauses=PAUSES)
    assert replace(directory, pauses=()).pauses_of(7, "example.net") == []
    assert [p.id for p in replace(directory, pauses=PAUSES[3:4]).pauses_of(8, "x")] == [4]
