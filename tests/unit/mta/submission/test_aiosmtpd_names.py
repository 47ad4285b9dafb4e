"""What mta/submission/protocol.py uses of aiosmtpd below its public surface, name by name."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import version

from aiosmtpd import smtp

from mta.submission.protocol import SmtpProtocol


def source(function: object) -> str:
    return inspect.getsource(function)  # type: ignore[arg-type]


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("aiosmtpd").startswith("1.4.")


def test_create_session_needs_only_the_loop() -> None:
    session = smtp.SMTP._create_session(type("Holder", (), {"loop": None})())
    assert (session.host_name, session.extended_smtp, session.authenticated) == (None, False, None)


def test_reader_is_asked_for_readline_and_nothing_else() -> None:
    assert source(smtp.SMTP.challenge_auth).count("self._reader.") == 1
    assert "self._reader.readline()" in source(smtp.SMTP.challenge_auth)
    for dialogue in (smtp.SMTP.auth_PLAIN, smtp.SMTP.auth_LOGIN):
        assert "_reader" not in source(dialogue)


def test_authenticate_is_the_last_word_of_both_dialogues() -> None:
    for dialogue in (smtp.SMTP.auth_PLAIN, smtp.SMTP.auth_LOGIN):
        last = source(dialogue).strip().splitlines()[-1]
        assert "return self._authenticate(" in last
        assert "LoginPassword(login, password)" in last


def test_the_dialogues_need_nothing_that_aiosmtpds_constructor_sets() -> None:
    dialogues = (smtp.SMTP.auth_PLAIN, smtp.SMTP.auth_LOGIN, smtp.SMTP.challenge_auth)
    used = {name for each in dialogues for name in re.findall(r"self\.(\w+)", source(each))}
    assert used == {
        "_authenticate",
        "_reader",
        "AuthLoginPasswordChallenge",
        "AuthLoginUsernameChallenge",
        "challenge_auth",
        "push",
        "session",
    }


def test_no_method_of_aiosmtpd_stands_before_ours() -> None:
    for name in ("connection_made", "data_received", "eof_received", "connection_lost", "push"):
        owner = next(base for base in SmtpProtocol.__mro__ if name in vars(base))
        assert owner.__module__.startswith("mta."), name
