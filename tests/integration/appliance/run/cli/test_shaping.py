"""pillarbox shaping: check, explain and lift; and config check where the shaping file is at fault."""

from __future__ import annotations

import asyncio

from appliance.core.database import open_engine
from appliance.shaping import ThrottleStore
from mta.shaping.book import SHIPPED
from mta.shaping.model import Rate
from mta.shaping.throttle import Fault, Subject, Throttle

WRONG = """\
[default]
connections = 10
messages_per_connection = 100

[[rule]]
id = "deaf"
text = ["no such words"]
then = [{ do = "suspend", for = "2 h" }]
samples = ["421 something else"]
"""


def test_the_shipped_file_is_sound_and_it_says_what_was_looked_at(shell):
    said = shell("shaping", "check").out
    assert f"{SHIPPED} is sound: 12 providers, " in said
    found = shell.json("shaping", "check")
    assert (found["file"], found["ok"], found["errors"]) == (str(SHIPPED), True, [])
    assert "google" in found["providers"]
    assert found["samples"] > found["rules"] > 30


def test_a_file_is_checked_before_it_is_put_in_its_place(shell, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(WRONG)
    said = shell("shaping", "check", str(mine), expect=78)
    assert said.out == (f"{mine}:5: rule 'deaf': its sample '421 something else' matches no rule\n")
    mine.write_text(WRONG.replace("connections = 10", "connections = 0").replace("2 h", "long"))
    found = shell.json("shaping", "check", str(mine), expect=78)
    assert found["ok"] is False
    assert [error.split(": ")[0] for error in found["errors"]] == [f"{mine}:2"]
    assert shell.json("shaping", "check")["ok"] is True


def test_the_file_in_force_is_the_homes_own_or_the_one_that_the_settings_name(shell, tmp_path):
    own = shell.home.path / "shaping.toml"
    own.write_text(WRONG)
    assert shell.json("shaping", "check", expect=78)["file"] == str(own)
    other = tmp_path / "other.toml"
    other.write_text(WRONG.replace("no such words", "something else"))
    config = tmp_path / "config.toml"
    config.write_text(f'[shaping]\nfile = "{other}"\n')
    found = shell.json("shaping", "check", "--config", str(config))
    assert (found["file"], found["rules"], found["samples"]) == (str(other), 1, 1)


def test_config_check_looks_into_the_shaping_file_too(shell):
    own = shell.home.path / "shaping.toml"
    own.write_text(WRONG)
    said = shell("config", "check", expect=78).out
    assert said.startswith(f"{own}:5: rule 'deaf': ")
    own.unlink()
    shell("config", "check")


def test_without_a_box_the_shipped_file_can_be_checked(tmp_path):
    from tests.support.cli import run

    said = run("--home", str(tmp_path / "none"), "shaping", "check")
    assert said.code == 0, said
    assert "is sound" in said.out


# -- explain and lift ----------------------------------------------------------

REPLY = "421 4.7.28 an unusual rate"
STANDING = Throttle(
    subject=Subject("out1", "google", 0, ""),
    rate=Rate(10, 60.0),
    fault=Fault("google-unusual-rate", REPLY, "mx.google.com", 1),
    quiet=60_000,
    changed_at=1,
)


def told(tenant_id=0, **changes):
    """What an owner says of a throttle."""
    known = {
        "tenant_id": tenant_id,
        "domain": "",
        "in_force": True,
        "state": "slowed to 10/min",
        "why": f'"{REPLY}" (rule google-unusual-rate)',
        "next_at": 2_000_000_000_000,
        "normal_at": 2_000_000_600_000,
        "history": [{"at": 1_000_000_000_000, "words": f"slowed to 10/min: {REPLY}"}],
    }
    return known | changes


def explained(*throttles, **changes):
    """What an owner says of a domain."""
    egress = {
        "name": "out1",
        "address": "203.0.113.7",
        "state": "enabled",
        "why": "",
        "connections": 2,
        "unreachable": "",
        "warmup": None,
        "rate": "10/min",
        "throttles": list(throttles),
    }
    limits = {"connections": 5, "zone_connections": 20, "messages_per_connection": 50}
    limits |= {"connection_rate": "100/min", "message_rate": "100/s", "tls": "required"}
    known = {
        "domain": "gmail.com",
        "route": "",
        "site": "aspmx.l.google.com",
        "hosts": ["aspmx.l.google.com"],
        "tls_policy": "",
        "zone": "google",
        "provider": "google",
        "title": "Google",
        "limits": limits,
        "egresses": [egress],
    }
    return known | changes


def test_explain_tells_the_story_and_how_to_end_it(shell, owner):
    tenant = shell.json("tenant", "create", "acme")["id"]
    owner.answers["shaping_explain"] = explained(told(), told(tenant))
    said = shell("shaping", "explain", "Jane@GMAIL.com").out
    assert owner.calls("shaping_explain") == [{"domain": "gmail.com"}]
    assert "gmail.com is at aspmx.l.google.com: Google" in said
    assert f'out1 is slowed to 10/min: "{REPLY}" (rule google-unusual-rate)' in said
    assert "  2001-09-09 01:46:40Z (" in said
    assert "  at once: pillarbox shaping lift out1 google --reason WHY" in said
    assert "out1, tenant acme is slowed" in said
    assert "  at once: pillarbox shaping lift out1 google --tenant acme --reason WHY" in said
    found = shell.json("shaping", "explain", "gmail.com")["egresses"][0]["throttles"][0]
    assert found["next_at"] == "2033-05-18T03:33:20.000Z"
    assert found["history"][0]["at"] == "2001-09-09T01:46:40.000Z"


def test_what_is_over_is_told_without_a_way_to_end_it(shell, owner):
    over = told(in_force=False, state="as configured", next_at=0, normal_at=0)
    owner.answers["shaping_explain"] = explained(over)
    said = shell("shaping", "explain", "gmail.com").out
    assert "out1 is as configured" in said
    assert "shaping lift" not in said


def test_a_domain_without_a_way_there_is_said_to_have_none(shell, owner):
    answer = {"domain": "gone.example", "route": "550 5.1.2 no such domain", "egresses": []}
    owner.answers["shaping_explain"] = answer
    said = shell("shaping", "explain", "gone.example").out
    assert said == "gone.example cannot be reached: 550 5.1.2 no such domain\n"


def test_a_throttle_is_lifted_by_hand(shell):
    async def save():
        engine = open_engine(shell.home.control_db)
        await ThrottleStore(engine).save([STANDING])
        await engine.dispose()

    asyncio.run(save())
    said = shell.error("shaping", "lift", "out1", "yahoo", "--reason", "x", expect=66)
    assert said == "nothing slows egress out1 at yahoo. In force: egress out1 at google"
    said = shell("shaping", "lift", "out1", "google", "--reason", "they mended it").out
    assert said == "lifted: egress out1 at google goes as configured again\n"
    assert "nothing slows" in shell.error(
        "shaping", "lift", "out1", "google", "--reason", "x", expect=66
    )
