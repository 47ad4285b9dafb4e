"""Queue commands against an owner that answers from tables, and the log that the worker wrote."""

from __future__ import annotations

import getpass
import re

import msgspec
import pytest

from appliance.core import clock, ids
from appliance.core.errors import NotFoundError
from appliance.history import LogWriter, write_partitions
from appliance.history.read_outbox import read
from tests.support.cli import Owner
from tests.support.control import FakeClock
from tests.support.history import Outbox

BY = f"cli:{getpass.getuser()}"
FIRST_ID = ids.first_at(clock.now_ms())


def _row(number: int, **changes):
    message_id = FIRST_ID + number
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


def _group(**changes):
    return {
        "name": "example.com",
        "provider": "google",
        "status": "deferred",
        "count": 3,
        "oldest": clock.now_ms() - clock.HOUR,
        "next": clock.now_ms() + clock.MINUTE,
        "until": 0,
        "due_soon": 3,
        "kind": "refused",
        "reason": "451 4.7.1 later \x1b[2J",
        "words": "451 4.7.1 later \x1b[2J",
        "egress": "default",
    } | changes


def _summary(*groups, **changes):
    now = clock.now_ms()
    counts = {"deferred": sum(group["count"] for group in groups)}
    return {
        "by": "domain",
        "at": now,
        "counts": counts,
        "oldest": now - clock.HOUR,
        "oldest_waiting": now - clock.HOUR,
        "total": len(groups),
        "due_soon": 3,
        "groups": list(groups),
        "reasons": [],
    } | changes


def test_what_waits_comes_with_the_pauses_and_the_kill_switch(shell, owner):
    owner.answers["queue_summary"] = _summary(_group(name="b.example", count=9), _group())
    shell("queue", "pause", "--domain", "example.com", "--reason", "too fast")
    shell("kill-switch", "on", "--reason", "leak")
    found = shell.json("queue", "list")
    assert [one["name"] for one in found["groups"]] == ["b.example", "example.com"]
    assert found["counts"] == {"deferred": 12}
    assert found["groups"][0]["oldest"].endswith("Z")
    assert found["pauses"][0]["domain"] == "example.com"
    assert found["kill_switch"]["is_on"] is True
    text = shell("queue", "list").out
    for words in (
        "kill switch is ON",
        "paused (1): domain example.com",
        "12 recipients wait: 12 deferred; the oldest since 1 h",
        "451 4.7.1 later \\x1b[2J",
    ):
        assert words in text
    assert "\x1b" not in text
    assert "counted" not in text


def test_what_waits_is_counted_by_whatever_is_asked_for(shell, owner):
    group = _group(name="", provider="")
    owner.answers["queue_summary"] = lambda asked: _summary(group, by=asked["by"])
    for by, unnamed in (("provider", "not looked up yet"), ("egress", "not tried yet")):
        text = shell("queue", "list", "--by", by, "--limit", "7").out
        assert by.upper() in text
        assert unnamed in text
        assert owner.calls("queue_summary")[-1] == {"by": by, "limit": 7}


def test_what_is_waited_for_comes_before_who_waits(shell, owner):
    reasons = [
        {"kind": "slowed", "recipients": 2310, "destinations": 12, "example": "a.lab", "most": 900},
        {"kind": "not_looked_at", "recipients": 7, "destinations": 7, "example": "", "most": 0},
    ]
    owner.answers["queue_summary"] = _summary(_group(), reasons=reasons)
    text = shell("queue", "list").out
    assert re.search(r"Slowed by the remote +2,310 +12 +a\.lab: 900", text)
    assert re.search(r"Not looked at +7 +7 +-", text)
    assert shell.json("queue", "list")["reasons"] == reasons
    owner.answers["queue_summary"] = _summary(_group(name="slowed", kind="slowed"), by="reason")
    assert re.search(
        r"Slowed by the remote +deferred +3", shell("queue", "list", "--by", "reason").out
    )


def test_a_count_that_is_old_says_so_and_how_many_groups_are_not_shown(shell, owner):
    at = clock.now_ms() - clock.MINUTE
    owner.answers["queue_summary"] = _summary(_group(), at=at, total=100_000)
    text = shell("queue", "list").out
    assert "(counted 1 min ago)" in text
    assert "and 99,999 more" in text


