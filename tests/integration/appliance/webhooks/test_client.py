"""One POST to receivers that may be anybody: what is connected to, what is read, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core.dns import Answer, DnsTemporaryError, NoRecordError
from appliance.webhooks import Allowed, WebhookClient
from appliance.webhooks.client import MAX_ANSWER
from appliance.webhooks.rules import target_of
from tests.support.authority import known_root, trusting
from tests.support.webhooks import LOOPBACK, OK, NoNames, answer, receiver

FAR = "93.184.216.34"


class Names:
    """A resolver whose answers are given one after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), []

    async def addresses(self, name: str, *, ipv6: bool) -> Answer:
        if ipv6:
            raise NoRecordError(f"{name} has no AAAA record", 0)
        self.asked.append(name)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Answer(tuple(found), 0)


class Silent:
    """A resolver that nobody answers."""

    async def addresses(self, name: str, *, ipv6: bool) -> Answer:
        raise DnsTemporaryError(f"nobody knows {name}", 0)


@pytest.fixture
async def client():
    opened = WebhookClient(NoNames(), LOOPBACK, total_seconds=1.0)
    yield opened
    opened.close()


async def post(client: WebhookClient, url: str, body: bytes = b"{}"):
    return await client.post(target_of(url), [("webhook-id", "msg_1")], body)


async def test_a_body_arrives_with_its_headers_and_the_answer_comes_back(client):
    async with receiver() as shop:
        said = await post(client, shop.url + "?a=1", b'{"x":1}')
        assert (said.status, said.text) == (200, "thanks")
        (got,) = shop.got
        assert (got.body, got.headers["webhook-id"]) == (b'{"x":1}', "msg_1")
        assert got.headers["content-type"] == "application/json"
        assert got.headers["host"] == f"127.0.0.1:{shop.port}"


async def test_a_connection_is_used_again_and_one_that_was_closed_is_replaced(client):
    async with receiver() as shop:
        for _ in range(3):
            await post(client, shop.url)
        assert shop.connections == 1
        shop.answering = lambda _: answer(200, "", "Connection: close")
        for _ in range(2):
            assert (await post(client, shop.url)).status == 200
        assert shop.connections == 2


async def test_one_that_the_receiver_hung_up_silently_is_opened_anew(client):
    served = 0

    async def once(reader, writer):
        nonlocal served
        served += 1
        await reader.readuntil(b"{}")
        writer.write(OK)  # and then it hangs up without a word
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    for _ in range(4):
        assert (await post(client, url)).status == 200
    assert served == 4
    server.close()


