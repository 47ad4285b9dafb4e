"""The live stream over the whole application: who is told what, how it ends, and how many there may be."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from admin_ui.console import live
from appliance.core.errors import StoreError
from appliance.core.scope import Scope
from appliance.people import Client, first_admin_link
from tests.support.api import SYSTEM, Api, open_api
from tests.support.people import PASSWORD
from tests.support.way import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("live")]

NUMBERS = itertools.count(1)
HERE = Client(address="192.0.2.7", agent="Firefox")


class Line:
    """An open stream, read as it comes."""

    def __init__(self, app: Any, token: str, query: str, headers: dict[str, str]) -> None:
        given = {"cookie": f"pillarbox={token}", "host": "box.test"} | headers
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/live",
            "raw_path": b"/live",
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": ("192.0.2.7", 1),
            "server": ("box.test", 80),
        }
        self.status, self.headers, self.body = 0, {}, b""
        self.read = 0
        self._gone, self._asked = asyncio.Event(), False
        self._news = asyncio.Event()
        self.task = asyncio.ensure_future(app(self.scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body"):
                self._gone.set()
        self._news.set()

    async def until(self, *names: str) -> str:
        """What came since the last time, up to where all these events are in it."""
        wanted = [f"event: {name}\n".encode() for name in names]
        async with asyncio.timeout(60):
            while min(places := self._places(wanted)) < 0:
                self._news.clear()
                await self._news.wait()
        end = self.body.index(b"\n\n", max(places)) + 2
        found = self.body[self.read : end].decode()
        self.read = end
        return found

    def _places(self, wanted: list[bytes]) -> list[int]:
        return [self.body.find(one, self.read) for one in wanted]

    async def end(self) -> None:
        async with asyncio.timeout(60):
            await self.task

    async def hang_up(self) -> None:
        self._gone.set()
        await self.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("live"), "acme", "beta") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(api):
    """The token of the box's admin."""
    url = await first_admin_link(api.rooms.live._engine, "https://box.test")
    opened = await api.rooms.people.first_admin.welcome(
        url.rpartition("/")[2], HERE, email="root@box.test", name="Root", password=PASSWORD
    )
    return opened.token


@pytest.fixture
def member(api):
    """Makes somebody of a tenant; their token."""

    async def make(tenant: str) -> str:
        email = f"{tenant}{next(NUMBERS)}@good.test"
        _, url = await api.rooms.people.invitations.link(
            SYSTEM, email=email, role="owner", tenant_id=api.tenants[tenant]
        )
        opened = await api.rooms.people.invitations.accept(
            url.rpartition("/")[2], HERE, name="Ada", password=PASSWORD
        )
        return opened.token

    return make


@asynccontextmanager
async def listening(api: Api, token: str, query: str = "", **headers: str):
    line = Line(api.app, token, query, headers)
    try:
        await line.until("hello")
        yield line
    finally:
        await line.hang_up()


async def test_a_suppression_wakes_its_tenant_and_the_admin_and_nobody_else(api, admin, member):
    ada, bea = await member("acme"), await member("beta")
    async with (
        listening(api, ada) as mine,
        listening(api, bea) as other,
        listening(api, admin) as box,
    ):
        assert mine.status == 200
        assert mine.headers["content-type"].startswith("text/event-stream")
        assert mine.headers["cache-control"] == "no-store"
        assert mine.headers["x-accel-buffering"] == "no"
        assert b"retry: " in mine.body
        await api.rooms.suppressions.add(Scope.tenant(api.tenants["acme"]), "jane@good.test")
        await api.rooms.live.step()
        said = await mine.until("suppressions", "audit")
        assert said.count("event:") == 2
        assert "jane" not in said
        await box.until("suppressions", "audit")
        await api.rooms.domains.create(SYSTEM, tenant_id=api.tenants["beta"], name="beta.test")
        await api.rooms.live.step()
        assert "suppressions" not in await other.until("domains")


async def test_who_comes_back_is_told_what_it_missed(api, member):
    ada = await member("acme")
    async with listening(api, ada) as line:
        mark = line.body.decode().partition("id: ")[2].partition("\n")[0]
    await api.rooms.suppressions.add(Scope.tenant(api.tenants["acme"]), "joe@good.test")
    async with listening(api, ada):
        await api.rooms.live.step()
        async with listening(api, ada, **{"last-event-id": mark}) as line:
            await line.until("suppressions")
        async with listening(api, ada, f"since={mark}") as line:
            await line.until("suppressions")
        async with listening(api, ada, "since=an-old-process.7") as line:
            assert "event: egress" not in await line.until("messages", "people", "sending")


