"""A small page with everything the islands hold on to, served with the console's policy and assets.

async with island_box() as box: box.url, box.posted, box.streams; await box.say("messages")
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import uvicorn
from litestar import Litestar, Request, Response, get, post
from litestar.di import Provide
from litestar.params import FromQuery, JSONBody
from litestar.response import Stream

from admin_ui.assets import Assets, assets

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><link rel="icon" href="data:,">
<link rel="preload" href="{font}" as="font" type="font/woff2" crossorigin>
<link rel="stylesheet" href="{css}"><script defer src="{js}"></script></head>
<body data-live="/live"><main><h1>{title}</h1>{body}</main>
<div id="toasts" role="status"></div><div id="announcer" class="visually-hidden" aria-live="polite"></div>
</body></html>"""
BODY = """
<form data-theme-form method="post" action="/theme"><button name="theme" value="light">Light</button>
<button name="theme" value="system">System</button></form>

<code id="record">v=DKIM1; k=rsa</code><button class="button" id="copy" data-copy="#record">Copy</button>

<form id="slow" method="post" action="/slow"><button class="button" name="act" value="check"
data-busy="Checking">Check now</button></form>
<form id="part" hx-post="/part" hx-target="#answer"><input name="name" aria-label="Name">
<button class="button" data-busy="Saving">Save</button></form><div id="answer"></div>

<button class="button" id="stop" command="show-modal" commandfor="stopping">Stop sending…</button>
<dialog id="stopping" aria-label="Stop"><form method="post" action="/slow">
<input id="words" aria-label="Words" data-confirm-words="stop all sending"><p data-confirm-left></p>
<button type="button" class="button" command="close" commandfor="stopping">Keep sending</button>
<button class="button destroy" id="really">Stop all sending</button></form></dialog>

<form id="rows" method="post" action="/slow"><div data-bulk><b data-bulk-count></b> rows
<b data-bulk-messages></b> messages</div><table>
<tr><th><input type="checkbox" data-select-all aria-label="All"></th></tr>
<tr><td><input type="checkbox" name="pick" value="1" data-messages="1200" aria-label="1"></td></tr>
<tr><td><input type="checkbox" name="pick" value="2" data-messages="34" aria-label="2"></td></tr>
</table></form>

<div id="region" hx-get="/region" hx-trigger="live:messages from:body, live:all from:body">0</div>

<span class="count" data-count="domains"></span><div hx-get="/counts" hx-trigger="load" hx-swap="none"></div>

<section id="list" hx-get="/list" hx-select="#list" hx-swap="outerHTML" hx-trigger="live:queue from:body">
<table><tbody><tr><td><a href="/m/1">1</a></td></tr></tbody></table></section>

<label for="mail">Address</label><input id="mail" type="email" data-check="It needs an @."
aria-describedby="mail-help"><p id="mail-help" class="help">Where letters go.</p>
<input id="secret" type="password" aria-label="Secret">
<button type="button" hidden data-reveal="#secret">Show</button>

<figure class="chart"><svg role="img" tabindex="0" aria-label="Two hours" width="200" height="50">
<g class="column" data-tip="13:00|Delivered 7"><rect width="90" height="50"/></g>
<g class="column" data-tip="14:00|Delivered 412"><rect x="100" width="90" height="50"/></g></svg></figure>

<p hx-boost="true"><a href="/other?boosted">Elsewhere</a></p>

<form id="passkey" hidden data-passkey="sign-in" data-options="/passkey/options" data-next="/other">
<button class="button">Use a passkey</button></form>
<form id="register" hidden data-passkey="register" data-options="/register/options" data-next="/other">
<input type="hidden" name="csrf" value="own-word"><input type="hidden" name="name" value="Laptop">
<button class="button">Add a passkey</button></form>

<time data-relative datetime="2020-01-01T00:00:00Z">once</time>

<dialog id="palette" aria-label="Commands"><input data-palette role="combobox" aria-label="Search"
aria-controls="palette-results" aria-expanded="false" name="q" hx-get="/palette"
hx-trigger="input changed delay:20ms" hx-target="#palette-results">
<div id="palette-results" role="listbox" aria-label="Results"></div></dialog>
"""
OPTIONS = """<div role="option"><a href="/other?first" tabindex="-1">First</a></div>
<div role="option"><a href="/other?second" tabindex="-1">Second</a></div>"""
CREATION = {
    "challenge": "AAECAwQFBgcICQoLDA0ODw",
    "rp": {"id": "localhost", "name": "Pillarbox"},
    "user": {"id": "AAEC", "name": "ada@example.net", "displayName": "Ada"},
    "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
}


