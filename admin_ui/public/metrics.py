"""GET /metrics: the metrics of all processes for Prometheus, to insiders only (access.py)."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency

from admin_ui.access import require_insider
from admin_ui.processes import Processes

CONTENT_TYPE: Final = "text/plain; version=0.0.4"  # Litestar adds the charset


@get("/metrics", include_in_schema=False)
async def metrics(
    request: Request[Any, Any, Any],
    processes: NamedDependency[Processes],
    token: NamedDependency[str],
) -> Response[bytes]:
    """One exposition, each sample with the label `process`."""
    require_insider(request, token)
    return Response(await processes.metrics(), media_type=CONTENT_TYPE)
