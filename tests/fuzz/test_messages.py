"""Messages on their way in: header blocks, addresses, control headers, canonical form, commands."""

from __future__ import annotations

import email.parser
import email.policy
import re
from typing import TYPE_CHECKING

import dkim.canonicalization
from hypothesis import given
from hypothesis import strategies as st

from mta.message import Client
from mta.policy.address import parse_mailbox
from mta.policy.display import display_text, plain_text
from mta.policy.headers import HeaderBlock, scan
from mta.policy.prepare import prepare
from mta.policy.refusal import Refused
from mta.signing.canonical import fields_of, relaxed_body, relaxed_field
from mta.submission.commands import parse_mail, parse_rcpt
from mta.submission.proxy import ProxyError, parse
from tests.support.smtp_talk import COMMANDS, mutated
from tests.support.submissions import credential, submission

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fuzzing import Fuzzing

NOW = 1_800_000_000_000
_NAMES = [
    b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Received", b"Bcc", b"Return-Path", b"X-Pillarbox-Tag",
    b"X-Pillarbox-Class", b"X-Pillarbox-Send-At", b"X-Pillarbox-Metadata", b"X-Pillarbox-Idempotency-Key",
    b"X-Pillarbox-Pool", b"X-Pillarbox-X", b"List-Unsubscribe", b"Precedence", b"a", b"~!#", b"From ", b"", b"\xc3",
]  # fmt: skip
_VALUES = [
    b"a@shop.example.com", b"A <a@shop.example.com>", b'"x, y" <a@shop.example.com>', b"a@b, c@d", b"(c) a@b.example",
    b"=?utf-8?q?=C3=BC?=", b"=?utf-8?b?w7w=?=", b"=?x?b?=?=", b"bulk", b"transactional", b"2027-01-01T00:00:00Z",
    b"Fri, 20 Nov 2026 10:00:00 +0000", b'{"a": 1}', b'{"a"', b"tag1, tag2", b"<>", b"", b" ", b"\t", b"\xc3\xbc",
    b"\xff", b"x" * 300, b"x" * 999, b"((((", b'"', b"group: a@b, c@d;", b"9999-12-31", b"@", b"a@[1.2.3.4]",
]  # fmt: skip
_FOLDS = [b"", b"", b"\r\n ", b"\r\n\t", b"\r\n", b"\r\n \r\n "]
_ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n\r\n", b""]
FIELDS = st.builds(
    lambda name, colon, value, fold, more, end: name + colon + value + fold + more + end,
    st.sampled_from(_NAMES),
    st.sampled_from([b": "] * 8 + [b":", b":\t", b"", b" :"]),
    st.sampled_from(_VALUES) | st.binary(max_size=20),
    st.sampled_from(_FOLDS),
    st.sampled_from(_VALUES),
    st.sampled_from(_ENDS),
)
BODIES = st.lists(
    st.sampled_from([b"\r\n", b"a", b" ", b"\t", b".", b"\n", b"\r", b"\xff", b"x" * 990])
).map(b"".join)
CONTENTS = st.builds(
    lambda fields, blank, body: b"".join(fields) + blank + body,
    st.lists(FIELDS, max_size=8),
    st.sampled_from([b"\r\n"] * 5 + [b""]),
    BODIES,
)
_SOUND = st.builds(
    lambda fields, body: b"From: a@shop.example.com\r\n" + b"".join(fields) + b"\r\n" + body,
    st.lists(
        st.builds(
            lambda name, value: name + b": " + value + b"\r\n",
            st.sampled_from(
                [b"To", b"Subject", b"X-a", b"Received", b"Cc", b"X-Pillarbox-Tag", b"Bcc"]
            ),
            st.sampled_from(
                [b"one", b"one\r\n two", b"one\r\n\tb:two", b"", b"tag", b"a@b.example"]
            ),
        ),
        max_size=8,
    ),
    BODIES.filter(lambda body: re.search(rb"\r(?!\n)|(?<!\r)\n", body) is None),
)


def refusal_or(call: Callable[[], object]) -> bool:
    """Whether it was refused; a refusal is one line that can be sent."""
    try:
        call()
    except Refused as refused:
        reply = refused.reply
    else:
        return False
    assert reply.line().isascii()
    assert reply.line().isprintable()
    assert len(reply.line()) < 480
    assert reply.code >= 400
    return True