def test_an_empty_queue_says_so(shell, owner):
    owner.answers["queue_summary"] = _summary(oldest=0)
    assert shell("queue", "list").out == "nothing waits\n"


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
    owner.answers["queue_summary"] = _summary(_group(count=3, reason=""))
    owner.answers["queue_list"] = [_row(2), _row(4)]
    assert "mta-1 does not answer" in shell.error("queue", "list", expect=69)
    other = Owner(shell.home, "mta-1")
    other.answers |= {
        "shards": [1],
        "queue_summary": _summary(_group(count=4, reason="full")),
        "queue_list": [_row(1), _row(3)],
    }
    other.start()
    try:
        (found,) = shell.json("queue", "list")["groups"]
        listed = shell.json("queue", "list", "--recipients")
    finally:
        other.stop()
    assert (found["count"], found["reason"]) == (7, "full")
    assert [one["address"][:2] for one in listed] == ["u1", "u2", "u3", "u4"]


def _done(**counts):
    return {"changed": 0, "being_sent": 0, "ready": 0, "after": None, "upto": 9} | counts


def test_an_action_says_who_acts_and_counts(shell, owner):
    owner.answers["queue_act"] = _done(changed=2, being_sent=1)
    done = shell.json("queue", "cancel", "--domain", "example.com", "--yes")
    assert done == {"action": "cancel", "changed": 2, "being_sent": 1, "ready": 0}
    (call,) = owner.calls("queue_act")
    assert (call["action"], call["by"], call["pool"]) == ("cancel", BY, "")
    assert (call["filter"], call["shard"]) == ({"domain": "example.com"}, 0)
    said = shell("queue", "hold", "--all", "--yes")
    assert "2 recipients held" in said.out
    assert "1 recipient left alone: being sent now" in said.out


def test_a_long_action_goes_on_turn_by_turn_until_all_is_done(shell, owner):
    def answer(payload):
        turns = len(owner.calls("queue_act"))
        return _done(changed=500, upto=77, after=None if turns == 3 else [turns, 0])

    owner.answers["queue_act"] = answer
    assert shell.json("queue", "retry", "--all", "--yes")["changed"] == 1500
    calls = owner.calls("queue_act")
    assert [call.get("after") for call in calls] == [None, [1, 0], [2, 0]]
    assert [call.get("upto") for call in calls] == [None, 77, 77]


def test_mail_is_rerouted_to_a_pool(shell, owner):
    owner.answers["queue_act"] = _done(changed=2)
    said = shell("queue", "reroute", "--provider", "google", "--to", "warm", "--yes")
    assert "2 recipients rerouted" in said.out
    (call,) = owner.calls("queue_act")
    assert (call["action"], call["pool"], call["filter"]) == (
        "reroute",
        "warm",
        {"provider": "google"},
    )


@pytest.mark.parametrize("verb", ["retry", "hold", "release", "cancel"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--site", "MX.example.net:25"), {"site": "mx.example.net"}),
        (("--provider", "Google"), {"provider": "google"}),
        (("--provider", "other"), {"provider": "other"}),
        (("--egress", "out1"), {"egress": "out1"}),
        (("--tag", "news", "--domain", "a.example"), {"tag": "news", "domain": "a.example"}),
    ],
)
def test_every_action_takes_every_filter(shell, owner, verb, words, expected):
    owner.answers["queue_act"] = _done(changed=1)
    shell("queue", verb, *words, "--yes")
    held = {"status": "held"} if verb == "release" else {}
    assert owner.calls("queue_act")[0]["filter"] == expected | held


def test_a_provider_that_nobody_knows_is_an_error_that_names_the_known_ones(shell, owner):
    said = shell.error("queue", "cancel", "--provider", "gogle", "--yes", expect=66)
    assert "google" in said
    assert "or other" in said


def test_names_and_ids_become_the_owners_filters(shell, owner):
    owner.answers |= {"queue_act": _done(changed=1), "queue_list": []}
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
    owner.answers["queue_act"] = _done(changed=1)
    assert "--all" in shell.error("queue", "cancel", expect=64)
    assert "--all" in shell.error("queue", "cancel", "--all", "--domain", "x.example", expect=64)
    assert owner.calls("queue_act") == []


def test_many_recipients_need_a_yes(shell, owner, monkeypatch):
    owner.answers |= {
        "queue_list": [_row(1), _row(2)],
        "queue_act": _done(changed=2),
    }
    assert "concerns 2" in shell.error("queue", "hold", "--domain", "example.com", expect=64)
    said = shell("queue", "hold", "--all", typed=b"n\n", terminal=True, expect=130)
    assert "Hold up to 2 recipients?" in said.err
    assert owner.calls("queue_act") == []
    shell("queue", "hold", "--all", typed=b"y\n", terminal=True)
    assert len(owner.calls("queue_act")) == 1


def test_one_recipient_needs_no_yes(shell, owner):
    owner.answers |= {"queue_list": [_row(1)], "queue_act": _done(changed=1)}
    assert shell.json("queue", "hold", _row(1)["id"])["changed"] == 1


