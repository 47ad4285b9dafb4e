"""The table of rights, walked whole."""

from __future__ import annotations

import pytest

from appliance.core.errors import ForbiddenError
from appliance.core.scope import Scope
from appliance.rights import (
    BOX_ROLES,
    GRANTS,
    TENANT_ROLES,
    Actor,
    ActorKind,
    Right,
    Role,
    rights_of,
)

BOX_ALONE = {
    Right.TENANTS_MANAGE,
    Right.EGRESS_READ,
    Right.EGRESS_MANAGE,
    Right.SENDING_STOP,
    Right.BOX_READ,
}


def is_reading(right):
    return right.endswith(".read")


def actor(role):
    scope = Scope.system() if role in BOX_ROLES else Scope.tenant(1)
    return Actor(kind=ActorKind.PERSON, id=1, name="x", scope=scope, rights=GRANTS[role])


@pytest.mark.parametrize("right", Right)
def test_every_right_has_a_line_and_the_admin_holds_it(right):
    assert right in GRANTS[Role.ADMIN]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("right", Right)
def test_an_actor_is_let_through_exactly_where_the_table_says(role, right):
    if right in GRANTS[role]:
        actor(role).require(right)
        assert actor(role).may(right)
    else:
        assert not actor(role).may(right)
        with pytest.raises(ForbiddenError, match=str(right)):
            actor(role).require(right)


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.VIEWER])
def test_who_only_looks_changes_nothing(role):
    assert {right for right in GRANTS[role] if not is_reading(right)} == set()


def test_support_reads_all_that_may_be_read_but_no_message():
    assert GRANTS[Role.SUPPORT] == {right for right in Right if is_reading(right)}
    assert Right.MESSAGES_SOURCE not in GRANTS[Role.SUPPORT]


@pytest.mark.parametrize("role", TENANT_ROLES)
def test_no_role_of_a_tenant_holds_what_is_the_boxs_alone(role):
    assert not GRANTS[role] & BOX_ALONE


def test_each_role_of_a_tenant_may_all_that_the_next_lower_one_may():
    owner, manager, sender, viewer = (GRANTS[role] for role in TENANT_ROLES)
    assert owner > manager > sender > viewer


def test_only_owner_and_admin_give_rights_to_people():
    assert {role for role in Role if Right.PEOPLE_MANAGE in GRANTS[role]} == {
        Role.ADMIN,
        Role.OWNER,
    }


def test_several_roles_add_up():
    assert rights_of([Role.VIEWER, Role.SENDER]) == GRANTS[Role.SENDER]
    assert rights_of([]) == frozenset()