def test_the_scanner_finds_what_pythons_parser_finds(fuzzing: Fuzzing) -> None:
    parser = email.parser.BytesHeaderParser(policy=email.policy.compat32)

    @given(_SOUND)
    def same(content: bytes) -> None:
        if any(len(line) > 998 for line in content.split(b"\r\n")):
            return
        block = scan(content, allow_8bit=False)
        theirs = parser.parsebytes(content)
        assert [name for name, _, _ in block.fields] == [name.lower().encode() for name in theirs]
        for name in block.spans:
            expected = [
                str(v).replace("\r\n", "").strip(" \t") for v in theirs.get_all(name.decode(), [])
            ]
            assert [value.decode() for value in block.all(name)] == expected

    fuzzing.run(same)


def test_a_block_that_was_let_in_is_whole(fuzzing: Fuzzing) -> None:
    @given(st.one_of(CONTENTS, mutated(CONTENTS), st.binary(max_size=100)), st.booleans())
    def whole(content: bytes, allow_8bit: bool) -> None:
        found: list[HeaderBlock] = []
        if refusal_or(lambda: found.append(scan(content, allow_8bit=allow_8bit))):
            return
        (block,) = found
        assert (
            b"".join(content[start:stop] for _, start, stop in block.fields) == content[: block.end]
        )
        rest = content[block.end :]
        assert not rest or rest.startswith(b"\r\n")
        for name, start, stop in block.fields:
            field = content[start:stop]
            assert field.endswith(b"\r\n")
            assert re.search(rb"\r\n(?![ \t]|\Z)|\r(?!\n)|(?<!\r)\n|\0", field) is None
            assert field.lower().startswith(name + b":")

    fuzzing.run(whole)


def test_what_is_prepared_keeps_every_octet_it_should(fuzzing: Fuzzing) -> None:
    dropped = (b"bcc", b"resent-bcc", b"return-path")

    @given(
        st.one_of(_SOUND, CONTENTS, mutated(_SOUND)),
        st.booleans(),
        st.sampled_from(["", "a@b.example"]),
    )
    def keeps(content: bytes, accept_8bit: bool, sender: str) -> None:
        given_in = submission(
            content, envelope_from=sender, credential=credential(accept_8bit_headers=accept_8bit)
        )

        def work() -> None:
            block = scan(content, allow_8bit=accept_8bit)
            made = prepare(
                given_in, block, message_id=77, hostname="box.example", now_ms=NOW
            ).content
            kept = [
                content[start:stop]
                for name, start, stop in block.fields
                if name not in dropped and not name.startswith(b"x-pillarbox-")
            ]
            again = scan(made, allow_8bit=True)
            assert made.endswith(content[block.end :])
            assert made[again.end :] == content[block.end :]
            fields = [made[start:stop] for _, start, stop in again.fields]
            assert fields[0].startswith(b"Received: ")
            assert fields[1 : 1 + len(kept)] == kept
            assert not {b"bcc", b"return-path"} & again.spans.keys()
            for name in (b"from", b"date", b"message-id"):
                assert again.count(name) >= 1

        refusal_or(work)

    fuzzing.run(keeps)


def test_the_trace_of_any_client_can_stand_in_a_header(fuzzing: Fuzzing) -> None:
    text = st.text(max_size=30)

    @given(text, text, text, st.sampled_from(["ESMTP", "SMTP", "ESMTPSA", "", "LOCAL"]))
    def can_stand(helo: str, address: str, tls: str, protocol: str) -> None:
        client = Client(address=address, port=1, helo=helo, tls=tls, protocol=protocol)
        content = b"From: a@shop.example.com\r\n\r\n"
        made = prepare(
            submission(content, client=client),
            scan(content, allow_8bit=False),
            message_id=77,
            hostname="box.example",
            now_ms=NOW,
        )
        assert [n for n, _, _ in scan(made.content, allow_8bit=False).fields][:2] == [
            b"received",
            b"from",
        ]

    fuzzing.run(can_stand)


def test_an_address_is_read_or_refused_and_stays_what_it_is(fuzzing: Fuzzing) -> None:
    pieces = [
        "a",
        "@",
        ".",
        '"',
        "\\",
        " ",
        "ü",
        "b.example",
        "xn--",
        "-",
        "[",
        "]",
        "\u3002",
        "ß",
        "\u200d",
        "\0",
        "<",
    ]
    texts = st.lists(st.sampled_from(pieces) | st.text(max_size=4), max_size=12).map("".join)

    @given(texts, st.booleans())
    def read_or_refused(text: str, smtputf8: bool) -> None:
        def work() -> None:
            address = parse_mailbox(text, smtputf8=smtputf8)
            assert address.domain.isascii()
            assert not re.search(r"[\x00-\x1f\x7f<>]", address.local) or address.local.startswith(
                '"'
            )
            assert parse_mailbox(str(address), smtputf8=smtputf8) == address

        refusal_or(work)

    fuzzing.run(read_or_refused)


