"""Rules of credentials, pure: names, policies, and what the mta's directory gets to see."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from appliance.core.errors import StoreError, UsageError
from appliance.credentials.model import CredentialRecord, Login, Policy
from mta import directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ALPHABET: Final = "23456789abcdefghijkmnpqrstuvwxyz"  # nothing to misread
_SUFFIX_LENGTH: Final = 6
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_TAG: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_MAX_ITEMS: Final = 100
_MAX_LIMIT: Final = 1_000_000_000
NO_LOGIN: Final = Login(username="", secret_hash=b"", created_at=0, expires_at=0)


def checked_name(name: str) -> str:
    """The name as stored; it becomes part of the user name."""
    wanted = name.strip().lower()
    if not _NAME.fullmatch(wanted):
        raise UsageError(
            f"{name!r} cannot name a credential: use 1-40 letters, digits and inner hyphens, as in web-app"
        )
    return wanted


def make_username(tenant: str, name: str, choose: Callable[[str], str]) -> str:
    """tenant.name.k7xq2m: each login has its own, so that old and new work side by side."""
    suffix = "".join(choose(_ALPHABET) for _ in range(_SUFFIX_LENGTH))
    return f"{tenant}.{name}.{suffix}"


def checked_policy(policy: Policy) -> Policy:
    """The policy with its lists in normal form. Raises UsageError in words."""
    for name in ("networks", "tags", "allowed_from"):
        if len(getattr(policy, name)) > _MAX_ITEMS:
            raise UsageError(f"{name} has more than {_MAX_ITEMS} entries")
    for name in ("recipients_per_hour", "recipients_per_day"):
        if not 0 <= getattr(policy, name) <= _MAX_LIMIT:
            raise UsageError(f"{name} must be between 0 (no limit) and {_MAX_LIMIT}")
    for tag in policy.tags:
        if not _TAG.fullmatch(tag):
            raise UsageError(f"{tag!r} is no tag: 1-64 letters, digits and _ . : -")
    return replace(
        policy,
        pool=policy.pool.strip().lower(),
        networks=tuple(str(_network(text)) for text in policy.networks),
        allowed_from=frozenset(name.strip().rstrip(".").lower() for name in policy.allowed_from),
    )


def _network(text: str) -> directory.Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no network: write it as 10.1.0.0/16 or 2001:db8::/32"
        ) from error


def encode_policy(policy: Policy) -> str:
    """The policy as JSON, in one stable order."""
    return msgspec.json.encode(policy, order="deterministic").decode()


def decode_policy(text: str) -> Policy:
    """The policy of a stored row."""
    try:
        return msgspec.json.decode(text, type=Policy)
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"a credential's stored policy cannot be read ({error}): {text[:200]}"
        ) from error


def entries(record: CredentialRecord) -> Iterator[directory.Credential]:
    """What the directory knows of the credential: one entry a login, all with its one id.

    One without a login, which nobody can use at the SMTP port, has one entry without a user name.
    """
    policy: dict[str, Any] = {
        field.name: getattr(record.policy, field.name) for field in fields(record.policy)
    }
    policy["networks"] = tuple(ipaddress.ip_network(text) for text in record.policy.networks)
    for login in record.logins or (NO_LOGIN,):
        yield directory.Credential(
            id=record.id,
            tenant_id=record.tenant_id,
            name=record.name,
            username=login.username,
            secret_hash=login.secret_hash,
            revoked=record.revoked_at > 0,
            expires_at=login.expires_at,
            usual_per_hour=record.usual_per_hour,
            **policy,
        )
