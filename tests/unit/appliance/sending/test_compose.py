"""What is composed, another reader reads back as it was written; and no line of it is too long."""

from __future__ import annotations

import base64
import email
import email.policy
import itertools
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import UsageError
from appliance.sending import Attachment, Letter, Mailbox, ready
from appliance.sending.compose import compose
from mta.policy.headers import scan

NOW = 1_795_000_000_000
WORDS = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029\x85"),
    max_size=120,
)
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=400)


def marks() -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: f"mark{next(numbers)}"


def made(**changes):
    values = {"from_": "orders@shop.test", "to": ("ada@good.test",), "text": "hello"} | changes
    return compose(ready(Letter(**values), NOW), boundary=marks())


def read(outgoing):
    assert max(map(len, outgoing.data.split(b"\r\n"))) <= 998
    scan(outgoing.data, allow_8bit=True)
    return email.message_from_bytes(outgoing.data, policy=email.policy.SMTPUTF8)


@given(subject=WORDS, name=WORDS.map(lambda text: text[:100]))
def test_subject_and_names_come_back(subject, name):
    message = read(made(subject=subject, from_=Mailbox(email="a@shop.test", name=name)))
    assert " ".join((message["Subject"] or "").split()) == " ".join(subject.split())
    assert "".join(message["From"].addresses[0].display_name.split()) == "".join(name.split())
    assert message["From"].addresses[0].addr_spec == "a@shop.test"


@given(text=TEXTS, html=TEXTS)
def test_bodies_come_back_with_their_lines(text, html):
    if not text and not html:
        return
    message = read(made(text=text, html=html))
    for kind, body in (("plain", text), ("html", html)):
        if body:
            assert lines(message.get_body((kind,)).get_content()) == lines(body)


def lines(text):
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")


@given(content=st.binary(max_size=3000), filename=WORDS.filter(bool))
def test_attachments_come_back_octet_for_octet(content, filename):
    message = read(made(attachments=(Attachment(filename=filename, content=content),)))
    (part,) = message.iter_attachments()
    assert part.get_content() == content


@pytest.mark.parametrize(
    "filename",
    ["invoice.pdf", 'a "quoted" name.txt', "Rechnung für Ada.pdf", "長い名前" * 20 + ".pdf"],
)
def test_names_of_files_come_back(filename):
    message = read(made(attachments=(Attachment(filename=filename, content=b"x"),)))
    (part,) = message.iter_attachments()
    assert part.get_filename() == filename


def test_parts_lie_as_readers_expect_them():
    message = read(
        made(
            html='<img src="cid:logo">',
            attachments=(
                Attachment(
                    filename="l.png", content=b"1", content_type="image/png", content_id="logo"
                ),
                Attachment(filename="a.pdf", content=b"2", content_type="application/pdf"),
            ),
        )
    )
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]


def test_a_hundred_recipients_fold_and_bcc_stays_out_of_the_headers():
    to = tuple(Mailbox(email=f"person{n}@good.test", name=f"Person Number {n}") for n in range(60))
    outgoing = made(to=to, bcc=("hidden@good.test",))
    assert len(outgoing.recipients) == 61
    assert b"hidden" not in outgoing.data
    assert len(read(outgoing)["To"].addresses) == 60
    assert max(map(len, outgoing.data.split(b"\r\n"))) < 80


def test_mail_to_nobody_but_bcc_has_a_to_field():
    message = read(made(to=(), bcc=("hidden@good.test",)))
    assert str(message["To"]).startswith("undisclosed-recipients:")


@given(
    st.dictionaries(
        st.text(max_size=10),
        st.one_of(st.text(max_size=100), st.integers(-(2**53), 2**53), st.none(), st.booleans()),
        max_size=10,
    )
)
def test_metadata_travels_as_json(metadata):
    message = read(made(metadata=metadata))
    told = message["X-Pillarbox-Metadata"]
    assert json.loads(str(told)) == metadata if metadata else told is None


@pytest.mark.parametrize("text", ["x" * 2000, "word " * 600, "é" * 900])
def test_long_headers_are_cut_into_lines(text):
    outgoing = made(headers={"X-Long": text[:2000]})
    assert max(map(len, outgoing.data.split(b"\r\n"))) <= 998


@given(st.text(max_size=40), st.sampled_from(["subject", "name", "header", "filename", "tag"]))
def test_no_text_makes_a_header_of_its_own(text, place):
    """Whatever is given: either it is refused by its field, or the fields are those that were meant."""
    changes = {
        "subject": {"subject": text},
        "name": {"from_": Mailbox(email="a@shop.test", name=text)},
        "header": {"headers": {"X-Own": text}},
        "filename": {"attachments": (Attachment(filename=text or "x", content=b""),)},
        "tag": {"tags": (text or "x",)},
    }[place]
    outgoing, field = attempt(changes)
    if outgoing is None:
        assert field
        return
    head = outgoing.data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    names = {line.partition(":")[0] for line in head.split("\r\n") if line[:1] not in " \t"}
    meant = {"From", "To", "Subject", "X-Own", "X-Pillarbox-Tag", "MIME-Version", "Content-Type"}
    assert names <= meant | {"Content-Transfer-Encoding"}
    assert head.count("\nFrom:") + head.startswith("From:") == 1


def attempt(changes):
    try:
        return made(**changes), ""
    except UsageError as error:
        return None, error.field


def test_the_same_address_twice_is_one_recipient():
    assert made(to=("ada@good.test", "ada@good.test")).recipients == ("ada@good.test",)


def test_a_file_is_wrapped_as_base64():
    content = bytes(range(256)) * 20
    outgoing = made(attachments=(Attachment(filename="b", content=content),))
    assert base64.encodebytes(content).replace(b"\n", b"\r\n") in outgoing.data