def test_an_error_of_the_owner_keeps_its_words_and_exit_code(shell, owner):
    def answer(payload):
        raise NotFoundError("no such message waits in the queue")

    owner.answers["queue_show"] = answer
    assert "no such message" in shell.error("queue", "show", _row(1)["id"], expect=66)


# -- the queue and the log together --------------------------------------------


@pytest.fixture
def outbox():
    return Outbox(FakeClock(clock.now_ms() - 10 * clock.MINUTE))


def _log(shell, outbox):
    """What the worker does with an outbox."""
    writer = LogWriter(write_partitions(shell.home.log_dir), keep_days=30)
    writer.open()
    events, rejected = read(0, outbox.take(), writer.today)
    assert rejected == []
    writer.write(0, events)
    writer.close()


def _shown(message_id, events, **changes):
    """As the owner answers `queue_show`."""
    recipient = _row(0, message_id=message_id, id=ids.to_text(message_id), address="joe@b.example")
    return {
        "message": {
            "id": ids.to_text(message_id),
            "tenant_id": 7,
            "credential_id": 3,
            "class": "transactional",
            "sender": "app@sender.example",
            "from": "Shop@sender.example",
            "message_id": "<1@sender.example>",
            "subject": "Your order",
            "size": 4096,
            "accepted_at": ids.time_of(message_id),
            "client": "192.0.2.9",
            "tags": [],
            "metadata": "",
            "signing_domain": "sender.example",
        },
        "recipients": [recipient | changes],
        "events": [[row.seq, row.n, row.kind, row.at, row.data] for row in events],
    }


def test_queue_show_joins_what_the_owner_has_to_what_the_log_has(shell, owner, outbox):
    message_id = outbox.accept("joe@b.example")
    _log(shell, outbox)
    later = {"reply": "451 4.7.1 later", "category": "greylisted", "next": clock.now_ms()}
    outbox.tried(message_id, 0, "deferred", "joe@b.example", **later)
    owner.answers["queue_show"] = _shown(message_id, outbox.take())
    story = shell.json("queue", "show", ids.to_text(message_id))
    assert [event["kind"] for event in story["events"]] == ["accepted", "deferred"]
    assert story["events"][1]["steps"][1]["command"] == "MAIL FROM:<>"
    assert story["recipients"][0]["next"].endswith("Z")
    text = shell("queue", "show", ids.to_text(message_id)).out
    for words in ("(in 59 min)", "signed", "queued", "451 4.7.1 later", "MAIL FROM:<> -> 250 ok"):
        assert words in text


def test_messages_are_found_and_told_from_the_log_alone(shell, outbox):
    first = outbox.accept("joe@b.example", "ann@c.example", tags=["orders"])
    outbox.tried(first, 0, "delivered", "joe@b.example")
    outbox.tried(first, 1, "bounced", "ann@c.example", reply="550 5.1.1 no such user")
    second = outbox.accept("eve@b.example", tenant=8)
    _log(shell, outbox)
    found = shell.json("messages", "list")
    assert [one["address"] for one in found["messages"]] == [
        "eve@b.example",
        "ann@c.example",
        "joe@b.example",
    ]
    for words, expected in (
        (["--address", "JOE@b.example"], ["joe@b.example"]),
        (["--address", "ann*"], ["ann@c.example"]),
        (["--domain", "B.example"], ["eve@b.example", "joe@b.example"]),
        (["--status", "bounced"], ["ann@c.example"]),
        (["--tag", "orders"], ["ann@c.example", "joe@b.example"]),
        (["--message-id", ids.to_text(second)], ["eve@b.example"]),
        (["--since", "1h", "--sender", "shop@sender.example", "--limit", "1"], ["eve@b.example"]),
        (["--until", "1h"], []),
    ):
        rows = shell.json("messages", "list", *words)["messages"]
        assert [one["address"] for one in rows] == expected, words
    page = shell.json("messages", "list", "--limit", "2")
    rest = shell.json("messages", "list", "--cursor", page["cursor"])
    assert [one["address"] for one in rest["messages"]] == ["joe@b.example"]
    assert rest["cursor"] is None
    assert "550 5.1.1 no such user" in shell("messages", "list").out
    text = shell("messages", "show", ids.to_text(first)).out
    assert text.rindex("accepted") < text.rindex("queued") < text.rindex("delivered")
    assert "550 5.1.1 no such user" in text
    assert "is no time" in shell.error("messages", "list", "--since", "soon", expect=64)


def test_a_message_that_is_nowhere_is_not_found(shell, owner):
    def answer(payload):
        raise NotFoundError("no such message waits in the queue")

    owner.answers["queue_show"] = answer
    assert "the log has no message" in shell.error("messages", "show", _row(1)["id"], expect=66)


