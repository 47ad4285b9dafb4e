"""What comes back: any octets are read, in bounded time, and nobody is suppressed by what was made up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import ids
from mta.bounce import return_path
from mta.bounce.addresses import NotOurs, own_address
from mta.bounce.arf import read_complaint
from mta.bounce.diagnostic import reply_of
from mta.bounce.dsn import read_dsn
from mta.bounce.mime import MAX_PARTS, parse, parse_fields, split
from mta.bounce.model import Action, NoticeKind
from mta.bounce.notice_reader import read_notice
from mta.bounce.return_path import ForgedReturnPath, ReturnPath, ReturnPathKeys, TokenKind
from mta.bounce.typed_address import address_of, decode_xtext, from_xtext, typed
from mta.policy.refusal import Refused
from tests.support.bounce_corpus import samples
from tests.support.inbound import KEYS, arf, dsn, new_id, own_directory, token
from tests.support.smtp_talk import mutated

if TYPE_CHECKING:
    from tests.support.fuzzing import Fuzzing

_CORPUS = [sample.read()[:6000] for sample in samples()][::7]
_LINES = [
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b", b"--b", b"--b--", b"",
    b"Content-Type: message/delivery-status", b"Content-Type: message/rfc822", b"Content-Type: multipart/mixed;",
    b" boundary=\"b\"", b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable",
    b"Final-Recipient: rfc822; a@b.example", b"Original-Recipient: rfc822;a+40b.example", b"Action: failed",
    b"Status: 5.1.1", "Status: 5.\u0661.\u0662".encode(), "Diagnostic-Code: smtp; 5\u0665\u0660 5.\u0661.1 x".encode(), b"Diagnostic-Code: smtp; 550 5.1.1 no", b"=3D=", b"YQ==", b"From: MAILER-DAEMON@x",
    b"Content-Type: message/feedback-report", b"Feedback-Type: abuse", b"Original-Rcpt-To: <a@b.example>",
    b"Original-Mail-From: <" + token(5).encode() + b">", b"Content-Type: text/plain; charset=utf-7",
    b"Auto-Submitted: auto-replied", b"Message-ID: <a@b>", b"Content-Type: multipart/digest; boundary=b",
]  # fmt: skip
_MADE = st.lists(st.sampled_from(_LINES) | st.binary(max_size=30), max_size=30).flatmap(
    lambda lines: st.sampled_from([b"\r\n", b"\n"]).map(lambda end: end.join(lines))
)
_SOUND = st.sampled_from([*_CORPUS, dsn("a@b.example"), arf(recipient="a@b.example")])
NOTICES = st.one_of(mutated(_SOUND), _MADE, st.binary(max_size=200))


def test_any_octets_are_read_as_a_notice(fuzzing: Fuzzing) -> None:
    @given(NOTICES)
    def is_read(raw: bytes) -> None:
        notice = read_notice(raw)
        assert notice.kind in NoticeKind
        for recipient in notice.recipients:
            assert isinstance(recipient.address, str)
            assert recipient.action in Action
            is_failure = recipient.action in (Action.FAILED, Action.DELAYED)
            assert recipient.reply.is_success is not is_failure
            assert re.fullmatch(r"|[245]\.[0-9]{1,3}\.[0-9]{1,3}", recipient.reply.enhanced)
        document = parse(raw)
        assert 1 <= len(document.parts) <= MAX_PARTS
        for part in document.parts:
            part.text()
        for trust in (False, True):
            read_dsn(document, trust_text=trust)
        read_complaint(document)

    fuzzing.run(is_read)


def test_line_ends_make_no_difference_to_a_report(fuzzing: Fuzzing) -> None:
    reports = st.sampled_from([dsn("a@b.example"), dsn("c@d.example", action="delayed"), *_CORPUS])

    @given(reports)
    def same(raw: bytes) -> None:
        unix = re.sub(rb"\r\n|\r(?!\n)", b"\n", raw)
        if b"\r" not in raw.replace(b"\r\n", b"") and b"base64" not in raw:
            assert read_notice(unix) == read_notice(unix.replace(b"\n", b"\r\n"))

    fuzzing.run(same)


def test_fields_hold_no_line_end_and_lower_names(fuzzing: Fuzzing) -> None:
    @given(NOTICES)
    def are_clean(raw: bytes) -> None:
        header, body = split(raw)
        assert len(header) + len(body) <= len(raw)
        for name, value in parse_fields(header).items:
            assert name == name.lower()
            assert "\n" not in value

    fuzzing.run(are_clean)


def test_a_diagnostic_never_turns_failure_into_success(fuzzing: Fuzzing) -> None:
    words = [
        "smtp;",
        "550",
        "5.1.1",
        "250",
        "2.0.0",
        "421-",
        "said:",
        "(",
        ")",
        "#550",
        "x" * 50,
        "",
        "\n",
        "٣",
    ]
    texts = st.lists(st.sampled_from(words) | st.text(max_size=10), max_size=10).map(" ".join)

    @given(
        st.lists(texts, max_size=3),
        st.sampled_from(["", "5.1.1", "4.2.2", "2.0.0"]),
        st.sampled_from(Action),
    )
    def keeps_its_class(diagnostics: list[str], status: str, action: Action) -> None:
        reply = reply_of(diagnostics, status, action)
        if action in (Action.FAILED, Action.DELAYED):
            assert 400 <= reply.code < 600
        else:
            assert 200 <= reply.code < 300

    fuzzing.run(keeps_its_class)


def test_an_address_survives_being_written_into_a_report(fuzzing: Fuzzing) -> None:
    chars = st.characters(
        codec="utf-8", exclude_characters="<>;'\"|/\\+", exclude_categories=["Z", "C"]
    )
    addresses = st.builds("{}@{}".format, st.text(chars, min_size=1), st.text(chars, min_size=1))

    @given(addresses, st.booleans())
    def survives(address: str, utf8: bool) -> None:
        assert address_of(typed(address, utf8=utf8)) == address

    @given(st.text(max_size=60))
    def is_read(text: str) -> None:
        address_of(text)
        address_of(f"utf-8; {text}")
        from_xtext(text)
        decode_xtext(text)

    fuzzing.run(survives)
    fuzzing.run(is_read)


def test_no_token_is_taken_but_those_made_here(fuzzing: Fuzzing) -> None:
    foreign = ReturnPathKeys({1: b"x" * 32}, 1)
    message_id = new_id()
    mine = [
        return_path.encode(KEYS, message_id, n, kind) for n in (0, 7, None) for kind in TokenKind
    ]
    theirs = [
        return_path.encode(foreign, message_id, n, kind) for n in (0, 7, None) for kind in TokenKind
    ]
    known = {text.lower() for text in mine}
    now = ids.time_of(message_id)

    @given(
        st.one_of(
            mutated(st.sampled_from([text.encode() for text in mine + theirs])),
            st.binary(max_size=40),
        )
    )
    def is_forged(raw: bytes) -> None:
        text = raw.decode("latin-1")
        if text.lower() in known:
            return
        with pytest.raises(ForgedReturnPath):
            return_path.decode(KEYS, text, now)
        with pytest.raises(NotOurs):
            own_address(f"{text}@bounces.box.example", own_directory(), KEYS, now)

    @given(
        st.integers(0, (1 << 63) - 1),
        st.none() | st.integers(0, return_path.MAX_RECIPIENT),
        st.sampled_from(TokenKind),
        st.randoms(use_true_random=False),
    )
    def round_trip(number: int, n: int | None, kind: TokenKind, random: object) -> None:
        text = return_path.encode(KEYS, number, n, kind)
        mixed = "".join(random.choice((c, c.upper())) for c in text)  # type: ignore[attr-defined]
        found = return_path.decode(KEYS, mixed, ids.time_of(number))
        assert found == ReturnPath(kind=kind, message_id=number, n=n)

    fuzzing.run(is_forged)
    fuzzing.run(round_trip)


def test_any_recipient_at_port_25_is_ours_or_refused(fuzzing: Fuzzing) -> None:
    parts = [
        "postmaster",
        "abuse",
        "fbl",
        token(5).partition("@")[0],
        "@",
        "box.example",
        "bounces.box.example",
    ]
    words = [*parts, ".", '"', "", "B.SHOP.EXAMPLE", "\x80", " "]

    @given(st.lists(st.sampled_from(words) | st.text(max_size=8), max_size=6).map("".join))
    def ours_or_refused(address: str) -> None:
        try:
            own_address(address, own_directory(), KEYS, 10**12)
        except Refused as refusal:
            line = refusal.reply.line()
            assert line.startswith("550 5.")
            assert line.isascii()
            assert line.isprintable()

    fuzzing.run(ours_or_refused)
