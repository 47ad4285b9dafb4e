"""Egress addresses, pools, and who uses which, on a box that does not run and whose DNS is silent."""

from __future__ import annotations

import pytest

from appliance.run.cli.pool import members_of
from mta.egress import Member


@pytest.fixture
def box(shell):
    """A box with three addresses and a tenant."""
    for n in (1, 2, 3):
        shell("egress", "create", f"out{n}", "--address", f"127.0.0.1{n}")
    shell("tenant", "create", "acme")
    return shell


def test_a_box_without_addresses_says_how_mail_leaves(shell):
    assert shell.json("egress", "list") == []
    assert "as the machine chooses" in shell("egress", "list").out
    assert "as the machine chooses" in shell("egress", "check").out
    assert "equal shares" in shell("pool", "list").out


def test_an_address_is_made_checked_and_what_to_publish_is_said(shell):
    words = ["--address", "127.0.0.11", "--address6", "2001:DB8::5", "--helo", "Out1.Example.com"]
    said = shell("egress", "create", "out1", *words)
    assert "egress out1 is used within a second" in said.out
    assert "127.0.0.11 as out1.example.com: unknown" in said.out
    assert "IPv6 is not used until its DNS is right" in said.out
    assert "must name ip4:127.0.0.11 ip6:2001:db8::5" in said.err
    (found,) = shell.json("egress", "list")
    assert (found["name"], found["address"], found["address6"]) == (
        "out1",
        "127.0.0.11",
        "2001:db8::5",
    )
    assert (found["helo"], found["state"], found["uses_ipv6"]) == (
        "out1.example.com",
        "enabled",
        False,
    )
    assert found["dns"] == {"127.0.0.11": "unknown", "2001:db8::5": "unknown"}
    (checked,) = shell.json("egress", "check", "out1", expect=1)
    assert [one["state"] for one in checked["checks"]] == ["unknown", "unknown"]
    assert all(one["problems"] for one in checked["checks"])
    forced = shell.json("egress", "update", "out1", "--force-ipv6")
    assert forced["uses_ipv6"] is True
    alone = shell.json("egress", "update", "out1", "--address", "")
    assert alone["address"] == ""


def test_an_address_that_is_not_used_yet(shell):
    made = shell.json("egress", "create", "new", "--address", "127.0.0.9", "--disabled")
    assert (made["state"], made["why"]) == ("disabled", "new")
    assert made["helo"] == "box.test"


def test_an_address_is_drained_disabled_enabled_and_deleted(box):
    assert box.json("egress", "drain", "out1", "--reason", "listed")["state"] == "draining"
    assert "draining: listed" in box("egress", "list").out
    assert box.json("egress", "enable", "out1")["why"] == ""
    assert "is enabled" in box.error("egress", "delete", "out1", expect=65)
    assert box.json("egress", "disable", "out1", "--reason", "gone")["state"] == "disabled"
    assert "no address is enabled" not in box("egress", "drain", "out2", "--reason", "x").err
    assert "no address is enabled" in box("egress", "drain", "out3", "--reason", "x").err
    box("egress", "delete", "out1")
    box("egress", "delete", "out2", "--force")
    assert [one["name"] for one in box.json("egress", "list")] == ["out3"]
    assert "no egress is named" in box.error("egress", "check", "out1", expect=66)
    assert "exists already" in box.error(
        "egress", "create", "out3", "--address", "127.0.0.44", expect=65
    )


def test_a_pool_is_set_in_one_command(box):
    box("pool", "set", "shared", "--member", "out3", "--default")
    made = box.json(
        *("pool", "set", "main", "--member", "out1=3", "--member", "out2"),
        *("--fallback", "shared"),
    )
    assert made["members"] == {"out1": 3, "out2": 1}
    assert (made["fallback"], made["tenant"], made["default"]) == ("shared", None, False)
    own = box.json("pool", "set", "main", "--tenant", "acme")
    assert (own["tenant"], own["fallback"]) == ("acme", "shared")
    listed = box("pool", "list").out
    for words in ("shared (default)", "everybody", "acme", "out1=3, out2=1"):
        assert words in listed
    assert [one["pools"] for one in box.json("egress", "list")] == [["main"], ["main"], ["shared"]]
    assert box.json("pool", "add", "main", "out1=9")["members"] == {"out1": 9, "out2": 1}
    assert box.json("pool", "remove", "main", "out1")["members"] == {"out2": 1}
    assert box.json("pool", "set", "main", "--fallback", "", "--tenant", "")["tenant"] is None
    box("pool", "delete", "main")
    assert "the default" in box.error("pool", "delete", "shared", expect=65)
    box("pool", "delete", "shared", "--force")
    assert box.json("pool", "list") == []


def test_a_pool_that_cannot_be_is_refused_in_words(box):
    assert "no egress" in box.error("pool", "set", "a", "--member", "out9", expect=66)
    assert "--member" in box.error("pool", "set", "a", expect=64)
    assert "out1=3" in box.error("pool", "set", "a", "--member", "out1=x", expect=64)
    assert "no pool is named" in box.error("pool", "add", "a", "out1", expect=66)


def test_members_are_typed_with_or_without_a_weight():
    assert members_of(["out1", "out-2=30"]) == (
        Member(egress="out1"),
        Member(egress="out-2", weight=30),
    )


def test_tenants_choose_pools_that_they_may_use(box):
    box("pool", "set", "shared", "--member", "out1")
    box("pool", "set", "own", "--member", "out2", "--tenant", "acme")
    done = box.json("tenant", "pools", "acme", "--pool", "own", "--bulk-pool", "Shared")
    assert (done["pool"], done["bulk_pool"], done["transactional_pool"]) == ("own", "shared", "")
    assert "own, bulk shared" in box("tenant", "list").out
    assert "tenant acme" in box.error("pool", "delete", "own", expect=65)
    assert box.json("tenant", "pools", "acme", "--pool", "")["pool"] == ""
    assert "it may use own, shared" in box.error(
        "tenant", "pools", "acme", "--pool", "x", expect=66
    )
    assert "name a pool" in box.error("tenant", "pools", "acme", expect=64)
    made = box.json("tenant", "create", "other", "--bulk-pool", "shared")
    assert made["bulk_pool"] == "shared"
    assert "it may use shared" in box.error("tenant", "create", "third", "--pool", "own", expect=66)
    assert [one["name"] for one in box.json("tenant", "list")] == ["acme", "other"]


def test_logins_have_a_pool_and_can_be_changed(box):
    box("pool", "set", "shared", "--member", "out1")
    words = ["credential", "create", "--tenant", "acme", "--name"]
    assert "it may use shared" in box.error(*words, "web", "--pool", "gone", expect=66)
    box(*words, "web", "--pool", "Shared", "--tag", "a", "--no-dsn")
    (found,) = box.json("credential", "list")
    assert (found["policy"]["pool"], found["policy"]["dsn"]) == ("shared", False)
    assert "credential" in box.error("pool", "delete", "shared", expect=65)
    changed = box.json("credential", "update", "web", "--pool", "", "--recipients-per-hour", "9")
    policy = changed["policy"]
    assert (policy["pool"], policy["recipients_per_hour"]) == ("", 9)
    assert (policy["tags"], policy["dsn"]) == (["a"], False)
    assert "it may use shared" in box.error("credential", "update", "web", "--pool", "x", expect=66)
    box("pool", "delete", "shared")
