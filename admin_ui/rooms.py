"""Rooms: the use cases that the faces stand on, as one value that the roof fills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from admin_ui.desks import (
    DnsDesk,
    EgressDesk,
    ExportDesk,
    Files,
    ImportDesk,
    LiveDesk,
    QueueDesk,
)
from appliance.blocklists import Blocklists
from appliance.credentials import Credentials, Tries
from appliance.domains import Domains
from appliance.egress import Egresses, Pools
from appliance.history import LogReader
from appliance.jobs import Jobs
from appliance.keys import KeyBook, Keys, Requests
from appliance.limits import Budgets
from appliance.notifications import Notifications
from appliance.operations import Operations
from appliance.people import Sessions
from appliance.people.desk import Desk
from appliance.sending import Resending, Sending
from appliance.shaping import ThrottleStore
from appliance.statistics import Statistics
from appliance.suppressions import SuppressionList
from appliance.tenancy import AuditLog, Tenants
from appliance.warmup import Warmups
from appliance.webhooks import Trials, Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What a request may ask for."""

    audit: AuditLog
    blocklists: Blocklists
    book: KeyBook
    budgets: Budgets
    credentials: Credentials
    dns: DnsDesk
    domains: Domains
    egress_life: EgressDesk
    egresses: Egresses
    exports: ExportDesk
    files: Files
    imports: ImportDesk
    jobs: Jobs
    keys: Keys
    live: LiveDesk
    log: LogReader
    notifications: Notifications
    operations: Operations
    people: Desk
    pools: Pools
    queue: QueueDesk
    requests: Requests
    resending: Resending
    sending: Sending
    sessions: Sessions
    statistics: Statistics
    suppressions: SuppressionList
    tenants: Tenants
    tries: Tries
    throttles: ThrottleStore
    warmups: Warmups
    webhook_trials: Trials
    webhooks: Webhooks


Behind: TypeAlias = NamedDependency[SkipValidation[Rooms]]
"""What a handler asks for."""
