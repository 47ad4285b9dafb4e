"""Sender: may this credential send from this domain, and which domain signs? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.directory import FromPolicy, SendingDomain
from mta.message import ReturnPathMode
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from mta.directory import Credential, Directory, Tenant


def check_tenant(tenant: Tenant) -> None:
    """A suspended tenant sends nothing."""
    if tenant.suspended:
        reason = f" ({tenant.suspended_reason})" if tenant.suspended_reason else ""
        raise Refused(
            550,
            "5.7.1",
            f"this account is suspended{reason}: contact the administrator of this box",
        )


def signing_domain(
    credential: Credential, from_domain: str, directory: Directory
) -> SendingDomain | None:
    """The domain that answers for the message and signs it; None sends it unsigned.

    Raises Refused when the From domain is foreign and the credential may not forward.
    """
    owner = directory.owner_of(from_domain)
    own = owner is not None and owner.tenant_id == credential.tenant_id
    if credential.from_policy is FromPolicy.ANY:
        return owner if own else directory.default_domains.get(credential.tenant_id)
    if owner is None or not own:
        raise Refused(
            550,
            "5.7.1",
            f"{from_domain} is not a verified sending domain of this account: add it, publish its "
            "records and check it, or send from a domain that is verified",
        )
    if credential.allowed_from and not _covered(from_domain, credential.allowed_from):
        names = ", ".join(sorted(credential.allowed_from)[:5])
        raise Refused(
            550, "5.7.1", f"this login may not send from {from_domain}, only from {names}"
        )
    return owner


def return_path_of(
    credential: Credential, domain: SendingDomain | None, box_bounce_domain: str
) -> tuple[str, ReturnPathMode]:
    """The bounce domain and how many recipients share a return path (MTA-22)."""
    mode = credential.return_path_mode or (domain.return_path_mode if domain else None)
    bounce_domain = domain.bounce_domain if domain else ""
    return bounce_domain or box_bounce_domain, mode or ReturnPathMode.RECIPIENT


def _covered(name: str, allowed: frozenset[str]) -> bool:
    return any(name == parent or name.endswith("." + parent) for parent in allowed)
