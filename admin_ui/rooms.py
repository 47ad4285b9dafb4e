"""Rooms: the use cases that the faces stand on, as one value that the roof fills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from appliance.keys import KeyBook, Keys, Requests
from appliance.people import Sessions
from appliance.sending import Sending
from appliance.tenancy import AuditLog, Tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What a request may ask for."""

    audit: AuditLog
    book: KeyBook
    keys: Keys
    requests: Requests
    sending: Sending
    sessions: Sessions
    tenants: Tenants


Behind: TypeAlias = NamedDependency[SkipValidation[Rooms]]
"""What a handler asks for."""
