from __future__ import annotations

import re

import pytest

from mta.policy.trace import date_text, feedback_id, received_field
from tests.support.submissions import client, credential, submission

NOW = 1_790_000_000_000


def _received(**changes: object) -> str:
    made = submission(b"", **changes)
    field = received_field(made, queue_id="0a1b2c3d4e5f6", hostname="mx.example.com", now_ms=NOW)
    assert all(len(line.expandtabs()) <= 78 for line in field.decode().split("\r\n"))
    return field.decode()


def test_the_whole_trace_of_a_submission():
    assert _received() == (
        "Received: from app1.example.com ([192.0.2.10])\r\n"
        "\t(TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        "\tby mx.example.com with ESMTPSA id 0a1b2c3d4e5f6\r\n"
        "\tfor <jane@example.net>;\r\n"
        "\tMon, 21 Sep 2026 14:13:20 +0000\r\n"
    )


def test_a_hidden_client_leaves_no_trace():
    text = _received(credential=credential(hide_client=True))
    assert text.startswith("Received: by mx.example.com with ESMTPSA id ")
    assert "192.0.2.10" not in text
    assert "app1" not in text


def test_several_recipients_are_not_told_of_each_other():
    assert "for <" not in _received(recipients=("a@example.net", "b@example.net"))


@pytest.mark.parametrize(
    ("address", "literal"),
    [
        ("2001:db8::1", "[IPv6:2001:db8::1]"),
        ("::ffff:192.0.2.1", "[192.0.2.1]"),
        ("", "[unknown]"),
        ("a b", "[unknown]"),
    ],
)
def test_the_client_address_is_written_as_a_literal(address: str, literal: str):
    assert literal in _received(client=client(address=address))


@pytest.mark.parametrize("helo", ["evil\r\nBcc: x", "a b", "(x)", "", "é.example", "x" * 256])
def test_a_helo_that_is_no_name_is_not_repeated(helo: str):
    text = _received(client=client(helo=helo))
    assert text.startswith("Received: from unknown ([192.0.2.10])\r\n")


def test_an_international_recipient_is_named_only_under_smtputf8():
    recipients = ("josé@example.net",)
    assert "for <" not in _received(recipients=recipients)
    text = _received(recipients=recipients, smtputf8=True)
    assert "for <josé@example.net>;" in text
    assert "with UTF8SMTPSA id" in text


def test_a_recipient_with_control_characters_is_not_named():
    assert "for <" not in _received(recipients=('"a\r\nb"@example.net',))


def test_the_box_s_own_message_names_no_protocol():
    text = _received(client=client(protocol="LOCAL", tls=""))
    assert text.startswith("Received: by mx.example.com id 0a1b2c3d4e5f6\r\n")


def test_in_the_clear_no_tls_is_named():
    assert re.search(r"\]\)\r\n\tby ", _received(client=client(protocol="ESMTPA", tls="")))


def test_the_date_is_that_of_rfc_5322():
    assert date_text(NOW // 1000) == "Mon, 21 Sep 2026 14:13:20 +0000"


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ((), ":Acme-Corp:bulk:pillarbox"),
        (("spring sale: 20%", "x"), "spring-sale-20-:Acme-Corp:bulk:pillarbox"),
    ],
)
def test_a_feedback_id_is_made_of_tag_and_tenant(tags: tuple[str, ...], text: str):
    assert feedback_id(tags, "Acme Corp") == text
