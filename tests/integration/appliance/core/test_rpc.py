"""RPC: real sockets, several requests at once, errors that come back as themselves."""
# ruff: noqa: ASYNC240 - looking at a socket file may block: nobody else waits in a test

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from appliance.core.beat import Health, ask
from appliance.core.errors import (
    ConfigError,
    ConflictError,
    NotFoundError,
    NotRunningError,
    PillarboxError,
    StoreFullError,
    UsageError,
)
from appliance.core.rpc import RpcClient, RpcServer, call_sync
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mta-0.sock"


async def echo(payload: Any) -> Any:
    return payload


async def slow(payload: float) -> str:
    await asyncio.sleep(payload)
    return "done"


def raises(error: Exception) -> Callable[[Any], Any]:
    async def handler(_payload: Any) -> None:
        raise error

    return handler


@asynccontextmanager
async def serving(
    path: Path, max_frame: int = 1 << 20, **handlers: Any
) -> AsyncIterator[RpcServer]:
    server = RpcServer(path, {"echo": echo, "slow": slow, **handlers}, max_frame=max_frame)
    await server.start()
    try:
        yield server
    finally:
        await server.close(grace=0.2)


@asynccontextmanager
async def client_of(path: Path, max_frame: int = 1 << 20) -> AsyncIterator[RpcClient]:
    client = RpcClient(path, max_frame=max_frame)
    try:
        yield client
    finally:
        await client.close()


PAYLOAD = {"text": "ü", "octets": b"\x00\xff", "list": [1, None, 2.5], "deep": {"a": [{}]}}


async def test_a_call_brings_the_answer(path: Path) -> None:
    async with serving(path), client_of(path) as client:
        assert await client.call("echo", PAYLOAD, 5) == PAYLOAD
        assert await client.call("echo", None, 5) is None
        assert await asyncio.to_thread(call_sync, path, "echo", PAYLOAD, 5) == PAYLOAD


async def test_the_socket_is_for_its_owner_only(path: Path) -> None:
    async with serving(path):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_a_slow_request_holds_up_no_other_on_the_same_connection(path: Path) -> None:
    async with serving(path), client_of(path) as client:
        late = asyncio.create_task(client.call("slow", 0.1, 5))
        await asyncio.sleep(0)
        assert await client.call("echo", "quick", 5) == "quick"
        assert not late.done()
        assert await late == "done"


async def test_many_more_requests_than_may_be_under_way_are_all_answered(path: Path) -> None:
    async with serving(path), client_of(path) as client:
        answers = await asyncio.gather(*(client.call("echo", n, 5) for n in range(500)))
    assert answers == list(range(500))


async def test_a_large_payload_goes_through_whole(path: Path) -> None:
    body = os.urandom(5 << 20)
    limit = 6 << 20
    async with serving(path, limit), client_of(path, limit) as client:
        assert await client.call("echo", body, 10) == body
        answer = await asyncio.to_thread(call_sync, path, "echo", body, 10)
        assert answer == body


@pytest.mark.parametrize(
    ("error", "arrives_as"),
    [
        (NotFoundError("no such message"), NotFoundError),
        (StoreFullError("disk full"), StoreFullError),
        (PillarboxError("something"), PillarboxError),
        (Refused(550, "5.7.1", "not your domain"), PillarboxError),
    ],
)
async def test_an_error_comes_back_as_itself_or_its_nearest_relative(
    path: Path, error: PillarboxError, arrives_as: type[PillarboxError]
) -> None:
    async with serving(path, fail=raises(error)), client_of(path) as client:
        with pytest.raises(PillarboxError) as caught:
            await client.call("fail", None, 5)
        assert type(caught.value) is arrives_as
        assert str(caught.value) == str(error)
        with pytest.raises(arrives_as, match=str(error)):
            await asyncio.to_thread(call_sync, path, "fail", None, 5)
        assert await client.call("echo", 1, 5) == 1, "the connection goes on"


