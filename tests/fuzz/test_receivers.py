"""Receivers that say anything: each recipient gets one answer, it is temporary or theirs, nothing breaks."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.domains.spf import covers, is_spf
from appliance.domains.spf import parse as parse_spf
from appliance.tls_reports.rules import destinations, wanted_by
from mta.answer_text import searchable
from mta.message import EnvelopeRecipient
from mta.outcome.rules import shipped_rules
from mta.reply import Reply
from mta.shaping.book import shipped_book
from mta.status import Phase
from mta.transport.base import ConnectFailed, MxHost, Site
from mta.transport.content import Framer
from mta.transport.replies import Replies, Timeouts, shown
from mta.transport.sts_policy import Mode, Unsound, id_in, parse
from mta.transport.transaction import Offer, Transaction
from tests.support.delivery import EGRESS, LETTER, envelope, transport
from tests.support.smtp_talk import mutated, pieces

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.transport.base import Connection
    from mta.transport.direct import DirectTransport
    from tests.support.fuzzing import Fuzzing

_REPLIES = [
    b"220 mx\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"354 go\r\n", b"221 bye\r\n",
    b"250-mx\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250 8BITMIME\r\n", b"250-mx\r\n250 SIZE \xc2\xb2\r\n",
    b"250-mx\r\n250-SIZE 99999999999999999999\r\n250 SMTPUTF8\r\n", b"250-mx\r\n250-DSN\r\n250 AUTH = \xff\r\n",
    b"250-mx\r\n250 STARTTLS\r\n", b"421 4.7.0 later\r\n", b"450 4.2.1 slow\r\n", b"550 5.1.1 no\r\n", b"550\r\n",
    b"550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n", b"250-a\r\n550 b\r\n", b"99 x\r\n", b"600 x\r\n", b"250x\r\n",
    b"\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"250 ok\n", b"250 \0\r\n", b"250 ok", b"\xff\xfe\r\n", b"5",
    b"250-" + b"x" * 3000 + b"\r\n", b"250 " + b"x" * 70_000 + b"\r\n", b"250-x\r\n" * 5000, b"",
]  # fmt: skip
_TALK = st.lists(st.sampled_from(_REPLIES) | st.binary(max_size=20), max_size=8)
HASTE = dict.fromkeys(["greeting_timeout", "command_timeout", "data_timeout", "dot_timeout"], 0.05)
_GOOD = st.sampled_from(
    [
        [
            b"220 mx\r\n",
            b"250-mx\r\n250 PIPELINING\r\n",
            b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
            b"250 ok\r\n",
        ],
        [
            b"220 mx\r\n",
            b"250 mx\r\n",
            b"250 ok\r\n",
            b"250 ok\r\n",
            b"550 no\r\n",
            b"354 go\r\n",
            b"250 taken\r\n",
        ],
        [b"220 mx\r\n", b"250 mx\r\n", b"250 ok\r\n", b"550 no\r\n", b"450 no\r\n", b"221 bye\r\n"],
    ]
)


@st.composite
def talks(draw: st.DrawFn) -> list[bytes]:
    """What a receiver says, one piece after each time it has heard something."""
    said = list(draw(st.one_of(_GOOD, _GOOD, _TALK)))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(said)))
        said[at : at + draw(st.integers(0, 1))] = [
            draw(st.sampled_from(_REPLIES) | st.binary(max_size=20))
        ]
    return said


def test_whatever_a_receiver_says_everybody_has_one_answer(fuzzing: Fuzzing) -> None:
    complaints: list[Any] = []
    out = transport(**HASTE)
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))

        @given(talks())
        def one_answer(said: list[bytes]) -> None:
            runner.run(trial(out, said))
            assert complaints == []

        fuzzing.run(one_answer, batch=40)


async def trial(out: DirectTransport, said: list[bytes]) -> None:
    """One connection to a receiver that says just this, a piece after each time it has heard something."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            for piece in said:
                writer.write(piece)
                await writer.drain()
                if not await reader.read(65536):
                    break

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    host = MxHost(name="mx.lab", preference=10, addresses=("127.0.0.1",))
    try:
        connection = await opened(out, Site(key="lab", hosts=(host,), port=port))
        if connection is not None:
            await send_twice(connection, said)
    finally:
        server.close()
        await asyncio.sleep(0)


async def opened(out: DirectTransport, site: Site) -> Connection | None:
    failure: Reply | None = None
    try:
        return await out.open(EGRESS, site)
    except ConnectFailed as failed:
        failure = failed.reply
    assert not failure.is_success
    return None


async def send_twice(connection: Connection, said: list[bytes]) -> None:
    to = envelope("a@x.test", "b@x.test", content=(LETTER,))
    try:
        attempt = await connection.send(to)
        assert [result.n for result in attempt.results] == [0, 1]
        if any(result.reply.is_success for result in attempt.results):
            assert b"354" in b"".join(said)  # nothing is taken for delivered that was never sent
        if connection.usable:
            await connection.send(to)
    finally:
        await connection.close()


class FakeTransport(asyncio.Transport):
    def write(self, data: object) -> None:
        """Nobody reads it."""

    def abort(self) -> None:
        """It is gone."""


