"""The operator hears of held mail at once, and then once a minute, with commands that exist."""

from __future__ import annotations

import logging
import re

import pytest

from appliance.core.clock import MINUTE
from appliance.run.cli import credential as credential_commands
from appliance.run.cli import queue as queue_commands
from appliance.run.hold_notice import HoldNotice
from tests.support.control import FakeClock
from tests.support.submissions import credential

SHOP = credential(id=3, usual_per_hour=120)
GROUPS = {"queue": queue_commands.command, "credential": credential_commands.command}


@pytest.fixture
def notice(now: FakeClock, caplog: pytest.LogCaptureFixture) -> HoldNotice:
    caplog.set_level(logging.WARNING)
    return HoldNotice(now)


def counts(caplog: pytest.LogCaptureFixture) -> list[tuple[int, int]]:
    return [(one.fields["credential"], one.fields["held"]) for one in caplog.records]


def test_the_first_is_said_at_once_and_the_rest_once_a_minute(notice, now, caplog):
    notice.tell(SHOP, "acme", 2)
    assert counts(caplog) == [(3, 2)]
    for _ in range(10):
        now.move(MINUTE // 10 - 1)
        notice.tell(SHOP, "acme", 5)
    assert counts(caplog) == [(3, 2)]
    now.move(MINUTE // 10)
    notice.tell(SHOP, "acme", 1)
    assert counts(caplog) == [(3, 2), (3, 51)]


def test_one_credential_does_not_silence_another(notice, caplog):
    notice.tell(SHOP, "acme", 2)
    notice.tell(credential(id=4), "other", 7)
    assert counts(caplog) == [(3, 2), (4, 7)]


def test_the_words_name_the_credential_and_commands_that_parse(notice, caplog):
    notice.tell(SHOP, "acme", 2)
    (line,) = caplog.messages
    assert "credential shop of tenant acme sends above 5 times its usual 120 recipients" in line
    found = [text.split() for text in re.findall(r"pillarbox ([^.,]+)", line)]
    assert [words[:2] for words in found] == [
        ["queue", "release"],
        ["credential", "revoke"],
        ["queue", "cancel"],
    ]
    for group, verb, *arguments in found:
        GROUPS[group].get_command(None, verb).make_context(verb, arguments)
