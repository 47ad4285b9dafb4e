"""A browser for tests of the web application: keeps cookies, and sends the session's own word along.

browsers() makes one; admin is the first admin's, signed in. The rooms of people are real, the others are not there.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import httpx
import pytest

from admin_ui.api.rates import Rates
from admin_ui.rooms import Rooms
from appliance.operations import Operations
from appliance.people import first_admin_link
from appliance.tenancy import AuditLog, Tenants
from tests.support.apps import lent_app
from tests.support.people import PASSWORD, URL, People

COOKIE = "pillarbox"
ADDRESS = "root@box.test"


class Browser:
    """Keeps cookies, and sends the session's own word along."""

    def __init__(self, app: Any, address: str) -> None:
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=(address, 1)), base_url=URL
        )
        self.csrf = ""

    async def ask(
        self, method: str, path: str, body: Any = None, *, expect: int = 200, **headers: str
    ) -> Any:
        given = {"X-CSRF-Token": self.csrf, "Sec-Fetch-Site": "same-origin"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        answer = await self.http.request(method, f"/api/v1{path}", json=body, headers=given)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        found = answer.json() if answer.content else None
        if isinstance(found, dict) and found.get("csrf"):
            self.csrf = found["csrf"]
        self.answer = answer
        return found

    async def post(self, path: str, body: Any = None, **given: Any) -> Any:
        return await self.ask("POST", path, {} if body is None else body, **given)

    async def get(self, path: str, **given: Any) -> Any:
        return await self.ask("GET", path, **given)

    @property
    def cookie(self) -> str:
        return self.http.cookies.get(COOKIE) or ""


@pytest.fixture
async def browsers(people: People):
    """Makes browsers on one box."""
    nothing: Any = None
    others: dict[str, Any] = {field.name: nothing for field in fields(Rooms)}
    ours = {
        "audit": AuditLog(people.engine),
        "people": people.desk,
        "sessions": people.desk.sessions,
        "tenants": Tenants(people.engine),
        "operations": Operations(people.engine),
    }
    rooms = Rooms(**(others | ours))
    made = []
    with lent_app(nothing, rooms) as app:
        app.state.rates = Rates(now=lambda: 0.0)  # a slow machine earns nobody another request

        def browser(address: str = "192.0.2.7") -> Browser:
            made.append(Browser(app, address))
            return made[-1]

        yield browser
        for one in made:
            await one.http.aclose()


@pytest.fixture
async def admin(people, browsers):
    """The first admin's browser."""
    browser = browsers()
    url = await first_admin_link(people.engine, URL, people.now)
    given = {"email": ADDRESS, "name": "Root", "password": PASSWORD}
    token = url.rpartition("/")[2]
    assert (await browser.post("/welcome", {"token": token, **given}))["state"] == "signed-in"
    await browsers().post("/welcome", {"token": token, **given}, expect=404)
    return browser
