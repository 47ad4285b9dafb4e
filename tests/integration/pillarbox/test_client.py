"""The client of other programs: it tries again where that does no harm, and says what the box says."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks.webhooks import Webhook

from pillarbox.client import (
    ApiError,
    AsyncClient,
    BatchResult,
    Client,
    NotReachedError,
    Sent,
    WebhookError,
    calls,
    verify,
)

LETTER = {"from": "a@shop.test", "to": ["b@good.test"], "text": "x"}
TAKEN = (202, b'{"id":"abc","recipients":1}', {})


class Script:
    """A server that answers what it is told, in turn, and keeps what it was asked."""

    def __init__(self, *answers) -> None:
        self.answers, self.asked = list(answers), []

    def __enter__(self):
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers.get("content-length", "0"))
                body = self.rfile.read(length)
                script.asked.append((self.command, self.path, dict(self.headers.items()), body))
                answer = script.answers.pop(0)
                if answer is None:
                    self.connection.close()
                    return
                status, octets, headers = answer
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(octets))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(octets)

            do_GET = do_POST  # noqa: N815 - the name http.server asks for

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(calls, "pause", lambda *_: 0.01)


@pytest.fixture(params=["blocking", "asynchronous"])
def do(request):
    """Calls a method of either client."""

    def blocking(url, method, *words, **named):
        with Client(url, key="pbk_1_x") as box:
            found = getattr(box, method)(*words, **named)
            return list(found) if method == "pages" else found

    async def awaited(url, method, *words, **named):
        async with AsyncClient(url, key="pbk_1_x") as box:
            found = getattr(box, method)(*words, **named)
            return [row async for row in found] if method == "pages" else await found

    if request.param == "blocking":
        return blocking
    return lambda *words, **named: asyncio.run(awaited(*words, **named))


def test_a_send_is_tried_again_under_one_key(do):
    with Script((503, b"{}", {}), None, (429, b"{}", {"Retry-After": "1"}), TAKEN) as box:
        assert do(box.url, "send", LETTER) == Sent(id="abc", recipients=1)
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in box.asked}
    assert (len(box.asked), len(keys)) == (4, 1)
    assert box.asked[0][2]["Authorization"] == "Bearer pbk_1_x"
    assert box.asked[0][1] == "/api/v1/send"


def test_what_could_be_done_twice_is_asked_once(do):
    with Script((503, b'{"detail":"later"}', {})) as box, pytest.raises(ApiError, match="later"):
        do(box.url, "ask", "POST", "/domains", {"name": "x.test"})
    assert len(box.asked) == 1


def test_a_refusal_names_its_fields_and_is_not_repeated(do):
    answer = (
        400,
        b'{"status":400,"detail":"no @","errors":[{"field":"to[0]","detail":"no @"}]}',
        {},
    )
    with Script(answer) as box, pytest.raises(ApiError, match=r"to\[0\]: no @") as told:
        do(box.url, "send", LETTER)
    assert (told.value.status, told.value.errors[0].field) == (400, "to[0]")
    assert len(box.asked) == 1


def test_an_answer_that_is_no_json_is_shown_as_it_is(do):
    with Script((400, b"<h1>proxy</h1>", {})) as box, pytest.raises(ApiError, match="proxy"):
        do(box.url, "send", LETTER)


def test_nobody_there_is_said_after_the_last_try(do):
    with Script() as box:
        gone = box.url
    with pytest.raises(NotReachedError):
        do(gone, "send", LETTER)


def test_pages_are_followed_to_the_end(do):
    with Script(
        (200, b'{"items":[{"n":1},{"n":2}],"cursor":"2"}', {}),
        (200, b'{"items":[{"n":3}],"cursor":""}', {}),
    ) as box:
        assert do(box.url, "pages", "/messages", tag="order", status="") == [
            {"n": 1},
            {"n": 2},
            {"n": 3},
        ]
    assert [path for _, path, _, _ in box.asked] == [
        "/api/v1/messages?tag=order",
        "/api/v1/messages?tag=order&cursor=2",
    ]


def test_a_batch_comes_back_row_by_row(do):
    answer = (
        b'{"accepted":1,"refused":1,"results":[{"id":"a","recipients":1},'
        b'{"status":400,"detail":"no @","field":"messages[1].to[0]"}]}'
    )
    with Script((200, answer, {})) as box:
        found = do(box.url, "send_batch", [LETTER, LETTER], shared={"subject": "x"})
    assert isinstance(found, BatchResult)
    assert [type(row).__name__ for row in found.results] == ["Sent", "Refused"]


@pytest.mark.parametrize("retry_after", ["", "7", "soon", "100000"])
def test_pauses_are_bounded(retry_after, monkeypatch):
    monkeypatch.undo()
    assert all(0 < calls.pause(tries, retry_after) <= 60 for tries in range(10))


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def signed(body, at):
    hook = Webhook(SECRET)
    signature = hook.sign("msg_1", at, body)
    stamp = str(int(at.timestamp()))
    return {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}


def test_a_webhook_signed_by_another_library_is_believed_and_nothing_else(now_aware):
    body = '{"type":"message.delivered"}'
    headers, now = signed(body, now_aware), now_aware.timestamp()
    assert verify(SECRET, headers, body.encode(), now=now)["type"] == "message.delivered"
    for changed, at in (
        ({"webhook-id": "msg_2"}, now),
        ({"webhook-signature": "v1,AAAA"}, now),
        ({"webhook-signature": "v1a,x v1,%%"}, now),
        ({"webhook-timestamp": "1"}, now),
        ({}, now + 301),
        ({}, now - 301),
    ):
        with pytest.raises(WebhookError):
            verify(SECRET, headers | changed, body.encode(), now=at)
    with pytest.raises(WebhookError):
        verify(SECRET, headers, body.encode() + b" ", now=now)
    with contextlib.suppress(WebhookError):
        verify("whsec_%", headers, body.encode(), now=now)
        raise AssertionError("a broken secret was believed")


@pytest.fixture
def now_aware():
    from datetime import UTC, datetime

    return datetime.fromtimestamp(1_795_000_000, UTC)
