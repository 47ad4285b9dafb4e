"""Tenants, domains, logins, suppressions, kill switch and pauses, on a box that does not run."""

from __future__ import annotations

import getpass
import json
import subprocess

import pytest

from tests.support.cli import HOSTNAME

BY = f"cli:{getpass.getuser()}"


@pytest.fixture
def acme(shell):
    """A box with a tenant that has a verified domain."""
    shell("tenant", "create", "acme")
    shell("domain", "create", "shop.example", "--tenant", "acme", "--assume-verified")
    return shell


def test_a_tenant_is_created_limited_suspended_and_resumed(shell):
    made = shell.json("tenant", "create", "Acme", "--weight", "3", "--recipients-per-day", "500")
    assert (made["name"], made["weight"], made["recipients_per_day"]) == ("acme", 3, 500)
    assert made["created_at"].endswith("Z")
    assert made["suspended_at"] is None
    assert shell.json("tenant", "suspend", "acme", "--reason", "unpaid")["suspended_at"]
    assert "unpaid" in shell("tenant", "list").out
    assert shell.json("tenant", "resume", "acme")["suspended_at"] is None
    assert shell.json("tenant", "limits", "acme", "--weight", "5")["weight"] == 5
    assert [one["name"] for one in shell.json("tenant", "list")] == ["acme"]


def test_errors_have_words_and_exit_codes(shell):
    shell("tenant", "create", "acme")
    assert "exists already" in shell.error("tenant", "create", "acme", expect=65)
    assert "cannot name a tenant" in shell.error("tenant", "create", "a b", expect=64)
    assert "no tenant is named" in shell.error("tenant", "resume", "nobody", expect=66)
    assert "--reason" in shell.error("tenant", "suspend", "acme", expect=2)
    said = shell("tenant", "resume", "nobody", expect=66)
    assert said.out == ""
    assert said.err.startswith("no tenant is named")


def test_a_domain_shows_what_to_publish(shell):
    shell("tenant", "create", "acme")
    made = shell.json("domain", "create", "Shop.Example", "--tenant", "acme")
    assert (made["name"], made["tenant"], made["verified"]) == ("shop.example", "acme", False)
    types = [(one["type"], one["name"]) for one in made["records"]]
    assert ("TXT", "_pillarbox.shop.example") in types
    assert ("CNAME", "bounces.shop.example") in types
    assert shell.json("domain", "records", "shop.example") == made["records"]
    zone = shell("domain", "records", "shop.example", "--zone").out
    assert "bounces.shop.example. 3600 IN CNAME bounces.box.test." in zone
    assert "publish these records" in shell("domain", "create", "b.example", "--tenant", "acme").out


def test_the_domains_of_the_box_and_of_one_tenant(acme):
    assert [one["name"] for one in acme.json("domain", "list")] == [HOSTNAME, "shop.example"]
    mine = acme.json("domain", "list", "--tenant", "acme")
    assert [(one["name"], one["default"]) for one in mine] == [("shop.example", True)]
    assert any(one["type"] == "PTR" for one in acme.json("domain", "records", HOSTNAME))


def test_a_name_that_two_tenants_claim_must_be_told_apart(acme):
    acme("tenant", "create", "other")
    acme("domain", "create", "shop.example", "--tenant", "other")
    assert "--tenant" in acme.error("domain", "records", "shop.example", expect=65)
    assert acme.json("domain", "records", "shop.example", "--tenant", "other")


def test_a_check_without_answers_fails_in_words(acme):
    found = acme.json("domain", "check", "shop.example", expect=1)
    assert found["ok"] is False
    assert {one["state"] for one in found["checks"]} == {"unknown"}
    assert all(one["problem"] for one in found["checks"])
    assert "may send" in acme("domain", "check", "shop.example", expect=1).out


def test_the_boxs_own_check_looks_at_its_signatures_only(acme):
    found = acme.json("domain", "check", HOSTNAME, expect=1)
    assert {one["kind"] for one in found["checks"]} == {"dkim", "dmarc"}


def test_new_selectors_wait_until_they_are_seen_or_activated(acme):
    rotated = acme.json("domain", "rotate", "shop.example")
    assert sorted(key["state"] for key in rotated["keys"]) == ["active"] * 2 + ["pending"] * 2
    assert "wait for their records" in acme.error("domain", "rotate", "shop.example", expect=65)
    active = acme.json("domain", "activate", "shop.example")
    assert sorted(key["state"] for key in active["keys"]) == ["active"] * 2 + ["retiring"] * 2


