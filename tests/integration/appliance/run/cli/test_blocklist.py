"""`pillarbox blocklist` and `pillarbox notices`, with blocklists of a laboratory."""

from __future__ import annotations

import asyncio
import threading

import pytest

from appliance.blocklists import shipped_lists
from appliance.lab.dns_server import Fault, LabDns
from tests.support.blocklists import blocklist, enlist, zone_of

ZEN, MILD = blocklist("zen", drain=True, ipv6=True), blocklist("mild")
FILE = """
[[list]]
name = "Zen"
zone = "zen.test"
families = ["ipv4", "ipv6"]
drain = true
lookup = "https://zen.test/{address}"
runbook = ["stop it", "ask for removal"]
codes = { "127.0.0.2" = "it sends spam" }

[[list]]
name = "Mild"
zone = "mild.test"
families = ["ipv4"]
drain = false
lookup = "https://mild.test/"
runbook = ["wait"]
codes = { "127.0.0.*" = "it was seen" }
"""
OUT1, OUT2 = "9.9.9.9", "9.9.9.10"


@pytest.fixture
def dns():
    """A name server beside the commands, which have event loops of their own."""
    loop, server = asyncio.new_event_loop(), LabDns(zone_of(ZEN, MILD))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def do(work):
        asyncio.run_coroutine_threadsafe(work, loop).result(5)

    do(server.start())
    yield server
    do(server.stop())
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.fixture
def box(shell, dns):
    """Two addresses, and two lists in a file of the box's own."""
    config = shell.home.config_file
    text = config.read_text().replace("127.0.0.1:9", dns.address)
    text = text.replace("timeout = 0.2", "timeout = 3")  # this one answers, be it late
    config.write_text(text.replace("#drain = false", "drain = true"))
    (shell.home.path / "blocklists.toml").write_text(FILE)
    for name, address in (("out1", OUT1), ("out2", OUT2)):
        shell("egress", "create", name, "--address", address)
    return shell


def states(rows):
    return {(row["egress"], row["list"]): row["state"] for row in rows}


def test_a_box_without_addresses_says_so(shell):
    assert "no egress has a public address" in shell("blocklist", "list").out
    assert "no egress has a public address" in shell("blocklist", "check").out
    assert shell.json("blocklist", "list") == []


def test_what_was_never_looked_up_says_so(box):
    rows = box.json("blocklist", "list")
    assert set(states(rows).values()) == {"not looked up yet"}
    assert len(rows) == 4
    assert rows[0]["listed_at"] is None


def test_a_check_finds_who_is_listed_and_acts_on_it(box, dns):
    enlist(dns, OUT1, "zen.test", text="see zen.test")
    said = box("blocklist", "check", expect=1)
    assert "4/4" in said.err
    assert "9.9.9.9 on Zen: listed" in said.err
    assert "9.9.9.9 on Zen: it sends spam" in said.out
    assert "look it up: https://zen.test/9.9.9.9" in said.out
    assert "  2. ask for removal" in said.out
    (out1, out2) = box.json("egress", "list")
    assert (out1["state"], out1["why"]) == ("draining", "listed on zen.test")
    assert out2["state"] == "enabled"
    (row,) = (row for row in box.json("blocklist", "list") if row["state"] == "listed")
    assert (row["egress"], row["list"], row["drained"]) == ("out1", "Zen", True)
    assert (row["meaning"], row["text"]) == ("it sends spam", "see zen.test")
    assert row["listed_at"].endswith("Z")
    listed = box("blocklist", "list").out
    assert "listed, drained" in listed
    assert "1. stop it" in listed
    notices = box("notices").out
    assert "critical  egress out1: 9.9.9.9 on zen.test  (since" in notices
    assert "next: see https://zen.test/9.9.9.9" in notices


