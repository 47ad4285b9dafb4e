"""GET /live: the live stream of the console, as server-sent events: which topics changed, and nothing else.

    event: hello       from here on nothing is missed; its id is the mark up to where the stream has told
    event: <topic>     (admin_ui.desks.Topic) something of it changed: ask again for what the page shows of it
    event: signed-out  the session has ended; do not come back
    event: bye         come back at once: the process ends, or rights or the view changed, or it has told enough
    event: beat        a sign of life: who hears none for long knows that nobody is there

A browser that comes back says in Last-Event-ID up to where it had heard, and is told what it missed; a page
says the same in `?since=`, with the mark of the moment before it was made (`rooms.live.now()`).

A stream ends after MOST_SENT octets: all of it fits into the buffers of a connection, so one that nobody reads
holds neither memory nor the end of the process. To watch is not to use a session: it ends as if nobody did.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

from litestar import Request, Response, get
from litestar.di import Provide
from litestar.params import QueryParameter
from litestar.response import Stream

from admin_ui.api.own import OPT, Myself, Own, own_of, signed_in
from admin_ui.desks import Topic, Watch
from admin_ui.errors import problem
from admin_ui.rooms import Behind, Rooms
from appliance.core import clock
from appliance.core.errors import StoreError, TooManyError

MOST: Final = 500
MOST_OF_SESSION: Final = 8
MOST_SENT: Final = 48 << 10  # octets; asyncio holds back a writer at 64 KB
CHECK_SECONDS: Final = 10.0
BEAT_SECONDS: Final = 15.0
_AGAIN: Final = 10  # seconds
_RETRY: Final = 2000  # ms; browsers come back after so long
_BYE: Final = b"event: bye\ndata: {}\n\n"
_SIGNED_OUT: Final = b"event: signed-out\ndata: {}\n\n"
_BEAT: Final = b"event: beat\ndata: {}\n\n"
_log = logging.getLogger(__name__)

Since = Annotated[str, QueryParameter(max_length=40)]


class Lines:
    """How many streams are open, of whom."""

    def __init__(self) -> None:
        self._of_session: Counter[int] = Counter()

    @property
    def are_taken(self) -> bool:
        """Whether there is room for none."""
        return self._of_session.total() >= MOST

    def are_taken_by(self, session_id: int) -> bool:
        """Whether a session has as many as it may."""
        return self._of_session[session_id] >= MOST_OF_SESSION

    @contextmanager
    def held(self, session_id: int) -> Iterator[None]:
        """One more, as long as it lasts."""
        self._of_session[session_id] += 1
        try:
            yield
        finally:
            self._of_session[session_id] -= 1
            self._of_session += Counter()  # forgets those that have none


@get(
    "/live",
    guards=[signed_in],
    dependencies={"own": Provide(own_of)},
    opt=OPT,
    include_in_schema=False,
)
async def live(
    request: Request[Any, Any, Any], own: Myself, rooms: Behind, since: Since = ""
) -> Response[Any]:
    """Which topics change, as they do."""
    lines: Lines = request.app.state.lines
    if lines.are_taken_by(own.seen.session_id):
        raise TooManyError(
            f"{MOST_OF_SESSION} live streams of this session are open: close a tab", seconds=_AGAIN
        )
    if lines.are_taken:
        words = "too many live streams are open: pages show what is new when they are loaded again"
        return problem(503, words, headers={"Retry-After": str(_AGAIN)})
    heard = request.headers.get("last-event-id", "")[:40] or since
    return Stream(
        _stream(rooms, own, lines, heard),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(rooms: Rooms, own: Own, lines: Lines, since: str) -> AsyncIterator[bytes]:
    session_id = own.seen.session_id
    if lines.are_taken or lines.are_taken_by(session_id):  # several came at once
        yield _BYE
        return

    async def farewell() -> bytes:
        """How the stream ends, if the session is not what it was."""
        actor = await rooms.sessions.still(session_id)
        if actor is None:
            return _SIGNED_OUT
        was = own.seen.actor
        same = (actor.name, actor.scope.tenant_id, actor.rights)
        return b"" if same == (was.name, was.scope.tenant_id, was.rights) else _BYE

    try:
        with lines.held(session_id):
            async with rooms.live.watch(own.seen.actor.scope, since) as watch:
                async for chunk in _talk(watch, farewell):
                    yield chunk
    except StoreError as error:
        _log.warning("a live stream ends: %s", error)
        yield _BYE


async def _talk(watch: Watch, farewell: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    hello = _event("hello", f"retry: {_RETRY}\nid: {watch.mark}\n")
    yield hello
    sent = len(hello)
    checked = spoke = clock.monotonic()
    while sent < MOST_SENT and not watch.is_over:
        rest = min(checked + CHECK_SECONDS, spoke + BEAT_SECONDS) - clock.monotonic()
        topics = await watch.next(rest)
        now = clock.monotonic()
        if now - checked >= CHECK_SECONDS:
            checked = now
            if last := await farewell():
                yield last
                return
        if topics:
            chunk = _news(topics, watch.mark)
        else:
            chunk = _BEAT if now - spoke >= BEAT_SECONDS else b""
        if chunk:
            yield chunk
            sent, spoke = sent + len(chunk), now
    yield _BYE


def _news(topics: Iterable[Topic], mark: str) -> bytes:
    """The mark goes with the last one: who is cut off in between hears all of them again."""
    *others, last = sorted(topics)
    return b"".join(_event(topic) for topic in others) + _event(last, f"id: {mark}\n")


def _event(name: str, before: str = "") -> bytes:
    return f"{before}event: {name}\ndata: {{}}\n\n".encode()
