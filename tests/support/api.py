"""The API in this process: the application over real rooms, asked as anybody with any rights.

async with open_api(path) as api: await api.ask("GET", "/domains", api.token(rights, tenant_id))

The mta is not there: FakeOwners stand for its processes, with the rows that a test gives them.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from appliance.core import ids
from appliance.core.database import open_engine
from appliance.core.errors import NotFoundError, SignInError
from appliance.core.home import Home
from appliance.core.scope import Scope
from appliance.core.settings import Settings
from appliance.rights import Actor, ActorKind, Right
from appliance.run.originals import KeptMail
from appliance.run.process import Context
from appliance.run.web_queue import BoxQueue
from appliance.run.web_rooms import WebRooms
from appliance.sending import Resending, Sending, Taken
from tests.support.apps import lent_app
from tests.support.homes import initialised

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path

    from litestar import Litestar

    from admin_ui.processes import Processes
    from admin_ui.rooms import Rooms
    from appliance.sending import Handed, Outgoing, Refusal

ALL = frozenset(Right)
SYSTEM = Scope.system(by="test")
_CONTENT = b"From: a@b.test\r\n\r\nhello\r\n"


class Book:
    """Whoever a test made up (appliance.keys.KeyBook)."""

    def __init__(self) -> None:
        self.actors: dict[str, Actor] = {}

    def find(self, token: str, _address: str) -> tuple[Actor, None]:
        if token not in self.actors:
            raise SignInError("this API key is not valid")
        return self.actors[token], None

    def token(
        self, rights: Iterable[Right], tenant_id: int = 0, *, is_sandboxed: bool = False
    ) -> str:
        """Somebody new."""
        number = len(self.actors) + 1
        scope = Scope.tenant(tenant_id, by=f"key {number}") if tenant_id else Scope.system(by="ann")
        self.actors[f"token-{number}"] = Actor(
            kind=ActorKind.KEY,
            id=number,
            name=scope.by,
            scope=scope,
            rights=frozenset(rights),
            is_sandboxed=is_sandboxed,
        )
        return f"token-{number}"


class FakeOwners:
    """The mta processes, of which there is one with one shard (appliance.run.shard_owners)."""

    def __init__(self) -> None:
        self.messages: dict[int, int] = {}  # id -> tenant
        self.rows: dict[int, list[dict[str, Any]]] = {}  # recipients of a message, where given
        self.content: dict[int, bytes] = {}  # bytes of a message, where given
        self.lost: set[str] = set()  # whose bytes are kept no more
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def add(self, tenant_id: int) -> str:
        """A message with one recipient that waits; its id."""
        number = ids.IdMaker(0, max(self.messages, default=0)).make(1_800_000_000_000)
        self.messages[number] = tenant_id
        return ids.to_text(number)

    async def shards(self) -> list[int]:
        return [0]

    async def everybody(self, method: str, payload: dict[str, Any], _timeout: float) -> list[Any]:
        return [await self.call(0, method, payload, 0)]

    async def call(self, _shard: int, method: str, payload: dict[str, Any], _t: float) -> Any:
        self.asked.append((method, payload))
        return {
            "queue_summary": self._summary,
            "queue_list": self._list,
            "queue_look": self._look,
            "queue_show": self._show,
            "queue_act": self._act,
            "live": self._live,
            "minutes": self._minutes,
            "original": self._original,
            "shaping_explain": self._explain,
        }[method](payload)

    def _matching(self, wanted: dict[str, Any]) -> list[int]:
        tenant_id, number = wanted.get("tenant_id"), wanted.get("message_id")
        return [
            one
            for one, owner in sorted(self.messages.items())
            if tenant_id in (None, owner) and number in (None, one)
        ]

    def _summary(self, asked: dict[str, Any]) -> dict[str, Any]:
        mine = asked["tenant_id"]
        number = sum(mine in (0, owner) for owner in self.messages.values())
        name = "acme" if asked["by"] == "tenant" else "good.test"
        group = {"name": name, "provider": "other", "status": "deferred", "count": number}
        group |= {"oldest": 1_800_000_000_000, "next": 1_800_000_000_000, "reason": "451 later"}
        group |= {"until": 0, "due_soon": number, "words": "451 later", "egress": "out1"}
        group |= {"kind": "refused"}
        counts = {"deferred": number}
        whole = {"by": asked["by"], "at": 1_800_000_000_000, "counts": counts, "oldest": 0}
        reason = {"kind": "refused", "recipients": number, "destinations": 1}
        reason |= {"example": "good.test", "most": number}
        whole |= {
            "oldest_waiting": 0,
            "total": 1,
            "due_soon": number,
            "groups": [group],
            "reasons": [reason],
        }
        return whole

    def _list(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        after = tuple(asked["after"])
        found = [one for one in self._matching(asked["filter"]) if (one, 0) > after]
        return [self._row(one) for one in found[: asked["limit"]]]

    def _look(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"rows": self._list(asked), "after": None}

    def _row(self, number: int) -> dict[str, Any]:
        words = {"class": "bulk", "address": "jane@good.test", "domain": "good.test"}
        words |= {
            "kind": "refused",
            "status": "deferred",
            "reason": "451 later",
            "host": "",
            "egress": "",
            "pool": "",
        }
        times = {"next": 1_800_000_060_000, "expires": 1_800_000_600_000, "attempts": 1}
        owner = {"message_id": number, "n": 0, "tenant_id": self.messages[number]}
        return {"id": ids.to_text(number), **owner, **words, **times}

    def _show(self, asked: dict[str, Any]) -> dict[str, Any]:
        number = asked["id"]
        if number not in self.messages:
            raise NotFoundError("no such message waits in the queue")
        message = {"id": ids.to_text(number), "tenant_id": self.messages[number]}
        message |= {"credential_id": 1, "class": "bulk", "sender": "a@b.test", "from": "a@b.test"}
        message |= {"message_id": "<1@b.test>", "subject": "news", "size": 10, "tags": []}
        message |= {"accepted_at": 1_800_000_000_000}
        events = [[1, 0, "deferred", 1_800_000_000_000, {"attempt": 1}]]
        rows = self.rows.get(number)
        if rows is not None:
            return {"message": message, "recipients": rows, "events": []}
        return {"message": message, "recipients": [self._row(number)], "events": events}

    def _original(self, asked: dict[str, Any]) -> dict[str, Any]:
        number = asked["id"]
        if number not in self.messages:
            raise NotFoundError("no such message waits in the queue")
        return {
            "tenant_id": self.messages[number],
            "envelope_from": "a@b.test",
            "smtputf8": False,
            "body_8bit": True,
            "traffic_class": "bulk",
            "tags": ["order"],
            "metadata": '{"order":"1234"}',
            "recipients": [[0, "jane@good.test", "bounced"]],
            "content": None
            if ids.to_text(number) in self.lost
            else self.content.get(number, _CONTENT),
        }

    def _act(self, asked: dict[str, Any]) -> dict[str, Any]:
        changed = len(self._matching(asked["filter"]))
        return {"changed": changed, "being_sent": 0, "ready": 0, "after": None, "upto": 0}

    def _live(self, _: None) -> dict[str, int]:
        found = {"accepted": 30, "delivered": 20, "deferred": 10, "bounced": 5}
        return found | {"connections": 3, "due_soon": len(self.messages)}

    def _minutes(self, _: None) -> list[list[Any]]:
        counts = {"accepted": 60, "delivered": 30, "deferred": 6, "bounced": 0}
        return [[n, 1_800_000_000_000 + n * 60_000, counts] for n in range(3)]

    def _explain(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"domain": asked["domain"], "route": "550 no such domain", "egresses": []}


class FakeCarrier:
    """Takes every letter (appliance.sending.Carrier)."""

    def __init__(self) -> None:
        self.handed: list[tuple[Handed, Outgoing]] = []

    async def submit(self, handed: Handed, letters: Sequence[Outgoing]) -> list[Taken | Refusal]:
        self.handed += [(handed, one) for one in letters]
        return [Taken(id=7 << 20, recipients=len(one.recipients)) for one in letters]


class NoProcesses:
    """admin_ui.processes.Processes."""

    async def health(self) -> dict[str, dict[str, Any]]:
        return {}

    async def metrics(self) -> bytes:
        return b""


@dataclass
class Api:
    """The application with what stands behind it."""

    app: Litestar
    rooms: Rooms
    book: Book
    owners: FakeOwners
    carrier: FakeCarrier
    http: httpx.AsyncClient
    tenants: dict[str, int] = field(default_factory=dict)

    def token(self, rights: Iterable[Right] = ALL, tenant: str = "") -> str:
        """Somebody with these rights, of the box or of a tenant."""
        return self.book.token(rights, self.tenants[tenant] if tenant else 0)

    async def ask(
        self, method: str, path: str, token: str = "", body: Any = None, **query: Any
    ) -> httpx.Response:
        """One request; paths begin behind /api/v1."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.http.request(
            method, f"/api/v1{path}", headers=headers, json=body, params=query
        )

    async def good(self, *request: Any, **query: Any) -> Any:
        """The answer of a request that succeeds."""
        answer = await self.ask(*request, **query)
        assert answer.is_success, (request, answer.text)
        return answer.json()


