from __future__ import annotations

import base64
import hashlib
import re
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.directory import DkimKey
from mta.message import SigningPlan
from mta.policy.headers import scan
from mta.policy.refusal import Refused
from mta.signing.canonical import body_hash, fields_of, header_end_of, relaxed_field
from mta.signing.dkim import OVERSIGNED, SIGNED, sign
from tests.support import corpus
from tests.support.dkim_zone import DATA, dkimpy_verifies, plan, zone

MESSAGE = (
    b"From: Joe <joe@relay.example.com>\r\nTo: Suzie <suzie@example.net>\r\nSubject: Is dinner\r\n ready?\r\n"
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <1@relay.example.com>\r\n\r\nHi.\r\n\r\nJoe.\r\n"
)


def _signed(content: bytes, of: SigningPlan | None = None) -> bytes:
    return sign(content, of or plan(), now_s=1_790_000_000) + content


def _verifies(message: bytes) -> bool:
    return dkimpy_verifies(message, zone(plan()), signatures=2)


def _names(signature: bytes) -> list[str]:
    found = re.search(rb"\th=([^;]*);", signature)
    assert found is not None
    return re.sub(rb"\s", b"", found[1]).decode().split(":")


def test_both_signatures_verify():
    assert _verifies(_signed(MESSAGE))


def test_the_signature_of_rfc_8463_is_reproduced():
    # RFC 8463 A.3: deterministic, so canonical form, hash and signature can be compared octet by octet.
    content = re.sub(rb"\r?\n", b"\r\n", (DATA / "rfc6376.msg").read_bytes())
    key = Ed25519PrivateKey.from_private_bytes(
        base64.b64decode((DATA / "rfc8032_7_1.key").read_bytes())
    )
    end = header_end_of(content)
    hashed = body_hash(content[end + 2 :])
    assert hashed == b"2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
    names = [b"from", b"to", b"subject", b"date", b"message-id"]
    fields = fields_of(content, end, frozenset(names))
    unsigned = (
        b" v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n"
        b" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date : message-id : from : subject : date;"
        b"\r\n bh=" + hashed + b";\r\n b="
    )
    data = b"".join(fields[name][0] + b"\r\n" for name in names) + relaxed_field(
        b"dkim-signature", unsigned
    )
    assert base64.b64encode(key.sign(hashlib.sha256(data).digest())) == (
        b"/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
    )


def test_the_signature_is_folded_and_says_what_it_is():
    fields = sign(MESSAGE, plan(), now_s=1_790_000_000)
    assert fields.count(b"DKIM-Signature: v=1;") == 2
    assert fields.endswith(b"==\r\n")
    assert b"a=rsa-sha256; c=relaxed/relaxed; t=1790000000;" in fields
    assert b"a=ed25519-sha256; c=relaxed/relaxed; t=1790000000;" in fields
    for line in fields.decode("ascii").split("\r\n"):
        assert len(line.expandtabs()) <= 78
    assert b"l=" not in re.sub(rb"b=[^;]*", b"", fields)


def test_long_names_stay_whole():
    long = SigningPlan(domain=".".join(["abcdefghi"] * 9) + ".example", keys=plan().keys)
    message = _signed(MESSAGE, long)
    assert dkimpy_verifies(message, zone(long), signatures=2)


def test_without_keys_there_is_no_signature():
    assert sign(MESSAGE, SigningPlan(domain="example.com", keys=()), now_s=1) == b""


def test_a_key_of_another_kind_is_an_error():
    keys = (DkimKey(selector="s", algorithm="rsa-sha256", private_key=object()),)
    with pytest.raises(TypeError, match="selector 's'"):
        sign(MESSAGE, SigningPlan(domain="example.com", keys=keys), now_s=1)


def test_the_header_end_may_be_given():
    end = header_end_of(MESSAGE)
    assert sign(MESSAGE, plan(), now_s=5, header_end=end) == sign(MESSAGE, plan(), now_s=5)


def test_fields_are_named_once_more_than_they_occur():
    names = _names(sign(MESSAGE, plan(), now_s=1))
    for name in OVERSIGNED:
        present = re.search(rb"(?mi)^" + name + rb":", MESSAGE) is not None
        assert names.count(name.decode()) == 1 + present
    assert not set(names) & {name.decode() for name in SIGNED}


