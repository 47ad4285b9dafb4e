"""Web applications for tests: making one takes most of a second, so those that are done with are lent again.

An application holds nothing but its state (admin_ui/app.py), and that is set anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from litestar import Litestar

from admin_ui.api.rates import Rates
from admin_ui.app import create_app
from admin_ui.console.live import Lines

_free: list[Litestar] = []


@contextmanager
def lent_app(processes: Any, rooms: Any) -> Iterator[Litestar]:
    """For one test at a time."""
    app = _free.pop() if _free else create_app(processes, rooms)
    fresh = {"processes": processes, "rooms": rooms, "rates": Rates(), "lines": Lines()}
    for name, value in fresh.items():
        app.state[name] = value
    yield app
    _free.append(app)