def test_a_key_made_elsewhere_is_taken_over(acme, tmp_path):
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True)
    words = ["domain", "import-key", "shop.example"]
    done = acme.json(*words, str(key), "--selector", "theirs")
    assert {"selector": "theirs", "algorithm": "ed25519-sha256", "state": "pending"} in done["keys"]
    assert "not a private key" in acme.error(
        *words, str(acme.home.config_file), "--selector", "x", expect=64
    )


def test_a_domain_is_given_up_only_on_purpose(acme):
    assert "add --yes" in acme.error("domain", "remove", "shop.example", expect=64)
    assert "the box's own" in acme.error("domain", "remove", HOSTNAME, "--yes", expect=64)
    acme("domain", "remove", "shop.example", "--yes")
    assert acme.json("domain", "list", "--tenant", "acme") == []


def test_a_login_is_shown_once_with_a_line_to_try_it(acme):
    said = acme("credential", "create", "--tenant", "acme", "--name", "web")
    assert "swaks --server box.test:587 --tls" in said.out
    assert "--from you@shop.example" in said.out
    made = acme.json(
        *("credential", "create", "--tenant", "acme", "--name", "bulk", "--from", "any"),
        *("--class", "bulk", "--tag", "news", "--network", "10.1.2.3/8", "--no-dsn"),
        *("--compliance", "refuse", "--return-path", "message", "--recipients-per-hour", "100"),
        *("--hide-client", "--accept-8bit-headers", "--normalise-line-ends"),
    )
    assert made["password"].startswith("pbx_")
    listed = acme("credential", "list", "--json").out
    assert made["password"] not in listed
    assert "secret" not in listed
    found = next(one for one in json.loads(listed) if one["name"] == "bulk")
    assert (
        found["policy"]
        | {
            "from_policy": "any",
            "traffic_class": "bulk",
            "tags": ["news"],
            "networks": ["10.0.0.0/8"],
            "dsn": False,
            "compliance": "refuse",
            "return_path_mode": "message",
            "recipients_per_hour": 100,
            "hide_client": True,
            "accept_8bit_headers": True,
            "normalise_line_ends": True,
            "surge_hold": True,
        }
        == found["policy"]
    )


def test_a_login_is_rotated_and_revoked_by_name_user_name_or_id(acme):
    made = acme.json("credential", "create", "--tenant", "acme", "--name", "web")
    rotated = acme.json("credential", "rotate", made["username"], "--overlap", "0.5")
    assert (rotated["id"], rotated["name"]) == (made["id"], "web")
    assert rotated["password"] != made["password"]
    (found,) = acme.json("credential", "list")
    assert [bool(login["expires_at"]) for login in found["logins"]] == [False, True]
    assert acme.json("credential", "revoke", "web")["revoked_at"]
    assert acme.json("credential", "list") == []
    assert len(acme.json("credential", "list", "--all")) == 1
    assert "no credential is named" in acme.error("credential", "revoke", "web", expect=66)
    assert acme.json("credential", "revoke", str(made["id"]))["revoked_at"]


def test_a_login_name_of_two_tenants_must_be_told_apart(acme):
    acme("tenant", "create", "other")
    for tenant in ("acme", "other"):
        acme("credential", "create", "--tenant", tenant, "--name", "web")
    assert "--tenant" in acme.error("credential", "revoke", "web", expect=65)
    assert acme.json("credential", "revoke", "web", "--tenant", "other")["tenant"] == "other"


def test_suppressions_are_added_listed_and_removed_on_one_list(acme):
    acme("suppression", "add", "Joe@Example.com", "--tenant", "acme", "--days", "3")
    acme("suppression", "add", "spamtrap.example", "--global")
    found = {one["target"]: one for one in acme.json("suppression", "list")}
    assert found["joe@example.com"]["tenant"] == "acme"
    assert found["joe@example.com"]["expires_at"] > found["joe@example.com"]["created_at"]
    assert found["spamtrap.example"]["tenant"] is None
    for words, targets in (
        (["--tenant", "acme"], ["joe@example.com"]),
        (["--global"], ["spamtrap.example"]),
        (["--prefix", "spam"], ["spamtrap.example"]),
    ):
        assert [one["target"] for one in acme.json("suppression", "list", *words)] == targets
    assert "not suppressed" in acme.error(
        "suppression", "remove", "joe@example.com", "--global", expect=66
    )
    acme("suppression", "remove", "joe@example.com", "--tenant", "acme")
    assert acme.json("suppression", "list", "--tenant", "acme") == []