async def test_a_stream_ends_with_its_session_and_says_so(api, member, monkeypatch):
    ada = await member("acme")
    monkeypatch.setattr(live, "CHECK_SECONDS", 0.05)
    async with listening(api, ada) as line:
        await api.rooms.sessions.sign_out(ada)
        await line.until("signed-out")
        await line.end()


async def test_a_stream_is_made_anew_when_its_session_sees_other_rows(api, admin, monkeypatch):
    opened = await api.rooms.people.sign_in.with_password("root@box.test", PASSWORD, HERE)
    monkeypatch.setattr(live, "CHECK_SECONDS", 0.05)
    async with listening(api, opened.token) as line:
        entered = await api.rooms.sessions.enter(opened.token, api.tenants["acme"])
        await line.until("bye")
        await line.end()
    await api.rooms.sessions.sign_out(entered.token)


async def test_to_watch_is_not_to_use_a_session(api, member, monkeypatch):
    ada, sessions = await member("acme"), api.rooms.sessions
    noted, asked, enough = [], [], asyncio.Event()
    still = sessions.still

    async def counted(session_id):
        asked.append(session_id)
        if len(asked) == 3:
            enough.set()
        return await still(session_id)

    async def note(session_id):
        noted.append(session_id)

    monkeypatch.setattr(live, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr("appliance.people.sessions.SEEN_EVERY", -60_000)
    monkeypatch.setattr(sessions, "still", counted)
    monkeypatch.setattr(sessions, "_note", note)
    async with listening(api, ada):
        async with asyncio.timeout(60):
            await enough.wait()
    assert noted == asked[:1]


async def test_a_sign_of_life_comes_when_nothing_else_does(api, member, monkeypatch):
    monkeypatch.setattr(live, "BEAT_SECONDS", 0.02)
    async with listening(api, await member("acme")) as line:
        await until(lambda: b"\n\nevent: beat\n" in line.body, seconds=10)


async def test_a_stream_that_has_told_much_is_followed_by_another(api, member, monkeypatch):
    monkeypatch.setattr(live, "BEAT_SECONDS", 0.001)
    monkeypatch.setattr(live, "MOST_SENT", 200)
    async with listening(api, await member("acme")) as line:
        await line.until("bye")
        await line.end()
        assert len(line.body) < 300


async def test_a_session_has_so_many_streams_and_they_are_given_back(api, member, monkeypatch):
    monkeypatch.setattr(live, "MOST_OF_SESSION", 2)
    ada, bea = await member("acme"), await member("beta")
    async with listening(api, ada), listening(api, ada):
        full = Line(api.app, ada, "", {})
        await full.end()
        assert full.status == 429
        assert b"close a tab" in full.body
        assert full.headers["retry-after"] == "10"
        monkeypatch.setattr(live, "MOST", 2)
        whole = Line(api.app, bea, "", {})
        await whole.end()
        assert whole.status == 503
        assert b"too many live streams" in whole.body
    async with listening(api, ada), listening(api, ada):
        pass
    assert not api.app.state.lines._of_session


async def test_nobody_and_other_sites_hear_nothing(api, admin):
    for token, headers, status in (
        ("", {}, 401),
        ("no-such-session", {}, 401),
        (admin, {"sec-fetch-site": "cross-site"}, 403),
    ):
        line = Line(api.app, token, "", headers)
        await line.end()
        assert line.status == status
    assert "/live" not in (await api.http.get("/api/openapi.json")).json()["paths"]


async def test_a_store_that_cannot_answer_sends_the_browser_round_again(api, admin, monkeypatch):
    async def fails():
        raise StoreError("the disk is gone")

    monkeypatch.setattr(api.rooms.live, "_look", fails)
    monkeypatch.setattr(api.rooms.live, "_looked_at", 0.0)
    line = Line(api.app, admin, "", {})
    await line.until("bye")
    await line.end()
    assert line.status == 200


async def test_the_end_of_the_process_ends_every_stream_at_once(api, admin, member):
    ada = await member("acme")
    async with listening(api, admin) as box, listening(api, ada) as mine:
        stop = asyncio.Event()
        ending = asyncio.ensure_future(api.rooms.live._end(stop))
        stop.set()
        for line in (box, mine):
            await line.until("bye")
            await line.end()
        await ending
