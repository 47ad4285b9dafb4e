from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.bounce.diagnostic import reply_of
from mta.bounce.model import Action
from mta.reply import Reply


@pytest.mark.parametrize(
    ("diagnostic", "status", "reply"),
    [
        ("smtp; 550 5.1.1 <u@example.com>: unknown", "5.0.0", Reply(550, "5.1.1", "<u@example.com>: unknown")),
        ("SMTP;550 no mailbox here (#5.1.1)", "5.0.0", Reply(550, "5.1.1", "no mailbox here (#5.1.1)")),
        ("550 Unknown user u@example.com", "5.1.1", Reply(550, "5.1.1", "Unknown user u@example.com")),
        ("smtp; 550 5.0.0 Refused", "5.7.1", Reply(550, "5.7.1", "Refused")),
        ("smtp; 550 5.2.2 Full", "5.0.0", Reply(550, "5.2.2", "Full")),
        ("smtp; 554 Message expired", "4.4.7", Reply(554, "4.4.7", "Message expired")),
        ("X-Postfix; host mx[192.0.2.1] said: 552 5.2.2 Over quota (in reply to RCPT)", "5.0.0", Reply(552, "5.2.2", "Over quota (in reply to RCPT)")),
        ("x-unix; 71", "4.5.0", Reply(450, "4.5.0", "71")),
        ("smtp; 550-5.1.1 The account 550-5.1.1 you tried 550 5.1.1 is gone", "5.1.1", Reply(550, "5.1.1", "The account you tried is gone")),
        ("", "", Reply(550, "", "")),
        ("smtp; 550 5.\u0661.\u0661 Unknown", "5.1.1", Reply(550, "5.1.1", "5.\u0661.\u0661 Unknown")),
        ("smtp; 250 ok, they said", "", Reply(550, "", "ok, they said")),
    ],
)  # fmt: skip
def test_status_fields_become_the_reply_behind_them(
    diagnostic: str, status: str, reply: Reply
) -> None:
    assert reply_of([diagnostic] if diagnostic else [], status, Action.FAILED) == reply


def test_of_several_diagnostics_the_one_with_a_code_counts() -> None:
    reply = reply_of(["X-Mail; no idea", "smtp; 552 5.2.2 full"], "5.0.0", Action.FAILED)
    assert reply == Reply(552, "5.2.2", "full")


@given(
    st.text(max_size=200), st.sampled_from(["", "2.1.5", "4.4.7", "5.1.1"]), st.sampled_from(Action)
)
def test_a_failure_never_looks_like_success(text: str, status: str, action: Action) -> None:
    is_failure = action in (Action.FAILED, Action.DELAYED)
    assert reply_of([text], status, action).is_success != is_failure


@pytest.mark.parametrize(
    "text", [" " * 100_000, "550-" * 30_000, "said: " * 20_000, "4.1." * 30_000]
)
def test_long_nonsense_takes_bounded_time(text: str) -> None:
    start = time.process_time()
    reply_of([text], "", Action.FAILED)
    assert time.process_time() - start < 0.5
