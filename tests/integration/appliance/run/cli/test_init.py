from __future__ import annotations

import json
import stat

from appliance.core.home import Home
from appliance.run.one_box import stopped
from tests.support.cli import HOSTNAME, Shell, run


def _files(path):
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


def test_init_makes_a_box_that_others_cannot_read_and_says_what_to_publish(tmp_path):
    home = Home(tmp_path / "new" / "home")
    shell = Shell(home)
    made = shell.json("init", "--hostname", "Mail.Example.com")
    assert made["hostname"] == "mail.example.com"
    assert made["new"] == ["configuration", "master key", "control database", "certificate"]
    kinds = {(one["type"], one["name"]) for one in made["records"]}
    assert ("A", "mail.example.com") in kinds
    assert ("MX", "bounces.mail.example.com") in kinds
    assert any(one["value"].startswith("v=DKIM1; k=rsa") for one in made["records"])
    for path in (home.config_file, home.keys_file, home.control_db, *home.tls_dir.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert shell.json("config", "show")["box"]["hostname"] == "mail.example.com"


def test_a_second_init_changes_nothing_and_says_so(shell):
    before = _files(shell.home.path)
    said = shell("init")
    assert "nothing was changed" in said.out
    assert shell.json("init", "--hostname", HOSTNAME)["new"] == []
    after = _files(shell.home.path)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {name for name in changed if not name.startswith("control.db-")} == set()


def test_init_makes_what_a_crash_left_out(shell):
    (shell.home.tls_dir / "certificate.pem").unlink()
    assert shell.json("init")["new"] == ["certificate"]


def test_init_never_renames_a_box(shell):
    assert f"named {HOSTNAME} already" in shell.error("init", "--hostname", "o.example", expect=65)


def test_init_refuses_a_name_that_nobody_could_look_up(tmp_path):
    shell = Shell(Home(tmp_path))
    assert "no full name" in shell.error("init", "--hostname", "mail", expect=64)
    assert "not a domain name" in shell.error("init", "--hostname", "a b.example", expect=64)


def test_a_database_whose_key_is_gone_gets_no_new_one(shell):
    shell.home.keys_file.unlink()
    assert "restore the key" in shell.error("init", expect=77)
    assert not shell.home.keys_file.exists()


def test_without_a_box_every_command_says_how_to_make_one(tmp_path):
    shell = Shell(Home(tmp_path / "nothing"))
    for words in (["tenant", "list"], ["queue", "list"], ["serve"], ["migrate"], ["events"]):
        assert "`pillarbox init`" in shell.error(*words, expect=78)
    assert not shell.home.path.exists()


def test_the_home_may_come_from_the_environment(shell, monkeypatch):
    monkeypatch.setenv("PILLARBOX_HOME", str(shell.home.path))
    assert json.loads(run("tenant", "list", "--json").out) == []


def test_a_configuration_of_its_own_place_is_read_instead(shell, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text('[box]\nhostname = "other.example"\n')
    assert (
        shell.json("config", "show", "--config", str(other))["box"]["hostname"] == "other.example"
    )


def test_config_check_tells_every_mistake_with_its_line(shell, tmp_path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[box]\nhostnam = "x"\n[queue]\njitter = 3\n')
    said = shell("config", "check", str(wrong), expect=78)
    assert f"{wrong}:2: box.hostnam" in said.out
    assert f"{wrong}:4: queue.jitter" in said.out
    found = shell.json("config", "check", str(wrong), expect=78)
    assert (found["ok"], len(found["errors"])) == (False, 2)
    assert shell.json("config", "check")["ok"] is True


def test_config_check_hints_at_what_does_nothing_and_what_would_help(shell, tmp_path):
    settings = tmp_path / "far.toml"
    settings.write_text('[dns]\nnameservers = ["192.0.2.53"]\n')
    found = shell.json("config", "check", str(settings))
    assert (found["ok"], found["errors"]) == (True, [])
    (hint,) = found["hints"]
    assert "(192.0.2.53) is believed about DNSSEC" in hint
    assert "dns.trusted" in hint
    said = shell("config", "check", str(settings)).out
    assert f"{settings} is sound\nhint: delivery.dane does nothing" in said
    for cure in ('trusted = ["192.0.2.53"]\n', "[delivery]\ndane = false\n"):
        settings.write_text(f'[dns]\nnameservers = ["192.0.2.53"]\n{cure}')
        assert shell.json("config", "check", str(settings))["hints"] == []
    settings.write_text('[dns]\nnameservers = ["192.0.2.53"]\ntrusted = ["192.0.2.35"]\n')
    (error,) = shell.json("config", "check", str(settings), expect=78)["errors"]
    assert error.startswith(f"{settings}:3: dns.trusted[0]: 192.0.2.35 is never asked")


def test_a_command_with_a_broken_configuration_stops_before_it_does_anything(shell):
    with shell.home.config_file.open("a") as file:
        file.write("\n[nonsense]\n")
    assert "nonsense" in shell.error("tenant", "create", "acme", expect=78)


def test_config_show_hides_secrets(shell, monkeypatch):
    monkeypatch.setenv("PILLARBOX_DELIVERY__SMARTHOST__PASSWORD", "hush-hush")
    monkeypatch.setenv("PILLARBOX_DELIVERY__SMARTHOST__USERNAME", "me")
    for said in (shell("config", "show"), shell("config", "show", "--json")):
        assert "hush-hush" not in said.out
        assert "me" in said.out


def test_migrate_tells_the_revisions_of_every_store(shell):
    found = shell.json("migrate")
    assert {one["store"] for one in found} == {"control.db"}
    assert all(one["before"] == one["after"] for one in found)


def test_a_store_from_before_is_refused_until_it_was_migrated(shell):
    shell.home.control_db.unlink()
    assert "`pillarbox migrate`" in shell.error("tenant", "list", expect=74)
    (found,) = shell.json("migrate")
    assert found["before"] is None
    assert found["after"] >= "0001"
    assert shell.json("tenant", "list") == []


def test_nothing_is_migrated_beside_a_box_that_runs_whether_it_answers_or_not(shell):
    shell.home.control_db.unlink()
    with stopped(shell.home):  # holds what a box that runs holds
        assert "stop it first" in shell.error("migrate", expect=65)
    assert shell.json("migrate")[0]["before"] is None


def test_the_laboratory_never_takes_the_home_of_a_real_box(tmp_path):
    shell = Shell(Home(tmp_path))
    shell.home.config_file.write_text('[box]\nhostname = "mail.example.com"\n')
    before = shell.home.config_file.read_bytes()
    assert "laboratory would overwrite" in shell.error("lab", expect=65)
    assert shell.home.config_file.read_bytes() == before
    assert list(shell.home.path.iterdir()) == [shell.home.config_file]