def test_any_command_is_read_or_refused(fuzzing: Fuzzing) -> None:
    arguments = COMMANDS.map(lambda line: line.partition(b" ")[2])

    @given(st.one_of(arguments, mutated(arguments)))
    def read_or_refused(argument: bytes) -> None:
        for read in (parse_mail, parse_rcpt):
            refusal_or(lambda read=read: read(argument))  # type: ignore[misc]

    fuzzing.run(read_or_refused)


def test_any_header_can_be_shown(fuzzing: Fuzzing) -> None:
    words = [
        b"=?",
        b"?=",
        b"?",
        b"q",
        b"B",
        b"utf-8",
        b"idna",
        b"punycode",
        b"rot13",
        b"utf-7",
        b"hex",
        b"=C3",
        b"*",
        b" ",
    ]

    @given(st.lists(st.sampled_from(words) | st.binary(max_size=6), max_size=20).map(b"".join))
    def is_shown(value: bytes) -> None:
        assert display_text(value).isprintable()
        assert len(display_text(value)) <= 250
        assert plain_text(value, limit=100).isprintable()

    fuzzing.run(is_shown)


def test_the_canonical_form_is_that_of_dkimpy(fuzzing: Fuzzing) -> None:
    names = frozenset({b"from", b"subject", b"x-a"})

    @given(BODIES)
    def body(octets: bytes) -> None:
        octets = re.sub(rb"\r\n|\r|\n", b"\r\n", octets)
        # RFC 6376 3.4.4 adds the missing last line end; dkimpy leaves that to its caller.
        whole = octets if not octets or octets.endswith(b"\r\n") else octets + b"\r\n"
        assert relaxed_body(octets) == dkim.canonicalization.Relaxed.canonicalize_body(whole)

    @given(_SOUND)
    def headers(content: bytes) -> None:
        block = (
            scan(content, allow_8bit=False)
            if max(map(len, content.split(b"\r\n"))) <= 998
            else None
        )
        if block is None:
            return
        raw = [
            (content[a:b].partition(b":")[0], content[a:b].partition(b":")[2])
            for _, a, b in block.fields
        ]
        theirs = dkim.canonicalization.Relaxed.canonicalize_headers(raw)
        ours = fields_of(content, block.end, names)
        for name in names:
            expected = [name + b":" + value.rstrip(b"\r\n") for n, value in theirs if n == name]
            assert ours.get(name, []) == expected
        for name, value in raw:
            relaxed_field(name.lower(), value)

    fuzzing.run(body)
    fuzzing.run(headers)


def test_a_proxy_header_is_taken_whole_or_not_at_all(fuzzing: Fuzzing) -> None:
    v2 = b"\r\n\r\n\x00\r\nQUIT\n"
    sound = st.one_of(
        st.builds(
            lambda a, b, p: f"PROXY TCP4 {a} {b} {p} 25\r\n".encode(),
            st.ip_addresses(v=4),
            st.ip_addresses(v=4),
            st.integers(0, 65535),
        ),
        st.builds(
            lambda a, p: f"PROXY TCP6 {a} ::1 {p} 25\r\n".encode(),
            st.ip_addresses(v=6),
            st.integers(0, 65535),
        ),
        st.binary(min_size=12, max_size=12).map(lambda block: v2 + b"\x21\x11\x00\x0c" + block),
        st.binary(min_size=36, max_size=60).map(
            lambda b: v2 + b"\x21\x21" + len(b).to_bytes(2, "big") + b
        ),
    )

    @given(sound, st.binary(max_size=10))
    def whole(header: bytes, behind: bytes) -> None:
        found = parse(header + behind)
        assert found is not None
        assert found.length == len(header)
        assert all(parse(header[:at]) is None for at in range(len(header)))

    @given(st.one_of(mutated(sound), st.binary(max_size=130)))
    def read_or_refused(data: bytes) -> None:
        try:
            found = parse(data)
        except ProxyError:
            return
        assert found is None or found.length <= len(data)

    fuzzing.run(whole)
    fuzzing.run(read_or_refused)