def test_a_check_finds_who_is_delisted(box, dns):
    name = enlist(dns, OUT1, "zen.test")
    box("blocklist", "check", "out1", expect=1)
    del dns.zone[name]
    rows = box.json("blocklist", "check", "out1")
    assert states(rows) == {("out1", "Zen"): "not listed", ("out1", "Mild"): "not listed"}
    assert {one["state"] for one in box.json("egress", "list")} == {"enabled"}
    assert box("notices").out == "nothing needs your attention\n"
    (over,) = box.json("notices", "--all")
    assert over["resolved_at"]
    assert "over since" in box("notices", "--all").out


def test_a_check_of_one_address_looks_at_that_one(box, dns):
    enlist(dns, OUT1, "zen.test")
    assert set(states(box.json("blocklist", "check", OUT2))) == {("out2", "Zen"), ("out2", "Mild")}


def test_an_address_of_nobody_is_looked_up_and_leaves_no_trace(box, dns):
    enlist(dns, "2620:fe::1", "zen.test")
    (row,) = box.json("blocklist", "check", "2620:fe::1", expect=1)
    assert (row["egress"], row["list"], row["state"]) == (None, "Zen", "listed")
    assert box.json("notices") == []


def test_what_dns_cannot_say_is_unknown_and_no_failure(box, dns):
    dns.faults[enlist(dns, OUT1, "zen.test")] = Fault.SERVFAIL
    row, *_ = box.json("blocklist", "check", "out1")
    assert (row["list"], row["state"]) == ("Zen", "unknown")
    assert "SERVFAIL" in row["why"]
    assert "unknown" in box("blocklist", "check", "out1").out


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("out9", "neither an egress"),
        ("10.0.0.1", "no public address"),
        ("fe80::1", "no public address"),
        ("inside", "egress inside has no public address"),
    ],
)
def test_what_cannot_be_looked_up_is_told(box, what, words):
    box("egress", "create", "inside", "--address", "10.0.0.7")
    assert words in box.error("blocklist", "check", what, expect=64)


def test_switched_off_a_check_only_looks(box, dns):
    config = box.home.config_file
    text = config.read_text()
    head, _, tail = text.partition("[blocklists]")
    config.write_text(f"{head}[blocklists]\nenabled = false{tail}")
    enlist(dns, OUT1, "zen.test")
    box("blocklist", "check", "out1", expect=1)
    assert {one["state"] for one in box.json("egress", "list")} == {"enabled"}
    assert "enabled is false" in box("blocklist", "list").err


def test_who_saw_a_notice_is_noted(box, dns):
    enlist(dns, OUT1, "mild.test", "127.0.0.77")
    box("blocklist", "check", "out1", expect=1)
    (notice,) = box.json("notices")
    assert (notice["severity"], notice["seen_at"]) == ("warning", None)
    assert ", new" in box("notices").out
    (seen,) = box.json("notices", "--seen", str(notice["id"]))
    assert seen["seen_at"]
    assert ", new" not in box("notices").out
    assert "no notice has the id 99" in box.error("notices", "--seen", "99", expect=66)


def test_the_file_of_lists_is_checked(box, tmp_path):
    said = box("blocklist", "check-config").out
    assert said == f"{box.home.path / 'blocklists.toml'} is sound: 2 lists\n"
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(FILE.replace("127.0.0.2", "127.0.0.1"))
    found = box.json("blocklist", "check-config", str(wrong), expect=78)
    assert not found["ok"]
    assert found["errors"][0].startswith(f"{wrong}:9: ")


def test_the_file_in_force_is_that_of_the_settings_else_of_the_home_else_the_shipped_one(shell):
    def in_force():
        return shell.json("blocklist", "check-config")["lists"]

    assert in_force() == [entry.zone for entry in shipped_lists()]
    (shell.home.path / "blocklists.toml").write_text(FILE)
    assert in_force() == ["zen.test", "mild.test"]
    (shell.home.path / "mine.toml").write_text(FILE.partition('\n[[list]]\nname = "Mild"')[0])
    config = shell.home.config_file
    head, _, tail = config.read_text().partition("[blocklists]")
    config.write_text(f'{head}[blocklists]\nfile = "mine.toml"{tail}')
    assert in_force() == ["zen.test"]