def test_replies_are_the_same_however_they_are_cut(fuzzing: Fuzzing) -> None:
    times = Timeouts(command=30, data=30, dot=30, session=60)

    async def read(chunks: list[bytes], wanted: int) -> tuple[list[tuple[int, bytes]], str]:
        link = Replies(asyncio.get_running_loop(), times)
        link.connection_made(FakeTransport())
        link.begin(60)
        waiting = asyncio.ensure_future(link.talk(b"x", wanted, 30))
        await asyncio.sleep(0)
        for chunk in chunks:
            link.data_received(chunk)
        link.eof_received()
        answers = [(answer.code, answer.raw) for answer in await waiting]
        assert len(answers) <= wanted
        for code, raw in answers:
            assert 200 <= code < 600
            assert shown(raw).replace("\n", "").isprintable() or not raw.isascii()
        assert link.fault is not None
        assert link.fault.is_transient
        return answers, link.fault.enhanced

    stream = st.lists(st.sampled_from(_REPLIES[:-3]) | st.binary(max_size=10), max_size=6).map(
        b"".join
    )

    with asyncio.Runner() as runner:

        @given(pieces(stream), st.integers(1, 4))
        def the_same(chunks: list[bytes], wanted: int) -> None:
            cut = runner.run(read(chunks, wanted))
            whole = runner.run(read([b"".join(chunks)], wanted))
            assert cut[0] == whole[0]
            if not any(len(chunk) > 60_000 for chunk in chunks):
                assert cut[1] == whole[1]

        fuzzing.run(the_same)


def test_any_answer_is_read_and_judged(fuzzing: Fuzzing) -> None:
    book, rules = shipped_book(), shipped_rules()
    words = [
        "4.7.28",
        "5.1.1",
        "2.0.0",
        "rate",
        "limited",
        "\n",
        "550-5.7.1 ",
        "spam",
        " ",
        "\u0664.\u0667.\u0661",
        "5.7.1\u2028",
        "x" * 1500,
    ]
    texts = st.lists(st.sampled_from(words) | st.text(max_size=12), max_size=10).map("".join)

    @given(
        st.integers(200, 599),
        texts,
        st.sampled_from(Phase),
        st.sampled_from(["", "mx1.google.com", "x..", "."]),
    )
    def judged(code: int, text: str, phase: Phase, host: str) -> None:
        reply = Reply.from_text(code, text)
        assert reply.code == code
        assert reply.is_success + reply.is_permanent + reply.is_transient == 1
        assert reply.status.count(".") == 2
        searchable(text)
        rules.find(reply, phase=phase, provider=host)
        book.provider_of([host])

    fuzzing.run(judged)


def survives(call: Callable[[], object], *known: type[Exception]) -> None:
    try:
        call()
    except known:
        return


def test_whatever_a_name_server_or_web_server_says_is_read(fuzzing: Fuzzing) -> None:
    policy = st.sampled_from(
        [
            b"version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmx: *.example.net\r\nmax_age: 86400\r\n",
            b"version: STSv1\nmode: none\nmax_age: 1\n",
        ]
    )
    records = st.sampled_from(
        [
            b"v=STSv1; id=20160831085700Z;",
            b"v=TLSRPTv1; rua=mailto:reports@example.com,https://example.com/v1/tlsrpt",
            b"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 include:a.example mx a:b.example/24 redirect=c.example -all",
        ]
    )

    def read_policy(text: str) -> None:
        found = parse(text)
        assert found.mode in Mode
        found.allows("mx.example.com")

    @given(mutated(policy) | st.binary(max_size=60), mutated(records) | st.binary(max_size=40))
    def are_read(page: bytes, record: bytes) -> None:
        text = record.decode("utf-8", "replace")
        survives(lambda: read_policy(page.decode("utf-8", "replace")), Unsound)
        id_in([text])
        for place in destinations([text]):
            assert re.match(r"mailto:.+@|(?i:https://.)", place)
        wanted_by(text)
        if is_spf(text):
            covers([parse_spf(text)], ["192.0.2.1", "2001:db8::1"])

    fuzzing.run(are_read)


def test_recipients_of_any_kind_are_asked_in_lines(fuzzing: Fuzzing) -> None:
    """What is written to a receiver has only the line ends that we mean."""
    lines: list[bytes] = []

    class Listening(FakeTransport):
        def write(self, data: Any) -> None:
            lines.append(bytes(data))

    async def ask(address: str, sender: str, envid: str, orcpt: str) -> None:
        times = Timeouts(command=5, data=5, dot=5, session=5)
        link = Replies(asyncio.get_running_loop(), times)
        link.connection_made(Listening())
        one = EnvelopeRecipient(n=0, address=address, notify="NEVER", orcpt=orcpt)
        wanted = envelope(
            mail_from=sender, envid=envid, ret="HDRS", recipients=(one,), smtputf8=True
        )
        offer = Offer(pipelining=True, dsn=True, smtputf8=True, eight_bit=True)
        transaction = Transaction(link, offer, times, wanted, Framer())
        waiting = asyncio.ensure_future(transaction.run(0.0, reset=False))
        await asyncio.sleep(0)
        link.eof_received()
        assert [result.n for result in await waiting] == [0]

    parts = st.sampled_from(
        ["a", "@", "b.example", "\r\n", "\n", "\r", "DATA\r\n", ">", " ", "ü", "\0", '"']
    )
    texts = st.lists(parts, max_size=6).map("".join)
    with asyncio.Runner() as runner:

        @given(texts, texts, texts, texts)
        def in_lines(address: str, sender: str, envid: str, orcpt: str) -> None:
            lines.clear()
            runner.run(ask(address, sender, envid, orcpt))
            said = b"".join(lines)
            assert said.count(b"\n") == said.count(b"\r\n") == said.count(b"\r")
            assert said.count(b"DATA\r\n") <= 1
            assert said.count(b"\r\n") <= 3

        fuzzing.run(in_lines)
