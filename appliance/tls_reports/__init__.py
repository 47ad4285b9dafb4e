"""TLS reports: what TLS did with each domain's hosts, told daily to those who ask (TLS-RPT, RFC 8460).

The mta counts connections (mta/transport/tls_results.py) and adds them here, by day (UTC) and policy
domain. After the day each domain that publishes `_smtp._tls.<domain>` gets one report by mail or HTTPS;
appliance/run/tls_reports.py does that. Nothing here belongs to a tenant: a policy domain is a receiver.
"""

from __future__ import annotations

from appliance.tls_reports.mail import report_mail
from appliance.tls_reports.model import Due, Line, Reporter
from appliance.tls_reports.rules import (
    begins_at,
    destinations,
    packed,
    report,
    report_id,
    wanted_by,
)
from appliance.tls_reports.service import TlsReports

__all__ = [
    "Due",
    "Line",
    "Reporter",
    "TlsReports",
    "begins_at",
    "destinations",
    "packed",
    "report",
    "report_id",
    "report_mail",
    "wanted_by",
]
