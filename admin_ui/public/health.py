"""GET /health: 200 when every process of the box is well, 503 when one is not (OPS-8).

Strangers hear which process is well and no more; insiders (access.py) hear each check in words.
"""

from __future__ import annotations

from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.di import NamedDependency

from admin_ui.access import is_insider
from admin_ui.processes import Processes


@route("/health", http_method=[HttpMethod.GET, HttpMethod.HEAD], include_in_schema=False)
async def health(
    request: Request[Any, Any, Any],
    processes: NamedDependency[Processes],
    token: NamedDependency[str],
) -> Response[dict[str, Any]]:
    """How the box is."""
    reports = await processes.health()
    is_well = all(report["ok"] for report in reports.values())
    if not is_insider(request, token):
        reports = {name: {"ok": report["ok"]} for name, report in reports.items()}
    content = {"ok": is_well, "processes": reports}
    return Response(content, status_code=200 if is_well else 503)
