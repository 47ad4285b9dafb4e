"""RPC: request and answer between the processes of the box, over a unix socket.

    RpcServer(path, {"method": handler}).start() / .close()
    await RpcClient(path).call("method", payload, timeout)
    call_sync(path, "method", payload, timeout)            for the command line

Payloads are what msgpack holds: None, numbers, texts, octets, lists, tables. Many requests may be under
way on one connection; answers come as they are ready. A handler's PillarboxError reaches the caller as the
same class; any other crash is logged here and reaches it as "see the log". The socket is for the box's own
user only (0600); a socket file left by a dead process is replaced, one that is answered is not.

Fails with NotRunningError when nobody answers, or not in time: what was asked may then still be done.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
from typing import TYPE_CHECKING, Any, Final

import msgspec

from appliance.core import clock, tasks
from appliance.core.errors import (
    NotRunningError,
    PillarboxError,
    UsageError,
)
from appliance.core.rpc_frame import (
    HEADER,
    MAX_FRAME,
    Answer,
    Request,
    error_answer,
    pack,
    value_of,
)
from appliance.core.rpc_socket import address_of, listen, words_for_nobody_there

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

_UNDER_WAY: Final = 64  # requests of one connection at once; bounds memory, holds up nobody else
_BUFFER: Final = 1 << 20
_log = logging.getLogger(__name__)
_decode_request = msgspec.msgpack.Decoder(Request).decode
_decode_answer = msgspec.msgpack.Decoder(Answer).decode


class RpcServer:
    """Answers on one socket."""

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Callable[[Any], Awaitable[Any]]],
        *,
        max_frame: int = MAX_FRAME,
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._max_frame = max_frame
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._requests: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; replaces the socket file of a process that is gone."""
        listening = listen(self._path)
        self._inode = self._path.stat().st_ino
        self._server = await asyncio.start_unix_server(
            self._connected, sock=listening, limit=_BUFFER
        )

    async def close(self, grace: float = 5.0) -> None:
        """Take no more requests, let those under way finish for `grace` seconds, then hang up."""
        if self._server is None:
            return
        self._server.close()
        self._remove_socket()
        if self._requests:
            await asyncio.wait(self._requests, timeout=grace)
        ending = [*self._connections, *self._requests]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        with contextlib.suppress(TimeoutError):  # a client that does not read cannot hold us up
            await asyncio.wait_for(self._server.wait_closed(), grace)
        self._server = None

    def _remove_socket(self) -> None:
        # Only our own: a successor may listen there already.
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = tasks.spawn(self._serve(reader, writer), name=f"rpc connection {self._path.name}")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        free = asyncio.Semaphore(_UNDER_WAY)

        def finished(task: asyncio.Task[None]) -> None:
            self._requests.discard(task)
            free.release()

        try:
            while True:
                await free.acquire()
                request = _decode_request(await _read(reader, self._max_frame))
                task = tasks.spawn(self._answer(request, writer), name=f"rpc {request.method}")
                self._requests.add(task)
                task.add_done_callback(finished)
        except (EOFError, ConnectionError):
            return  # the client hung up; what it asked for is still done
        except (UsageError, msgspec.DecodeError) as error:
            _log.warning("rpc: hung up on a client that does not speak our frames: %s", error)
        finally:
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        frame = await tasks.guard(self._frame_for(request), name=f"rpc {request.method}")
        if frame is None:
            failure = PillarboxError(f"{request.method} failed inside the box; see the log")
            frame = pack(error_answer(request.number, failure), self._max_frame)
        if not writer.is_closing():
            with contextlib.suppress(ConnectionError):
                writer.write(frame)
                await writer.drain()

    async def _frame_for(self, request: Request) -> bytes:
        try:
            handler = self._handlers.get(request.method)
            if handler is None:
                raise UsageError(f"{self._path.name} does not know the method {request.method!r}")
            answer = Answer(request.number, "", await handler(request.payload))
            return pack(answer, self._max_frame)
        except PillarboxError as error:
            return pack(error_answer(request.number, error), self._max_frame)


