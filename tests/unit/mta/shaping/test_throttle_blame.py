"""Who is slowed for an answer."""

from __future__ import annotations

import pytest

from mta.shaping.blame import BLAMED, subject_of
from mta.shaping.model import ActionKind
from mta.shaping.throttle import Subject
from mta.status import Scope
from tests.support.throttling import answer

PAIR = Subject("out1", "google")
TENANT = Subject("out1", "google", 7)
DOMAIN = Subject("out1", "google", 0, "example.com")
ANSWER_ONLY = {
    ActionKind.DEFER,
    ActionKind.BOUNCE,
    ActionKind.NEXT_ADDRESS,
    ActionKind.PLAINTEXT,
}


@pytest.mark.parametrize(
    ("kind", "scope", "subject"),
    [
        (ActionKind.SLOW, Scope.SESSION, PAIR),
        (ActionKind.SLOW, Scope.HOST, PAIR),
        (ActionKind.SLOW, Scope.MESSAGE, TENANT),
        (ActionKind.SLOW, Scope.RECIPIENT, None),
        (ActionKind.SUSPEND, Scope.SESSION, PAIR),
        (ActionKind.SUSPEND, Scope.HOST, PAIR),
        (ActionKind.SUSPEND, Scope.MESSAGE, TENANT),
        (ActionKind.SUSPEND, Scope.RECIPIENT, None),
        (ActionKind.SUSPEND_TENANT, Scope.SESSION, TENANT),
        (ActionKind.SUSPEND_TENANT, Scope.HOST, TENANT),
        (ActionKind.SUSPEND_TENANT, Scope.MESSAGE, TENANT),
        (ActionKind.SUSPEND_TENANT, Scope.RECIPIENT, None),
        (ActionKind.SUSPEND_DOMAIN, Scope.SESSION, DOMAIN),
        (ActionKind.SUSPEND_DOMAIN, Scope.HOST, DOMAIN),
        (ActionKind.SUSPEND_DOMAIN, Scope.MESSAGE, DOMAIN),
        (ActionKind.SUSPEND_DOMAIN, Scope.RECIPIENT, None),
    ],
)
def test_the_scope_of_the_answer_says_who_is_slowed(kind, scope, subject):
    assert subject_of(kind, answer(scope=scope)) == subject


def test_every_action_either_slows_by_scope_or_is_about_the_answer_alone():
    assert set(ActionKind) - set(BLAMED) == ANSWER_ONLY
    assert all(set(by_scope) == set(Scope) for by_scope in BLAMED.values())


def test_the_box_s_own_notices_are_never_slowed_as_if_they_were_everybody():
    assert subject_of(ActionKind.SLOW, answer(scope=Scope.MESSAGE, tenant_id=0)) is None
    assert subject_of(ActionKind.SUSPEND_TENANT, answer(tenant_id=0)) is None
