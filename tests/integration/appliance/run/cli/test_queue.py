"""Queue commands against an owner that answers from tables, and the log that the worker wrote."""

from __future__ import annotations

import getpass

import msgspec
import pytest

from appliance.core import clock, ids
from appliance.history import LogWriter, write_partitions
from appliance.history.read_outbox import read
from appliance.run.cli import session as cli_session
from tests.support.cli import Owner
from tests.support.control import FakeClock
from tests.support.history import Outbox

BY = f"cli:{getpass.getuser()}"


def _row(number: int, **changes):
    message_id = ids.first_at(clock.now_ms()) + number
    return {
        "id": ids.to_text(message_id),
        "message_id": message_id,
        "n": 0,
        "tenant_id": 1,
        "class": "transactional",
        "address": f"u{number}@example.com",
        "domain": "example.com",
        "status": "deferred",
        "reason": "451 4.7.1 later \x1b[2J",
        "next": clock.now_ms() + clock.HOUR,
        "expires": clock.now_ms() + clock.DAY,
        "attempts": 2,
        "host": "mx.example.com",
        "egress": "default",
    } | changes


def _destination(**changes):
    return {
        "domain": "example.com",
        "status": "deferred",
        "count": 3,
        "oldest": clock.now_ms() - clock.HOUR,
        "next": clock.now_ms() + clock.MINUTE,
        "reason": "451 4.7.1 later",
    } | changes


def test_destinations_come_with_the_pauses_and_the_kill_switch(shell, owner):
    owner.answers["queue_summary"] = [_destination(), _destination(domain="b.example", count=9)]
    shell("queue", "pause", "--domain", "example.com", "--reason", "too fast")
    shell("kill-switch", "on", "--reason", "leak")
    found = shell.json("queue", "list")
    assert [one["domain"] for one in found["destinations"]] == ["b.example", "example.com"]
    assert found["destinations"][0]["oldest"].endswith("Z")
    assert found["pauses"][0]["domain"] == "example.com"
    assert found["kill_switch"]["is_on"] is True
    text = shell("queue", "list").out
    for words in ("kill switch is ON", "paused (1): domain example.com", "1 h ago", "451 4.7.1"):
        assert words in text


def test_recipients_are_listed_by_any_filter_and_paged_to_the_limit(shell, owner):
    rows = [_row(number) for number in range(700)]

    def answer(payload):
        after = tuple(payload["after"])
        return [row for row in rows if (row["message_id"], row["n"]) > after][: payload["limit"]]

    owner.answers["queue_list"] = answer
    found = shell.json("queue", "list", "--domain", "Example.COM", "--limit", "600")
    assert [one["address"] for one in found] == [f"u{number}@example.com" for number in range(600)]
    assert "message_id" not in found[0], "larger than most programs' numbers"
    assert {call["filter"]["domain"] for call in owner.calls("queue_list")} == {"example.com"}
    said = shell("queue", "list", "--recipients", "--limit", "1")
    assert "451 4.7.1 later \\x1b[2J" in said.out
    assert "\x1b" not in said.out
    assert "more than 1 match" in said.err


def test_the_answers_of_several_owners_are_one(shell, owner):
    config = shell.home.config_file
    config.write_text(config.read_text().replace("processes = 1", "processes = 2"))
    owner.answers["queue_summary"] = [_destination(count=3, reason="")]
    owner.answers["queue_list"] = [_row(2), _row(4)]
    assert "mta-1 does not answer" in shell.error("queue", "list", expect=69)
    other = Owner(shell.home, "mta-1")
    other.answers |= {
        "shards": [1],
        "queue_summary": [_destination(count=4, reason="full")],
        "queue_list": [_row(1), _row(3)],
    }
    other.start()
    try:
        (found,) = shell.json("queue", "list")["destinations"]
        listed = shell.json("queue", "list", "--recipients")
    finally:
        other.stop()
    assert (found["count"], found["reason"]) == (7, "full")
    assert [one["address"][:2] for one in listed] == ["u1", "u2", "u3", "u4"]


def test_an_action_says_who_acts_and_counts(shell, owner):
    owner.answers["queue_act"] = {"changed": 2, "being_sent": 1}
    done = shell.json("queue", "cancel", "--domain", "example.com", "--yes")
    assert done == {"action": "cancel", "changed": 2, "being_sent": 1}
    assert owner.calls("queue_act") == [
        {"action": "cancel", "filter": {"domain": "example.com"}, "by": BY}
    ]
    said = shell("queue", "hold", "--all", "--yes")
    assert "2 recipients held" in said.out
    assert "1 recipient left alone: being sent now" in said.out


def test_names_and_ids_become_the_owners_filters(shell, owner):
    owner.answers |= {"queue_act": {"changed": 1, "being_sent": 0}, "queue_list": []}
    shell("tenant", "create", "acme")
    made = shell.json("credential", "create", "--tenant", "acme", "--name", "web")
    shell("queue", "retry", "--tenant", "acme", "--credential", "web")
    shell("queue", "release", _row(1)["id"], "--id", _row(2)["id"])
    by_name, *by_id = owner.calls("queue_act")
    assert by_name["filter"] == {"tenant_id": 1, "credential_id": made["id"]}
    assert [call["filter"]["status"] for call in by_id] == ["held", "held"]
    assert len({call["filter"]["message_id"] for call in by_id}) == 2
    assert "no tenant" in shell.error("queue", "retry", "--tenant", "nobody", expect=66)
    assert "not a message id" in shell.error("queue", "retry", "12", expect=64)


def test_nothing_is_done_to_nothing_in_particular(shell, owner):
    owner.answers["queue_act"] = {"changed": 1, "being_sent": 0}
    assert "--all" in shell.error("queue", "cancel", expect=64)
    assert "--all" in shell.error("queue", "cancel", "--all", "--domain", "x.example", expect=64)
    assert owner.calls("queue_act") == []


def test_many_recipients_need_a_yes(shell, owner, monkeypatch):
    owner.answers |= {
        "queue_list": [_row(1), _row(2)],
        "queue_act": {"changed": 2, "being_sent": 0},
    }
    assert "concerns 2" in shell.error("queue", "hold", "--domain", "example.com", expect=64)
    terminal = type("Terminal", (), {"isatty": lambda self: True})()
    monkeypatch.setattr(cli_session.sys, "stdin", terminal)
    asked = []

    def answering(answer):
        def confirm(question, **_):
            asked.append(question)
            if not answer:
                raise cli_session.click.Abort

        monkeypatch.setattr(cli_session.click, "confirm", confirm)
        monkeypatch.setattr("tests.support.cli.sys.stdin", terminal)

    answering(answer=False)
    monkeypatch.setattr("tests.support.cli.io.TextIOWrapper", _AtTerminal)
    assert "stopped" in shell("queue", "hold", "--domain", "example.com", expect=130).err
    assert owner.calls("queue_act") == []
    answering(answer=True)
    shell("queue", "hold", "--domain", "example.com")
    assert asked == ["Hold up to 2 recipients?"] * 2
    assert len(owner.calls("queue_act")) == 1


import io  # noqa: E402


class _AtTerminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True