async def test_a_redirect_is_told_and_not_followed(client):
    async with receiver() as elsewhere, receiver() as shop:
        shop.answering = lambda _: answer(307, "", f"Location: {elsewhere.url}")
        said = await post(client, shop.url)
        assert said.status == 307
        assert elsewhere.url in said.text
        assert elsewhere.got == []


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut",
    ],
    ids=["nothing", "another protocol", "endless head", "two lengths", "cut off"],
)
async def test_what_is_no_answer_is_none(client, octets):
    async def speak(reader, writer):
        await reader.readuntil(b"{}")
        writer.write(octets)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    said = await post(client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert said.status == 0
    assert said.text
    server.close()


@pytest.mark.parametrize(
    ("pieces", "status", "text", "connections"),
    [
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"], 200, "ok", 1),
        ([b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"], 200, "", 1),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, "", 1),
        ([b"HTTP/1.1 2", b"00 OK\r\nContent-Length: 2\r\n", b"\r\no", b"k"], 200, "ok", 1),
        (
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", b"0\r\n\r\n"],
            200,
            "ok",
            1,
        ),
        (
            [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\n"],
            202,
            "",
            1,
        ),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"], 200, "ok", 2),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"], 200, "ok", 2),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n"], 200, "ok", 2),
    ],
    ids=[
        *("plain", "no reason", "no content", "in pieces", "chunked", "continue"),
        *("it hangs up", "an old one", "more than an answer"),
    ],
)
async def test_an_answer_may_have_any_form_that_http_knows(
    client, pieces, status, text, connections
):
    opened = 0

    async def speak(reader, writer):
        nonlocal opened
        opened += 1
        try:
            while True:
                await reader.readuntil(b"{}")
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    for _ in range(2):
        said = await post(client, url)
        assert (said.status, said.text) == (status, text)
    assert opened == connections
    client.close()
    await asyncio.sleep(0.05)
    server.close()


async def test_an_endless_answer_is_read_to_a_bound_and_what_is_kept_is_short(client):
    sent = 0

    async def flood(reader, writer):
        nonlocal sent
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 500 No\r\n\r\n")
        try:
            while True:
                writer.write(b"\0x" * 4096)
                sent += 8192
                await writer.drain()
        except ConnectionError:
            return

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    said = await post(client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert (said.status, len(said.text)) == (500, 500)
    assert "\0" not in said.text
    assert sent > MAX_ANSWER
    server.close()


async def test_a_receiver_that_says_nothing_is_left_in_time(client):
    async with receiver() as slow:

        async def never(_):
            await asyncio.sleep(60)
            return OK

        slow.answering = never
        said = await post(client, slow.url)
        assert (said.status, said.text) == (0, "it took longer than 1 seconds")


async def test_nobody_there_is_said_in_words(client):
    async with receiver() as gone:
        url = gone.url
    said = await post(client, url)
    assert said.status == 0
    assert "refused" in said.text


async def test_a_private_address_is_not_connected_to_without_being_allowed():
    async with receiver() as inside:
        strict = WebhookClient(NoNames(), Allowed())
        said = await post(strict, inside.url)
        assert said.status == 0
        assert "private address" in said.text
        assert inside.connections == 0


@pytest.mark.parametrize("private", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254"])
async def test_a_name_that_leads_to_a_private_address_is_not_connected_to(private):
    async with receiver() as inside:
        strict = WebhookClient(Names([private]), Allowed())
        said = await post(strict, f"http://hooks.example:{inside.port}/")
        assert "private address" in said.text
        assert inside.connections == 0


async def test_a_name_that_changes_its_mind_gains_nothing(monkeypatch):
    """Rebinding: public while it is checked, private when it is connected to. It is looked up once."""
    connected = []

    async def note(address, port, **_):
        connected.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(asyncio, "open_connection", note)
    names = Names([FAR], ["127.0.0.1"])
    client = WebhookClient(names, Allowed())
    first = await post(client, "http://hooks.example/")
    assert (connected, names.asked) == ([FAR], ["hooks.example"])
    second = await post(client, "http://hooks.example/")
    assert connected == [FAR]
    assert "refused" in first.text
    assert "private address" in second.text


async def test_of_several_addresses_only_public_ones_are_tried(monkeypatch):
    connected = []

    async def note(address, port, **_):
        connected.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(asyncio, "open_connection", note)
    client = WebhookClient(Names(["10.0.0.1", FAR, "127.0.0.1"]), Allowed())
    await post(client, "http://hooks.example/")
    assert connected == [FAR]


async def test_who_does_not_know_the_name_says_so():
    said = await post(WebhookClient(Silent(), Allowed()), "https://hooks.example/")
    assert said.text == "nobody knows hooks.example"


async def test_a_certificate_is_checked_for_the_name_and_not_for_the_address():
    good = known_root().issue("hooks.example")
    for host, words in (("hooks.example", ""), ("other.example", "certificate is not valid")):
        async with receiver(context=good.context()) as shop:
            client = WebhookClient(Names(["127.0.0.1"]), LOOPBACK, context=trusting())
            said = await post(client, f"https://{host}:{shop.port}/")
            assert (said.status == 200) is (words == "")
            assert words in said.text
            client.close()
