"""What clients say, right and wrong, as Hypothesis strategies: commands, bodies, sessions, ways to cut them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

JUNK = st.binary(max_size=40)
_VERBS = [
    b"EHLO", b"HELO", b"MAIL", b"RCPT", b"DATA", b"RSET", b"NOOP", b"VRFY", b"EXPN", b"HELP", b"AUTH",
    b"STARTTLS", b"BDAT", b"ETRN", b"TURN", b"PROXY", b"GET", b"POST", b"XCLIENT", b"", b" ", b"\xff",
]  # fmt: skip
_ADDRESSES = [
    b"a@shop.example", b"b@example.net", b"", b"postmaster", b"@", b"a@", b"@b", b"a@b@c.example",
    b'"a b"@c.example', b'"\\""@c.example', b"@x,@y:a@b.example", b"a@[127.0.0.1]", b"a@-b.example",
    "ü@bücher.example".encode(), b"a@" + b"b" * 64 + b".example", b"a" * 65 + b"@b.example", b"a\tb@c",
    b"a>b@c.example", b"<a@b.example>", b"a@b.example.", b"a@xn--a.example",
]  # fmt: skip
_PARAMETERS = [
    b"SIZE=100", b"SIZE=99999999", b"SIZE=", b"SIZE=-1", b"BODY=8BITMIME", b"BODY=BINARYMIME", b"SMTPUTF8",
    b"SMTPUTF8=1", b"RET=HDRS", b"RET=HDRS", b"ENVID=a+3Db", b"ENVID=a b", b"AUTH=<>", b"NOTIFY=NEVER",
    b"NOTIFY=SUCCESS,FAILURE", b"ORCPT=rfc822;a@b", b"ORCPT=utf-8;\xc3\xbc", b"X=", b"=", b"\x80",
]  # fmt: skip
_BODY = [
    b"\r\n", b"\r\n", b"a", b".", b"..", b" ", b"\r\n.", b"\r\n..\r\n", b"Subject: hi\r\n", b"x" * 80,
    b"MAIL FROM:<evil@good.test>\r\n", b"\xc3\xbc", b"\xff",
]  # fmt: skip
_WRONG_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\n",
    b"\r",
    b"\0",
    b"\r\r\n",
]
_END = b"\r\n.\r\n"
_LINE_ENDS = st.sampled_from([b"\r\n"] * 30 + [b"\n", b"\r", b"\r\r\n", b"\0\r\n", b" \r\n", b""])


def _path(verb: bytes, keyword: bytes) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda address, brackets, parameters: b" ".join(
            [verb + b" " + keyword + (b"<%s>" % address if brackets else address), *parameters]
        ),
        st.sampled_from(_ADDRESSES) | JUNK,
        st.sampled_from([True, True, True, False]),
        st.lists(st.sampled_from(_PARAMETERS), max_size=3),
    )


COMMANDS = st.one_of(
    st.sampled_from([b"EHLO x", b"MAIL FROM:<a@shop.example>", b"RCPT TO:<b@example.net>", b"RSET"]),
    st.builds(lambda verb, rest: verb + b" " + rest, st.sampled_from(_VERBS), JUNK),
    st.sampled_from(_VERBS),
    st.sampled_from([b"mail from:<a@shop.example>", b"Rcpt To: <b@example.net>", b"noop  ", b"QUIT"]),
    st.sampled_from([b"NOOP " + b"x" * 2043, b"NOOP " + b"x" * 2044, b"AUTH " + b"x" * 12_284, b"y" * 3000]),
    _path(b"MAIL", b"FROM:"),
    _path(b"RCPT", b"TO:"),
)  # fmt: skip
LINES = st.builds(lambda command, end: command + end, COMMANDS, _LINE_ENDS)
BODIES = st.lists(st.sampled_from(_BODY * 3 + _WRONG_ENDS), max_size=15).map(b"".join)
GOOD_BODIES = st.lists(st.sampled_from(_BODY), max_size=15).map(b"".join)
_ENVELOPE = b"EHLO x\r\nMAIL FROM:<a@shop.example>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
TRANSACTIONS = st.builds(
    lambda body: _ENVELOPE + body + _END, st.one_of(GOOD_BODIES, BODIES, st.binary(max_size=60))
)
SESSIONS = st.lists(st.one_of(LINES, TRANSACTIONS, TRANSACTIONS), max_size=6).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Something sound with a few octets gone, doubled, swapped or made up."""
    octets = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(octets) - 1)))
        size = draw(st.sampled_from([1, 1, 2, 4, 20]))
        match draw(st.sampled_from(["cut", "double", "insert", "change", "end"])):
            case "cut":
                del octets[at : at + size]
            case "double":
                octets[at:at] = octets[at : at + size]
            case "insert":
                octets[at:at] = draw(
                    st.sampled_from([b"\r", b"\n", b"\0", b".", b"\r\n", b"<", b"\xff"])
                )
            case "change" if octets:
                octets[at] = draw(st.integers(0, 255))
            case _:
                del octets[at:]
    return bytes(octets)


@st.composite
def pieces(draw: st.DrawFn, whole: st.SearchStrategy[bytes], most: int = 6) -> list[bytes]:
    """A stream as it is cut on its way; cuts are likely beside line ends and dots."""
    stream = draw(whole)
    marks = [at for at, octet in enumerate(stream) if octet in b"\r\n."] or [0]
    cuts = draw(
        st.lists(
            st.sampled_from(marks) | st.integers(0, len(stream)), max_size=most - 1, unique=True
        )
    )
    edges = [0, *sorted(cuts), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges) if a < b] or [b""]