@pytest.mark.parametrize("handler", [raises(ZeroDivisionError("inner words")), lambda _: object()])
async def test_a_crash_is_logged_here_and_bland_there(
    path: Path, handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(path, crash=handler), client_of(path) as client:
        with pytest.raises(
            PillarboxError, match="crash failed inside the box; see the log"
        ) as caught:
            await client.call("crash", None, 5)
    assert "inner words" not in str(caught.value)
    assert "rpc crash failed" in caplog.text


async def test_an_answer_that_cannot_be_packed_is_a_crash(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def odd(_payload: Any) -> Any:
        return 1 << 70

    async with serving(path, odd=odd), client_of(path) as client:
        with pytest.raises(PillarboxError, match="see the log"):
            await client.call("odd", None, 5)
    assert "rpc odd failed" in caplog.text


async def test_an_unknown_method_is_named(path: Path) -> None:
    async with serving(path), client_of(path) as client:
        with pytest.raises(UsageError, match="does not know the method 'nonsense'"):
            await client.call("nonsense", None, 5)


async def test_too_large_a_request_is_refused_before_it_is_sent(path: Path) -> None:
    async with serving(path), client_of(path) as client:
        with pytest.raises(UsageError, match="too many for one call"):
            await client.call("echo", bytes(2 << 20), 5)


async def test_too_large_an_answer_is_an_error_in_words(path: Path) -> None:
    async def huge(_payload: Any) -> bytes:
        return bytes(2 << 20)

    async with serving(path, huge=huge), client_of(path) as client:
        with pytest.raises(UsageError, match="too many for one call"):
            await client.call("huge", None, 5)
        assert await client.call("echo", 1, 5) == 1


@pytest.mark.parametrize(
    "junk",
    [
        struct.pack("!I", 0xFFFFFFFF) + b"x",
        struct.pack("!I", 3) + b"\xc1\xc1\xc1",
        struct.pack("!I", 1) + b"\x01",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_a_client_that_talks_nonsense_is_hung_up_on(
    path: Path, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(path):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(junk)
        assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()
        async with client_of(path) as client:
            assert await client.call("echo", 1, 5) == 1, "the server goes on"
    assert "does not speak our frames" in caplog.text


async def test_a_client_that_leaves_in_mid_frame_is_no_trouble(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(path):
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.write(struct.pack("!I", 100) + b"half")
        writer.close()
        async with client_of(path) as client:
            assert await client.call("echo", 1, 5) == 1
    assert caplog.records == []


async def test_nobody_there_is_said_in_words(path: Path) -> None:
    for _ in range(2):
        async with client_of(path) as client:
            with pytest.raises(NotRunningError, match="start the box with `pillarbox serve`"):
                await client.call("echo", None, 1)
        with pytest.raises(NotRunningError, match="start the box with `pillarbox serve`"):
            call_sync(path, "echo", None, 1)
        with socket.socket(socket.AF_UNIX) as dead:  # the second time round, a dead socket file
            if not path.exists():
                dead.bind(str(path))


async def test_a_call_waits_no_longer_than_it_may(path: Path) -> None:
    async with serving(path), client_of(path) as client:
        with pytest.raises(
            NotRunningError, match=r"did not answer slow within 0.05 s; it may still"
        ):
            await client.call("slow", 60, 0.05)
        with pytest.raises(NotRunningError, match=r"did not answer slow within 0.05 s"):
            await asyncio.to_thread(call_sync, path, "slow", 60, 0.05)
        assert await client.call("echo", 1, 5) == 1


async def test_a_late_answer_is_not_taken_for_another(path: Path) -> None:
    async with serving(path), client_of(path) as client:
        with pytest.raises(NotRunningError):
            await client.call("slow", 0.05, 0.01)
        await asyncio.sleep(0.1)
        assert await client.call("echo", "mine", 5) == "mine"


async def test_a_server_that_stops_fails_what_waits_and_is_found_again(path: Path) -> None:
    async with client_of(path) as client:
        async with serving(path) as server:
            waiting = asyncio.create_task(client.call("slow", 60, 30))
            await asyncio.sleep(0.02)
            await server.close(grace=0)
            with pytest.raises(NotRunningError, match="stopped before it answered"):
                await waiting
        with pytest.raises(NotRunningError, match="nobody answers"):
            await client.call("echo", 1, 5)
        async with serving(path):
            assert await client.call("echo", 2, 5) == 2


async def test_closing_lets_requests_under_way_finish(path: Path) -> None:
    async with client_of(path) as client, serving(path) as server:
        waiting = asyncio.create_task(client.call("slow", 0.05, 5))
        await asyncio.sleep(0.02)
        await server.close(grace=5)
        assert await waiting == "done"
        assert not path.exists()


async def test_the_socket_of_a_dead_process_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(path), client_of(path) as client:
        assert await client.call("echo", 1, 5) == 1


async def test_a_living_socket_is_not_taken_over(path: Path) -> None:
    async with serving(path), client_of(path) as client:
        with pytest.raises(ConflictError, match="the box runs already"):
            await RpcServer(path, {}).start()
        assert await client.call("echo", 1, 5) == 1


async def test_a_file_in_the_way_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ConflictError, match="is not a socket"):
        await RpcServer(path, {}).start()
    assert path.read_text() == "precious"


async def test_a_successor_keeps_its_socket_when_the_old_server_closes(path: Path) -> None:
    async with serving(path) as old:
        path.unlink()
        async with serving(path), client_of(path) as client:
            await old.close()
            assert await client.call("echo", 1, 5) == 1


async def test_a_path_longer_than_the_kernel_takes_is_reached_all_the_same(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 100) / ("e" * 100)
    directory.mkdir(parents=True)
    path = directory / "mta-0.sock"
    async with serving(path), client_of(path) as client:
        assert await client.call("echo", 1, 5) == 1
        assert await asyncio.to_thread(call_sync, path, "echo", 2, 5) == 2
        assert path.is_socket()
        with pytest.raises(ConflictError):
            await RpcServer(path, {}).start()
    assert not path.exists()


@pytest.mark.parametrize("name", ["missing/mta-0.sock", "n" * 120])
async def test_a_place_where_nothing_can_listen_is_said_in_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        await RpcServer(tmp_path / name, {}).start()
    with pytest.raises(NotRunningError):
        call_sync(tmp_path / name, "echo", None, 1)


async def test_the_sync_client_serves_threads_at_once(path: Path) -> None:
    answers: list[int] = []

    def caller(number: int) -> None:
        answers.append(call_sync(path, "echo", number, 5))

    async with serving(path):
        callers = [threading.Thread(target=caller, args=(number,)) for number in range(10)]
        for thread in callers:
            thread.start()
        await asyncio.to_thread(lambda: [thread.join() for thread in callers])
    assert sorted(answers) == list(range(10))


async def test_health_is_asked_of_every_process_and_silence_is_not_health(tmp_path: Path) -> None:
    health = Health("mta-0")
    health.register("disk", lambda: (True, "plenty"))
    sockets = {"mta-0": tmp_path / "mta-0.sock", "web": tmp_path / "web.sock"}
    async with serving(sockets["mta-0"], health=health.answer):
        reports = await ask(sockets, timeout=5)
    assert reports["mta-0"]["ok"]
    assert reports["mta-0"]["checks"]["disk"]["words"] == "plenty"
    assert reports["web"]["ok"] is False
    assert "nobody answers" in reports["web"]["words"]