def test_optional_fields_are_named_as_often_as_they_occur():
    names = _names(sign(b"List-Id: <a>\r\nReferences: <b>\r\n" + MESSAGE, plan(), now_s=1))
    assert (names.count("list-id"), names.count("references"), names.count("sender")) == (1, 1, 0)


@pytest.mark.parametrize("name", [name.decode() for name in OVERSIGNED])
@pytest.mark.parametrize("at", ["top", "bottom"])
def test_a_covered_field_cannot_be_added(name: str, at: str):
    line = f"{name}: added\r\n".encode()
    message = _signed(MESSAGE)
    if at == "top":
        forged = line + message
    else:
        end = header_end_of(message)
        forged = message[:end] + line + message[end:]
    assert not _verifies(forged)


@pytest.mark.parametrize("name", [b"From", b"To", b"Subject", b"Date", b"Message-ID"])
def test_a_covered_field_cannot_be_removed_or_changed(name: bytes):
    message = _signed(MESSAGE)
    field = re.search(rb"(?m)^" + name + rb":[^\r]*\r\n(?: [^\r]*\r\n)*", message)
    assert field is not None
    assert not _verifies(message.replace(field[0], b""))
    assert not _verifies(message.replace(field[0], field[0].replace(b": ", b": x")))


def test_one_click_unsubscribe_is_covered():
    content = (
        b"List-Unsubscribe: <https://x>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        + MESSAGE
    )
    message = _signed(content)
    assert _verifies(message)
    assert not _verifies(message.replace(b"https://x", b"https://y"))


def test_the_body_cannot_be_changed_but_for_white_space():
    message = _signed(MESSAGE)
    assert not _verifies(message.replace(b"Hi.", b"Ho."))
    assert not _verifies(message + b"more\r\n")
    assert _verifies(message.replace(b"Hi.", b"Hi. \t") + b"\r\n\r\n")


def test_a_field_that_occurs_several_times_is_covered_from_the_bottom():
    content = b"Subject: first\r\nTo: a@b\r\n" + MESSAGE
    message = _signed(content)
    assert _verifies(message)
    assert not _verifies(message.replace(b"Subject: first", b"Subject: other"))
    swapped = message.replace(b"Subject: first", b"Subject: Is dinner ready?").replace(
        b"Subject: Is dinner\r\n ready?", b"Subject: first"
    )
    assert not _verifies(swapped)


def test_many_threads_may_sign_at_once():
    results: list[bytes] = []
    keys = plan()  # made once: threads that came first together would each make their own
    threads = [
        threading.Thread(target=lambda: results.append(_signed(MESSAGE, keys))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1  # both algorithms are deterministic
    assert _verifies(results[0])


_NAMES = st.sampled_from(
    ["From", "to", "SUBJECT", "Subject", "Reply-To", "List-Unsubscribe", "X-Other", "Received"]
)
_LINE = st.text(" \tab:;=<>@", max_size=30).map(str.encode)
_VALUE = st.lists(_LINE, min_size=1, max_size=3).map(lambda lines: b"\r\n ".join([b"x", *lines]))
# A body ends in CRLF, as SMTP carries it: without, verifiers disagree on trailing white space.
_TEXT = st.lists(st.sampled_from([b" ", b"\t", b"a", b".", b"\xff"]), max_size=8).map(b"".join)
_BODY = st.lists(_TEXT, max_size=6).map(lambda lines: b"".join([line + b"\r\n" for line in lines]))


@given(st.lists(st.tuples(_NAMES, _VALUE), max_size=8), _BODY)
@settings(max_examples=150, deadline=None)
def test_dkimpy_verifies_whatever_is_signed(fields: list[tuple[str, bytes]], body: bytes):
    head = b"".join(name.encode() + b":" + value + b"\r\n" for name, value in fields)
    assert _verifies(_signed(b"From: a@relay.example.com\r\n" + head + b"\r\n" + body))


def test_dkimpy_verifies_every_real_message():
    failed = []
    for path in corpus.files():
        content = corpus.submitted(path)
        try:
            scan(content, allow_8bit=True)
        except Refused:
            continue
        if re.search(rb"(?mi)^from:", content) and not _verifies(_signed(content)):
            failed.append(corpus.name(path))
    assert failed == []