@asynccontextmanager
async def open_api(
    path: Path, *tenants: str, public_url: str = "", processes: Processes | None = None
) -> AsyncIterator[Api]:
    """A box of its own with these tenants."""
    home, settings = Home(path / "home"), _settings(public_url)
    await initialised(home, settings)
    engine = open_engine(home.control_location(settings))
    web = WebRooms(_context(home, settings), engine)
    await web._prepare_counts()
    owners, book, carrier = FakeOwners(), Book(), FakeCarrier()
    queue = BoxQueue(owners, web.rooms.jobs)  # type: ignore[arg-type]
    kept = KeptMail(web.rooms.log, owners)  # type: ignore[arg-type]
    rooms = replace(
        web.rooms,
        queue=queue,
        book=book,  # type: ignore[arg-type]
        sending=Sending(carrier),
        resending=Resending(kept, carrier, web.rooms.audit),
    )
    made = {name: (await rooms.tenants.create(SYSTEM, name=name)).id for name in tenants}
    try:
        with lent_app(processes or NoProcesses(), rooms) as app:
            transport = httpx.ASGITransport(app, client=("192.0.2.7", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://box.test") as http:
                yield Api(app, rooms, book, owners, carrier, http, made)
    finally:
        await web.close()
        await engine.dispose()


def _settings(public_url: str) -> Settings:
    values = {
        "web": {"public_url": public_url},
        "box": {"hostname": "box.test"},
        "dns": {"nameservers": ["127.0.0.1:9"]},
    }
    return msgspec.convert(values, Settings)


def _context(home: Home, settings: Settings) -> Context:
    return Context(
        name="web",
        home=home,
        settings=settings,
        sockets={},
        shards=(0,),
        processes=("mta-0", "web"),
        inbound_place=("127.0.0.1", 0),
        stop=asyncio.Event(),
    )
