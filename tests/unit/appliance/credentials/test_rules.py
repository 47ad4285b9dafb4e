"""Names and policies of credentials, and their way into the directory."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import StoreError, UsageError
from appliance.credentials import CredentialRecord, Login, Policy, entries
from appliance.credentials.rules import (
    checked_name,
    checked_policy,
    decode_policy,
    encode_policy,
    make_username,
)
from mta import directory
from mta.directory import FromPolicy, Gate
from mta.message import ReturnPathMode
from mta.status import TrafficClass

policies = st.builds(
    Policy,
    from_policy=st.sampled_from(FromPolicy),
    allowed_from=st.frozensets(st.sampled_from(["example.com", "example.net"])),
    networks=st.sampled_from([(), ("10.0.0.0/8",), ("2001:db8::/32", "192.0.2.1/32")]),
    traffic_class=st.none() | st.sampled_from(TrafficClass),
    return_path_mode=st.none() | st.sampled_from(ReturnPathMode),
    compliance=st.sampled_from(Gate),
    recipients_per_hour=st.integers(0, 10**6),
)


def record(policy: Policy, *logins: Login, revoked_at: int = 0) -> CredentialRecord:
    return CredentialRecord(
        id=5,
        tenant_id=2,
        name="app",
        policy=policy,
        created_at=1,
        revoked_at=revoked_at,
        last_used_at=0,
        last_used_from="",
        usual_per_hour=30,
        logins=logins,
    )


def login(username: str, expires_at: int = 0) -> Login:
    return Login(username=username, secret_hash=b"h", created_at=1, expires_at=expires_at)


def test_every_field_of_a_policy_is_known_to_the_directory():
    known = {field.name: field for field in fields(directory.Credential)}
    for field in fields(Policy):
        assert known[field.name].default == field.default, field.name


def test_every_field_of_the_directory_is_filled():
    own = {"id", "tenant_id", "name", "username", "secret_hash", "revoked", "expires_at"}
    own |= {"usual_per_hour"}
    assert {field.name for field in fields(directory.Credential)} == own | {
        field.name for field in fields(Policy)
    }


@given(policies)
def test_a_policy_survives_the_store(policy):
    assert decode_policy(encode_policy(policy)) == policy


def test_an_old_policy_reads_new_fields_as_their_defaults():
    assert decode_policy("{}") == Policy()


def test_a_damaged_policy_is_an_error_in_words():
    with pytest.raises(StoreError, match="policy"):
        decode_policy('{"dsn": 7}')


def test_networks_are_stored_in_one_form():
    assert checked_policy(Policy(networks=("10.1.2.3/16",))).networks == ("10.1.0.0/16",)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(networks=("10.1.2",)),
        Policy(tags=("a b",)),
        Policy(recipients_per_day=-1),
        Policy(networks=("10.0.0.0/8",) * 101),
    ],
)
def test_a_policy_that_cannot_be_is_refused(policy):
    with pytest.raises(UsageError):
        checked_policy(policy)


def test_each_login_is_an_entry_with_the_one_id():
    found = list(entries(record(Policy(), login("new"), login("old", 99))))
    assert {one.usual_per_hour for one in found} == {30}
    assert [(one.id, one.username, one.expires_at) for one in found] == [
        (5, "new", 0),
        (5, "old", 99),
    ]


def test_a_revoked_credential_says_so():
    (found,) = entries(record(Policy(), login("a"), revoked_at=3))
    assert found.revoked


def test_a_user_name_tells_tenant_and_credential():
    assert make_username("acme", "app", lambda letters: letters[0]) == "acme.app.222222"


@pytest.mark.parametrize("name", ["", "a.b", "a b", "x" * 41])
def test_a_name_is_a_plain_word(name):
    with pytest.raises(UsageError):
        checked_name(name)
