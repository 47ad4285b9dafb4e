"""Whole SMTP sessions over a real socket: the same answers as the model, the same messages, calm after.

What is accepted is also taken on to the next hop's wire: a receiver must read there what was accepted,
and nothing behind it (smuggling).
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import socket
import ssl
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.message import Envelope
from mta.submission.service import TlsMode
from mta.transport.content import Framer
from tests.support import tls
from tests.support.inbound import InboundBox, token
from tests.support.smtp_box import LIMITS, PASSWORD, Box, credential, directory, trusting
from tests.support.smtp_model import Model
from tests.support.smtp_talk import BODIES, JUNK, LINES, SESSIONS, mutated, pieces
from tests.support.smtp_thread import ThreadedBox, codes, heard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fuzzing import Fuzzing

LIMIT = 3000  # octets of a message: so small that some are over it
LIMITS_HERE = replace(LIMITS, max_message_bytes=LIMIT)


@pytest.fixture(params=[False, True], ids=["strict", "normalising"])
def server(request: pytest.FixtureRequest) -> Iterator[ThreadedBox]:
    who = credential(normalise_line_ends=request.param)
    with ThreadedBox(lambda: Box(directory=trusting(who), limits=LIMITS_HERE)) as found:
        yield found


def test_every_session_goes_as_the_model_says(fuzzing: Fuzzing, server: ThreadedBox) -> None:
    normalise = server.box.directory.trusted[0][1].normalise_line_ends

    @given(pieces(st.one_of(SESSIONS, mutated(SESSIONS))))
    def as_the_model(chunks: list[bytes]) -> None:
        server.box.intake.taken.clear()
        found = codes(server.say(chunks))
        server.check_calm()
        expected = Model(b"".join(chunks), limit=LIMIT, normalise=normalise).run()
        taken = [
            (one.envelope_from, tuple(r.address for r in one.recipients), one.data)
            for one in server.box.intake.taken
        ]
        if expected.is_vague:
            found, taken = found[: len(expected.codes)], taken[: len(expected.taken)]
        if expected.talks_on:
            assert found == expected.codes[: len(found)]
        else:
            assert found == expected.codes
        assert taken == expected.taken
        for _, _, data in taken:
            assert received(framed(data)) == (whole_lines(data), b"")

    fuzzing.run(as_the_model)


def framed(data: bytes) -> bytes:
    """As it goes to a receiver."""
    envelope = Envelope(
        message_id=1,
        mail_from="",
        recipients=(),
        content=(b"Received: by box\r\n", data),
        size=0,
        smtputf8=False,
        body_8bit=True,
    )
    return b"".join(Framer().frame(envelope))


def received(wire: bytes) -> tuple[bytes, bytes]:
    """As the strictest and the most lenient receiver would both read it: content, and what is behind."""
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert b"\r" not in wire.replace(b"\r\n", b"")
    lines = wire.split(b"\r\n")
    end = lines.index(b".")
    content = b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:end])
    return content.removeprefix(b"Received: by box\r\n"), b"\r\n".join(lines[end + 1 :])


def whole_lines(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\r\n") else data + b"\r\n"


def test_the_inbound_listener_keeps_exactly_what_it_says_it_kept(
    fuzzing: Fuzzing, tmp_path: Path
) -> None:
    ours = [
        token(5, 0).encode(),
        b"postmaster@box.example",
        b"fbl@bounces.box.example",
        b"x@y.example",
    ]

    def session(addresses: list[bytes], body: bytes) -> bytes:
        rcpt = b"".join(b"RCPT TO:<%s>\r\n" % address for address in addresses)
        return b"EHLO x\r\nMAIL FROM:<>\r\n" + rcpt + b"DATA\r\n" + body + b"\r\n.\r\nQUIT\r\n"

    notices = st.builds(session, st.lists(st.sampled_from(ours), max_size=3), BODIES)
    with ThreadedBox(lambda: InboundBox(tmp_path, per_minute=10**9)) as server:

        @given(pieces(st.one_of(mutated(notices), notices, SESSIONS)))
        def kept(chunks: list[bytes]) -> None:
            box = server.box
            assert isinstance(box, InboundBox)
            before = len(box.dropbox.waiting())
            answered = server.say(chunks)
            codes(answered)
            server.check_calm()
            said = answered.count(b"250 2.0.0 notice kept as ")
            assert len(box.dropbox.waiting()) - before == said

        fuzzing.run(kept)


def test_what_is_said_around_starttls_in_the_clear_never_counts(fuzzing: Fuzzing) -> None:
    with ThreadedBox(lambda: Box(directory=trusting())) as server:

        @given(st.one_of(LINES, SESSIONS, st.binary(max_size=80)), st.booleans())
        def never_counts(injected: bytes, at_once: bool) -> None:
            first = (
                [b"EHLO x\r\nSTARTTLS\r\n" + injected]
                if at_once
                else [b"EHLO x\r\nSTARTTLS\r\n", injected]
            )
            answered = server.say(first)
            said = answered.split(b"ready for TLS\r\n", 1)
            assert b"250" not in said[1] if len(said) > 1 else b" 250 " not in said[0]
            server.check_calm()
            assert server.box.intake.taken == []

        fuzzing.run(never_counts)


def test_no_login_is_let_in_but_the_right_one(fuzzing: Fuzzing) -> None:
    right = base64.b64encode(b"\0shop\0" + PASSWORD.encode())
    words = [
        b"AUTH PLAIN", b"AUTH LOGIN", b"AUTH PLAIN " + right, b"AUTH plain " + right, b"AUTH LOGIN c2hvcA==",
        b"AUTH PLAIN =", b"AUTH CRAM-MD5", b"AUTH", b"AUTH PLAIN " + right[:-3], b"AUTH PLAIN a b c",
        right, base64.b64encode(PASSWORD.encode()), b"c2hvcA==", b"*", b"=", b"", b"=====", b"\xff\xfe",
        base64.b64encode(b"shop\0shop\0" + PASSWORD.encode()), base64.b64encode(b"\0\0"),
        base64.b64encode(b"\0\xff\0\xfe"), b"NOOP", b"EHLO x", b"MAIL FROM:<a@shop.example>",
    ]  # fmt: skip
    lines = st.one_of(st.sampled_from(words), mutated(st.sampled_from(words)), JUNK)
    harmless = lines.filter(lambda line: not {*b"\r\n\0"} & {*line})
    made = {"directory": directory(credential()), "mode": TlsMode.IMPLICIT}

    with ThreadedBox(lambda: Box(**made)) as server:
        server.box.login._rules = replace(server.box.login._rules, failures=10**9)
        context = tls.contexts()[1]

        @given(st.lists(harmless, max_size=8))
        def only_the_right_one(said: list[bytes]) -> None:
            answered = talk_under_tls(server, context, said)
            server.check_calm()
            if any(answer.startswith(b"235") for answer in answered):
                text = b"\n".join(said)
                assert (
                    right in text or base64.b64encode(PASSWORD.encode()) in text or is_right(said)
                )

        fuzzing.run(only_the_right_one, batch=30)


def is_right(said: list[bytes]) -> bool:
    """Some other spelling of the right words: base64 leaves room for it."""
    found = []
    for line in said:
        for word in line.split()[-1:]:
            try:
                found.append(base64.b64decode(word + b"=" * (-len(word) % 4)))
            except ValueError:
                continue
    return any(PASSWORD.encode() in text for text in found)


def talk_under_tls(server: ThreadedBox, context: ssl.SSLContext, said: list[bytes]) -> list[bytes]:
    """One line, one reply, and so on, until it hangs up."""
    answered: list[bytes] = []
    with server.connect() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
        file = sock.makefile("rb")
        for line in [b"", b"EHLO x", *said]:
            try:
                if answered:
                    sock.sendall(line + b"\r\n")
                reply = b""
                while (more := file.readline())[3:4] == b"-":
                    reply += more
            except OSError:
                break
            answered.append(reply + more)
            if not more:
                break
        codes(b"".join(one for one in answered if not one.startswith(b"334")))
    return answered


def test_a_proxy_header_is_read_or_the_connection_is_cut(fuzzing: Fuzzing) -> None:
    v2 = b"\r\n\r\n\x00\r\nQUIT\n"
    headers = st.sampled_from(
        [
            b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 25\r\n",
            b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 25\r\n",
            b"PROXY UNKNOWN\r\n",
            v2 + b"\x21\x11\x00\x0c" + bytes(range(12)),
            v2 + b"\x21\x21\x00\x24" + bytes(range(36)),
            v2 + b"\x20\x00\x00\x00",
            v2 + b"\x21\x11\x00\x14" + bytes(range(20)),
        ]
    )
    loopback = (ipaddress.ip_network("127.0.0.0/8"),)
    with ThreadedBox(lambda: Box(directory=directory(), proxies=loopback)) as server:

        @given(pieces(st.one_of(headers, mutated(headers), JUNK).map(lambda h: h + b"QUIT\r\n")))
        def read_or_cut(chunks: list[bytes]) -> None:
            found = codes(server.say(chunks))
            assert not found or found[0] == 220
            server.check_calm()

        fuzzing.run(read_or_cut)


def test_a_session_that_breaks_off_anywhere_leaves_nothing(fuzzing: Fuzzing) -> None:
    with ThreadedBox(lambda: Box(directory=trusting())) as server:

        @given(pieces(SESSIONS), st.booleans())
        def leaves_nothing(chunks: list[bytes], reset: bool) -> None:
            with server.connect() as sock:
                with contextlib.suppress(OSError):  # it has hung up first
                    for chunk in chunks[:-1]:
                        sock.sendall(chunk)
                if reset:
                    option = struct.pack("ii", 1, 0)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
            server.check_calm()
            with server.connect() as sock:
                sock.sendall(b"QUIT\r\n")
                assert codes(heard(sock)) == [220, 221]

        fuzzing.run(leaves_nothing)
