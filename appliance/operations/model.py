"""Values of operations. A pause itself is mta.directory.Pause."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KillStatus:
    """The global stop as it stands, and who last moved it, when and why."""

    is_on: bool
    by: str
    at: int  # 0 = never moved
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a pause stops: mail that matches every field given."""

    tenant_id: int = 0
    domain: str = ""
    credential_id: int = 0
    site: str = ""
    provider: str = ""  # a section of shaping.toml; "other" = every receiver that has none
    egress: str = ""  # alone: the address itself, whose mail then leaves from others
    tag: str = ""