class RpcClient:
    """Asks on one socket; connects when first needed and again after the server was restarted."""

    def __init__(self, path: Path, *, max_frame: int = MAX_FRAME) -> None:
        self._path = path
        self._max_frame = max_frame
        self._numbers = itertools.count(1)
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()

    async def call(self, method: str, payload: Any, timeout: float) -> Any:
        """What the method answers; raises the error it raised."""
        number = next(self._numbers)
        frame = pack(Request(number, method, payload), self._max_frame)
        try:
            async with asyncio.timeout(timeout):
                connection = await self._connected()
                return value_of(await connection.ask(number, frame))
        except TimeoutError as error:
            raise _too_slow(self._path, method, timeout) from error
        except ConnectionError as error:
            raise _hung_up(self._path) from error

    async def close(self) -> None:
        """Hang up; what waits for an answer gets NotRunningError."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _connected(self) -> _Connection:
        async with self._connecting:
            if self._connection is None or not self._connection.is_open:
                with words_for_nobody_there(self._path), address_of(self._path) as address:
                    streams = await asyncio.open_unix_connection(address, limit=_BUFFER)
                self._connection = _Connection(self._path, *streams, self._max_frame)
            return self._connection


class _Connection:
    """One connection of a client, with the requests that wait on it."""

    def __init__(
        self,
        path: Path,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        max_frame: int,
    ) -> None:
        self._path = path
        self._reader = reader
        self._writer = writer
        self._max_frame = max_frame
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._listener = tasks.spawn(self._listen(), name=f"rpc answers of {path.stem}")

    @property
    def is_open(self) -> bool:
        return not self._listener.done() and not self._writer.is_closing()

    async def ask(self, number: int, frame: bytes) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(frame)
            await self._writer.drain()
            return await future
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)

    async def _listen(self) -> None:
        try:
            while True:
                self._hand_out(_decode_answer(await _read(self._reader, self._max_frame)))
        except (EOFError, ConnectionError):
            return  # the server stopped
        except (UsageError, msgspec.DecodeError) as error:
            _log.warning("rpc: hung up on %s: %s", self._path.name, error)
        finally:
            self._writer.close()
            for number in self._waiting:
                self._hand_out(error_answer(number, _hung_up(self._path)))

    def _hand_out(self, answer: Answer) -> None:
        future = self._waiting.get(answer.number)  # gone when its caller gave up waiting
        if future is not None and not future.done():
            future.set_result(answer)


def call_sync(
    path: Path, method: str, payload: Any, timeout: float, *, max_frame: int = MAX_FRAME
) -> Any:
    """One call on a connection of its own, without an event loop."""
    deadline = clock.monotonic() + timeout
    frame = pack(Request(1, method, payload), max_frame)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(timeout)
            with words_for_nobody_there(path), address_of(path) as address:
                connection.connect(address)
            connection.sendall(frame)
            (length,) = HEADER.unpack(_receive(connection, HEADER.size, deadline))
            _check_length(length, max_frame)
            return value_of(_decode_answer(_receive(connection, length, deadline)))
        except TimeoutError as error:
            raise _too_slow(path, method, timeout) from error
        except (ConnectionError, EOFError) as error:
            raise _hung_up(path) from error


def _receive(connection: socket.socket, length: int, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < length:
        connection.settimeout(max(0.001, deadline - clock.monotonic()))
        chunk = connection.recv(min(_BUFFER, length - len(data)))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)


async def _read(reader: asyncio.StreamReader, limit: int) -> bytes:
    """The body of the next frame; EOFError when the other side hung up, also in mid-frame."""
    (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
    _check_length(length, limit)
    return await reader.readexactly(length)


def _check_length(length: int, limit: int) -> None:
    if length > limit:
        raise UsageError(f"a frame of {length} octets; at most {limit} are allowed")


def _too_slow(path: Path, method: str, timeout: float) -> NotRunningError:
    return NotRunningError(
        f"{path.stem} did not answer {method} within {timeout:g} s; it may still be done"
    )


def _hung_up(path: Path) -> NotRunningError:
    return NotRunningError(
        f"{path.stem} stopped before it answered; what was asked may be done or not"
    )