@dataclass
class IslandBox:
    """What the page's islands asked of it."""

    built: Assets
    url: str = ""
    posted: list[str] = field(default_factory=list)
    renders: int = 0
    opened: int = 0  # streams, ever
    since: list[str] = field(default_factory=list)  # up to where each had heard
    credentials: list[dict[str, Any]] = field(default_factory=list)
    is_refusing: bool = False
    patience: asyncio.Event = field(default_factory=asyncio.Event)  # answers of /slow wait for it
    streams: list[asyncio.Queue[str]] = field(default_factory=list)

    def forget(self) -> None:
        """Be as it was at first."""
        for one in fields(self):
            if one.name not in ("built", "url"):
                setattr(self, one.name, getattr(IslandBox(self.built), one.name))

    async def say(self, topic: str) -> None:
        """An event, to whoever has a stream."""
        for queue in self.streams:
            queue.put_nowait(f"event: {topic}\ndata: {{}}\n\n")

    def cut(self) -> None:
        """End every stream."""
        for queue in self.streams:
            queue.put_nowait("")

    def page(self, title: str, body: str) -> Response[str]:
        """With the console's policy."""
        url = self.built.url
        text = PAGE.format(
            title=title,
            body=body,
            css=url("console.css"),
            js=url("console.js"),
            font=url("inter-latin.woff2"),
        )
        return Response(text, media_type="text/html", headers={"Content-Security-Policy": POLICY})


def _pages(box: IslandBox) -> list[Any]:
    @get("/")
    async def home() -> Response[str]:
        return box.page("Islands", BODY)

    @get("/other")
    async def other() -> Response[str]:
        return box.page("Other", "<p>elsewhere</p>")

    @get("/sign-in")
    async def sign_in() -> Response[str]:
        return Response('<link rel="icon" href="data:,"><h1>Sign in</h1>', media_type="text/html")

    @post("/slow", status_code=200)
    async def slow(request: Request[Any, Any, Any]) -> Response[str]:
        box.posted.append((await request.body()).decode())
        await box.patience.wait()
        return box.page("Done", "<p>done</p>")

    return [home, other, sign_in, slow]


def _parts(box: IslandBox) -> list[Any]:
    @post("/part")
    async def part(request: Request[Any, Any, Any]) -> Response[str]:
        said = (await request.body()).decode()
        box.posted.append(said)
        await box.patience.wait()
        if "wrong" in said:
            return Response("<p>The name is taken.</p>", status_code=422, media_type="text/html")
        return Response("<p>Saved.</p>", status_code=200, media_type="text/html")

    @get("/region")
    async def region() -> Response[str]:
        box.renders += 1
        return Response(str(box.renders), media_type="text/html")

    @get("/palette")
    async def palette() -> Response[str]:
        return Response(OPTIONS, media_type="text/html")

    @get("/live")
    async def live(since: FromQuery[str] = "") -> Response[Any]:
        box.since.append(since)
        if box.is_refusing:
            return Response("", status_code=503)
        box.opened += 1
        return Stream(_stream(box), media_type="text/event-stream")

    @get("/list")
    async def listed() -> Response[str]:
        rows = "".join(f'<tr><td><a href="/m/{one}">{one}</a></td></tr>' for one in (2, 1))
        table = f'<section id="list"><table><tbody>{rows}</tbody></table></section>'
        return Response(table, media_type="text/html")

    @get("/counts")
    async def counts() -> Response[str]:
        figure = '<span class="count bad" data-count="domains">2</span>'
        return Response(figure, media_type="text/html")

    @post("/passkey/options")
    async def options() -> Response[dict[str, str]]:
        return Response({"detail": "asked too often: ask again in 9 s"}, status_code=429)

    return [part, region, palette, live, listed, counts, options]


def _passkeys(box: IslandBox) -> list[Any]:
    @post("/register/options", status_code=200)
    async def options(request: Request[Any, Any, Any]) -> dict[str, Any]:
        box.posted.append(request.headers["x-csrf-token"])
        return {"ticket": "t-1", "options": CREATION}

    @post("/register")
    async def register(data: JSONBody[dict[str, Any]]) -> dict[str, int]:
        box.credentials.append(data)
        return {"id": 1}

    return [options, register]


async def _stream(box: IslandBox) -> AsyncIterator[str]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    box.streams.append(queue)
    try:
        yield "id: mark-1\nevent: hello\ndata: {}\n\n"
        while said := await queue.get():
            yield said
    finally:
        box.streams.remove(queue)


@asynccontextmanager
async def island_box() -> AsyncIterator[IslandBox]:
    """Served on a port of its own."""
    box = IslandBox(Assets.load())
    app = Litestar(
        [*_pages(box), *_parts(box), *_passkeys(box), assets],
        dependencies={"assets": Provide(lambda: box.built, sync_to_thread=False)},
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=0, lifespan="off", ws="none", timeout_graceful_shutdown=1,
            log_config=None,  # loggers set up here would stay so for every test behind
        )
    )  # fmt: skip
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    box.url = f"http://localhost:{port}"
    try:
        yield box
    finally:
        box.patience.set()
        box.cut()
        server.should_exit = True
        await task