@pytest.mark.parametrize("verb", [["add", "a@b.example"], ["remove", "a@b.example"], ["export"]])
def test_a_change_of_a_list_must_say_whose(acme, verb):
    assert "--global" in acme.error("suppression", *verb, expect=64)
    both = ["--global", "--tenant", "acme"]
    assert "--global" in acme.error("suppression", *verb, *both, expect=64)


def test_an_import_takes_the_good_rows_and_names_the_bad(acme):
    rows = b"a@b.example\nno address\nc@d.example,complaint\ncaf\xe9@x y\n"
    result = acme.json("suppression", "import", "-", "--tenant", "acme", typed=rows, expect=1)
    assert (result["imported"], result["failed"]) == (2, 2)
    assert [error["line"] for error in result["errors"]] == [2, 4]
    said = acme("suppression", "import", "-", "--global", typed=rows, expect=1)
    assert "line 2: no address" in said.out
    assert "2 suppressions imported, 2 lines left out" in said.out


def test_an_export_is_what_an_import_takes(acme, tmp_path):
    file = tmp_path / "list.csv"
    rows = b"a@b.example,complaint,2099-01-31\nc.example,manual\n"
    acme("suppression", "import", "-", "--tenant", "acme", typed=rows)
    assert acme.json("suppression", "export", str(file), "--tenant", "acme")["exported"] == 2
    assert acme("suppression", "export", "--tenant", "acme").out == file.read_text()
    lines = acme("suppression", "export", "--tenant", "acme", "--json").out.splitlines()
    assert [json.loads(line)["target"] for line in lines] == ["a@b.example", "c.example"]
    assert acme.json("suppression", "import", str(file), "--global")["imported"] == 2
    assert acme.error("suppression", "import", str(tmp_path / "none"), "--global", expect=2)


def test_the_kill_switch_names_who_and_why(shell):
    assert shell.json("kill-switch", "status")["is_on"] is False
    on = shell.json("kill-switch", "on", "--reason", "leaked password")
    assert (on["is_on"], on["by"], on["reason"]) == (True, BY, "leaked password")
    assert f"ON since {on['at'][:10]}" in shell("kill-switch", "status").out
    assert shell.json("kill-switch", "off")["is_on"] is False
    assert "--reason" in shell.error("kill-switch", "on", expect=2)


def test_pauses_are_records_that_need_no_running_box(acme):
    words = ["--domain", "Gmail.com", "--tenant", "acme"]
    paused = acme.json("queue", "pause", *words, "--reason", "too fast")
    assert (paused["domain"], paused["by"], paused["reason"]) == ("gmail.com", BY, "too fast")
    assert "no pause" in acme.error("queue", "resume", "--domain", "gmail.com", expect=66)
    assert acme.json("queue", "resume", *words)["id"] == paused["id"]
    again = acme.json("queue", "pause", "--site", "mx.example", "--reason", "x")
    assert acme.json("queue", "resume", str(again["id"]))["site"] == "mx.example"
    assert "kill-switch" in acme.error("queue", "pause", "--reason", "all", expect=64)


def test_what_needs_the_running_box_says_that_it_does_not_run(acme):
    for words in (
        ["queue", "list"],
        ["queue", "list", "--recipients"],
        ["queue", "show", "05p3k8r2m0001"],
        ["queue", "retry", "--all", "--yes"],
        ["messages", "show", "05p3k8r2m0001"],
    ):
        assert "`pillarbox serve`" in acme.error(*words, expect=69)


def test_send_test_checks_its_words_before_it_sends(acme):
    words = ["send-test", "joe@example.com", "--from"]
    assert "verified sending domain" in acme.error(*words, "me@foreign.example", expect=66)
    assert "has no login" in acme.error(*words, "me@shop.example", expect=66)
    assert "no address" in acme.error(*words, "shop.example", expect=64)
    acme("credential", "create", "--tenant", "acme", "--name", "web")
    assert "`pillarbox serve`" in acme.error(*words, "me@sub.shop.example", expect=69)


def test_the_audit_log_tells_who_did_what_newest_first(acme):
    acme("tenant", "suspend", "acme", "--reason", "unpaid")
    newest, *_, oldest = acme.json("audit", "--by", BY)
    assert (newest["action"], newest["tenant"], newest["detail"]) == (
        *("tenant.suspend", "acme"),
        "unpaid",
    )
    assert (newest["at"][-1], newest["address"]) == ("Z", "")
    assert (oldest["by"], oldest["action"]) == (BY, "tenant.create")
    assert len(acme.json("audit", "--tenant", "acme", "--action", "domain.", "--limit", "1")) == 1
    assert acme.json("audit", "--address", "192.0.2.1") == []
    assert "unpaid" in acme("audit").out