def test_events_are_lines_in_the_order_of_the_log(shell, outbox):
    message_id = outbox.accept("joe@b.example")
    outbox.tried(message_id, 0, "delivered", "joe@b.example")
    _log(shell, outbox)
    lines = [msgspec.json.decode(line) for line in shell("events", "--json").out.splitlines()]
    assert [line["kind"] for line in lines] == ["accepted", "delivered"]
    assert lines[1]["reply"] == "250 2.0.0 ok"
    assert lines[1]["id"] == ids.to_text(message_id)
    only = shell("events", "--kind", "delivered", "--id", ids.to_text(message_id), "--limit", "1")
    assert only.out.count("\n") == 1
    assert "joe@b.example by mx1.receiver.example TLSv1.3: 250 2.0.0 ok" in only.out
    assert shell("events", "--domain", "c.example").out == ""


def test_a_test_message_is_submitted_as_a_login_and_watched_to_its_end(shell, owner, outbox):
    message_id = outbox.accept("joe@b.example")
    outbox.tried(message_id, 0, "delivered", "joe@b.example")
    owner.answers |= {
        "submit": {"id": message_id},
        "queue_show": _shown(message_id, outbox.take(), status="delivered"),
    }
    shell("tenant", "create", "acme")
    shell("domain", "create", "shop.example", "--tenant", "acme", "--assume-verified")
    made = shell.json("credential", "create", "--tenant", "acme", "--name", "web")
    said = shell("send-test", "joe@b.example", "--from", "me@shop.example", "--subject", "Ümläut")
    assert "delivered" in said.out
    (payload,) = owner.calls("submit")
    assert (payload["credential"], payload["sender"]) == (made["id"], "me@shop.example")
    assert payload["recipients"] == [["joe@b.example", "", ""]]
    assert payload["data"].isascii()
    assert b"\r\nTo: <joe@b.example>\r\nSubject: =?utf-8?" in payload["data"]
    assert b"\n" not in payload["data"].replace(b"\r\n", b"")


def test_a_test_message_that_fails_waits_or_is_refused_has_its_exit_code(shell, owner, outbox):
    shell("tenant", "create", "acme")
    shell("domain", "create", "shop.example", "--tenant", "acme", "--assume-verified")
    shell("credential", "create", "--tenant", "acme", "--name", "web")
    words = ["send-test", "joe@b.example", "--from", "me@shop.example", "--timeout", "0.1"]
    message_id = outbox.accept("joe@b.example")
    accepted = outbox.take()
    owner.answers |= {"submit": {"id": message_id}, "queue_show": _shown(message_id, accepted)}
    assert "it still waits" in shell(*words, expect=75).err
    outbox.tried(message_id, 0, "bounced", "joe@b.example", reply="550 5.1.1 no")
    owner.answers["queue_show"] = _shown(message_id, [*accepted, *outbox.take()], status="bounced")
    assert shell.json(*words, expect=1)["events"][1]["reply"] == "550 5.1.1 no"
    owner.answers["submit"] = {"refused": [550, "5.7.1", "not yours"]}
    assert "550 5.7.1 not yours" in shell.error(*words, expect=64)


# -- pauses ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("--tenant", "acme"), "tenant acme"),
        (("--domain", "Example.com"), "domain example.com"),
        (("--site", "mx.example.net:25"), "site mx.example.net"),
        (("--provider", "Google"), "provider google"),
        (("--egress", "out1"), "egress out1"),
        (("--tag", "news"), "tag news"),
        (("--credential", "web"), "credential "),
        (("--provider", "google", "--egress", "out1"), "provider google, egress out1"),
    ],
)
def test_a_pause_of_anything_stands_until_its_time_or_until_it_is_lifted(shell, words, shown):
    shell("tenant", "create", "acme")
    shell("credential", "create", "--tenant", "acme", "--name", "web")
    shell("egress", "create", "out1", "--address", "127.0.0.1")
    said = shell("queue", "pause", *words, "--reason", "complaints", "--for", "2h").out
    assert f"paused (1): {shown}" in said
    assert f"by {BY}: complaints; ends in " in said
    assert f"lifted (1): {shown}" in shell("queue", "resume", *words).out
    assert "there is no pause of" in shell.error("queue", "resume", *words, expect=66)


def test_a_pause_of_what_is_not_there_is_refused(shell):
    pause = ("queue", "pause", "--reason", "x")
    assert "no egress is named 'nosuch'" in shell.error(*pause, "--egress", "nosuch", expect=66)
    assert "no provider is named" in shell.error(*pause, "--provider", "nosuch", expect=66)
    assert "is no duration" in shell.error(
        *pause, "--domain", "a.example", "--for", "ever", expect=64
    )
    assert "kill-switch on" in shell.error(*pause, expect=64)
