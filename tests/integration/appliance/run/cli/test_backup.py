"""`pillarbox backup` and `restore` from the command line, on a box that does not run."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from appliance.core import clock, ids
from appliance.core.home import Home
from appliance.core.ids import IdMaker
from appliance.history import LogWriter, OutboxRow, damaged_in, write_partitions
from appliance.history.read_outbox import read
from appliance.run.backup import databases
from appliance.statistics import Store
from mta.spool.backend import SqliteBackend
from mta.status import Status
from tests.support.cli import Shell
from tests.support.recipients import admitted, recipient, settlement
from tests.support.spools import Spool
from tests.support.way import backend_at


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_text("k" * 40)
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def backups(tmp_path):
    return tmp_path / "backups"


@pytest.fixture
def numbers(shell):
    """Waiting mail, some records, and files of one's own."""
    spool = Spool(backend_at(shell.home.spool_db(0)), now=clock.now_ms())
    maker = IdMaker(0)
    made = [maker.make(clock.now_ms()) for _ in range(5)]
    for one in made:
        people = [recipient(one, n) for n in range(2)]
        spool.write(admitted(one, *people, content=b"%d" % one * 1000, idempotency_key=str(one)))
    spool.store.close()
    shell("tenant", "create", "acme")
    (shell.home.path / "warmup").mkdir()
    (shell.home.path / "warmup" / "mine.toml").write_text("# mine")
    (shell.home.inbound("new") / "1-a.eml").write_bytes(b"a notice")
    return made


def new_shell(tmp_path):
    return Shell(Home(tmp_path / "new"))


def rows(home, sql):
    spool = Spool(SqliteBackend(home.spool_db(0)))
    try:
        return spool.rows(sql)
    finally:
        spool.store.close()


def test_a_box_comes_back_as_it_was(shell, numbers, backups, key, tmp_path):
    made = shell.json("backup", str(backups), "--key-file", key)
    assert (made["verified"], made["waiting"], made["wrong"]) == (True, 10, [])
    new = new_shell(tmp_path)
    restored = new.json("restore", made["path"], "--key-file", key)
    assert (restored["waiting"], restored["messages"], restored["losses"]) == (10, 5, [])
    for name in ("pillarbox.toml", "secrets/master.key", "warmup/mine.toml", "inbound/new/1-a.eml"):
        path = new.home.path / name
        assert path.read_bytes() == (shell.home.path / name).read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one["name"] for one in new.json("tenant", "list")] == ["acme"]
    everything = "SELECT * FROM recipient ORDER BY message_id, n"
    assert rows(new.home, everything) == rows(shell.home, everything)
    assert len(rows(new.home, "SELECT * FROM idempotency")) == 5
    assert new.json("spool", "check")["sound"]


def test_nothing_of_the_box_is_changed_and_nothing_is_left_lying_about(
    shell, numbers, backups, key
):
    before = {path: path.read_bytes() for path in shell.home.path.rglob("*.db")}
    shell("backup", str(backups), "--key-file", key)
    assert {path: path.read_bytes() for path in shell.home.path.rglob("*.db")} == before
    assert not (shell.home.path / "backup.tmp").exists()


def test_a_backup_shows_nothing_of_what_is_in_it(shell, numbers, backups, key):
    shell("backup", str(backups), "--key-file", key)
    master = (shell.home.keys_file).read_bytes().split()[-1]
    for path in backups.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert master not in content
            assert b"example.net" not in content
    assert stat.S_IMODE(next(backups.iterdir()).stat().st_mode) == 0o700


def test_events_go_on_far_behind_the_old_ones(shell, numbers, backups, key, tmp_path):
    made = shell.json("backup", str(backups), "--key-file", key)
    new = new_shell(tmp_path)
    new("restore", made["path"], "--key-file", key)
    spool = Spool(SqliteBackend(new.home.spool_db(0)))
    assert spool.store._next_seq > 1_000_000
    assert spool.store._epoch > 1
    assert spool.last_id == numbers[-1]
    spool.store.close()


def test_hold_keeps_everything_until_somebody_lets_it_go(shell, numbers, backups, key, tmp_path):
    made = shell.json("backup", str(backups), "--key-file", key)
    new = new_shell(tmp_path)
    assert new.json("restore", made["path"], "--key-file", key, "--hold")["held"] == 10
    assert {row[0] for row in rows(new.home, "SELECT status FROM recipient")} == {"held"}
    events = rows(new.home, "SELECT kind, count(*) FROM outbox GROUP BY kind ORDER BY kind")
    assert events == [("accepted", 5), ("held", 10)]
    assert new.json("spool", "check")["sound"]


def test_what_the_log_knows_as_ended_is_not_sent_again(shell, numbers, backups, key, tmp_path):
    """The outcome was shipped to the log after the spool had been copied."""
    delivered, unknown = numbers[0], IdMaker(0, numbers[-1]).make(clock.now_ms())
    spool = Spool(SqliteBackend(shell.home.spool_db(0)), now=clock.now_ms())
    who = recipient(delivered, 0)
    spool.write(admitted(unknown, recipient(unknown)), settle=(settlement(who, Status.DELIVERED),))
    told = [
        OutboxRow(e.seq, e.message_id, e.n, e.kind, e.at, e.data)
        for e in spool.store.events(0, 100)
    ]
    with spool.store.transaction():
        spool.store.acknowledge(told[-1].seq)
        connection = spool.store._connection
        connection.execute(
            "UPDATE recipient SET status = 'queued', attempts = 0 WHERE message_id = ? AND n = 0",
            (delivered,),
        )
        connection.execute("UPDATE message SET open = 2 WHERE id = ?", (delivered,))
        for table, name in (("message", "id"), ("recipient", "message_id")):
            connection.execute(f"DELETE FROM {table} WHERE {name} = ?", (unknown,))
        connection.execute("DELETE FROM content WHERE message_id = ?", (unknown,))
    spool.store.close()
    log = LogWriter(write_partitions(shell.home.log_dir), keep_days=90)
    log.open()
    events, rejected = read(0, told, log.today)
    assert rejected == []
    log.write(0, events)
    log.close()
    made = shell.json("backup", str(backups), "--key-file", key)
    new = new_shell(tmp_path)
    restored = new.json("restore", made["path"], "--key-file", key)
    assert (restored["ended"], restored["waiting"]) == (1, 9)
    assert [loss["id"] for loss in restored["losses"]] == [ids.to_text(unknown)]
    where = f"SELECT status FROM recipient WHERE message_id = {delivered} ORDER BY n"
    assert rows(new.home, where) == [("delivered",), ("queued",)]
    assert (new.home.corrupt_dir / f"{ids.to_text(unknown)}.json").exists()


def test_a_passphrase_does_as_well(shell, numbers, backups, tmp_path):
    words = tmp_path / "words"
    words.write_text("correct horse battery staple\n")
    made = shell.json("backup", "create", str(backups), "--passphrase-file", str(words))
    assert shell.json("backup", "list", str(backups))[0]["sealed_with"] == "passphrase"
    assert shell.json("backup", "verify", made["path"], "--passphrase-file", str(words))["sound"]


def test_another_key_opens_nothing(shell, numbers, backups, key, tmp_path):
    made = shell.json("backup", str(backups), "--key-file", key)
    other = tmp_path / "other"
    shell("backup", "new-key", str(other))
    for words in (("backup", "verify"), ("restore",)):
        said = shell.error(*words, made["path"], "--key-file", str(other), expect=77)
        assert "another one" in said
    Path(key).chmod(0o644)
    assert "chmod 600" in shell.error(
        "backup", "verify", made["path"], "--key-file", key, expect=77
    )


def test_statistics_go_along(shell, numbers, backups, key, tmp_path):
    counts = Store(shell.home.path / "statistics.db")
    counts.open()
    counts.close()
    made = shell.json("backup", str(backups), "--key-file", key)
    new = new_shell(tmp_path)
    new("restore", made["path"], "--key-file", key)
    restored = Store(new.home.path / "statistics.db")
    assert restored.live().number == 1
    restored.close()


def test_a_key_file_is_never_overwritten(shell, tmp_path):
    path = tmp_path / "key"
    shell("backup", "new-key", str(path))
    before = path.read_bytes()
    shell.error("backup", "new-key", str(path), expect=74)
    assert path.read_bytes() == before


def test_damage_is_found_and_the_rest_is_looked_at(shell, numbers, backups, key, tmp_path):
    made = shell.json("backup", str(backups), "--key-file", key)
    victim = Path(made["path"]) / "files" / "spool" / "spool-0.db.sealed"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    (Path(made["path"]) / "files" / "warmup" / "mine.toml.sealed").unlink()
    found = shell.json("backup", "verify", made["path"], "--key-file", key, expect=1)
    assert [words.partition(":")[0] for words in found["wrong"]] == [
        "spool/spool-0.db",
        "warmup/mine.toml",
    ]
    assert found["files"] > 3
    new = new_shell(tmp_path)
    new.error("restore", made["path"], "--key-file", key, expect=77)
    assert "there is no box" in new.error("tenant", "list", expect=78), "half a box does not start"


def test_a_box_is_restored_into_an_empty_directory_only(shell, numbers, backups, key):
    made = shell.json("backup", str(backups), "--key-file", key)
    assert "is not empty" in shell.error("restore", made["path"], "--key-file", key, expect=65)


def test_what_is_no_backup_is_refused_with_a_hint(shell, numbers, backups, key):
    made = shell.json("backup", str(backups), "--key-file", key)
    said = shell.error("backup", "verify", str(backups), "--key-file", key, expect=66)
    assert f"the newest in it is {made['path']}" in said
    assert "say what seals" in shell.error("backup", str(backups), expect=64)


def test_files_elsewhere_are_named(shell, numbers, backups, key, tmp_path):
    certificate = tmp_path / "elsewhere.pem"
    shutil.copy(shell.home.tls_dir / "certificate.pem", certificate)
    config = shell.home.config_file.read_text()
    config = config.replace('#certificate = ""', f'certificate = "{certificate}"')
    config = config.replace('#private_key = ""', f'private_key = "{certificate}"')
    shell.home.config_file.write_text(config)
    made = shell.json("backup", str(backups), "--key-file", key)
    assert made["left_out"] == [str(certificate), str(certificate)]


def configured(shell, **options):
    """Settings that `init` leaves open."""
    config = shell.home.config_file.read_text()
    for name, value in options.items():
        assert f'#{name} = ""' in config
        config = config.replace(f'#{name} = ""', f'{name} = "{value}"', 1)
    shell.home.config_file.write_text(config)


def with_shaping(shell, file):
    config = shell.home.config_file
    config.write_text(config.read_text().replace("[shaping]", f'[shaping]\nfile = "{file}"'))


def test_files_that_the_settings_name_come_back_wherever_in_the_home_they_lie(
    shell, backups, key, tmp_path
):
    home = shell.home.path
    for name in ("certs/deep/own.pem", "secrets/tls/own.key", "mine/shaping.toml"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(f"content of {name}")
    configured(shell, certificate="certs/deep/own.pem", private_key=home / "secrets/tls/own.key")
    with_shaping(shell, "mine/shaping.toml")
    made = shell.json("backup", str(backups), "--key-file", key)
    assert made["left_out"] == []
    new = new_shell(tmp_path)
    new("restore", made["path"], "--key-file", key)
    for name in ("certs/deep/own.pem", "secrets/tls/own.key", "mine/shaping.toml"):
        assert (new.home.path / name).read_text() == f"content of {name}"


def test_a_named_file_that_is_not_copied_is_told_wherever_it_lies(shell, backups, key):
    home = shell.home.path
    (home / "own.pem").write_text("a certificate")
    configured(shell, certificate="certs/../own.pem", private_key="gone.key", key_file="backup.key")
    (home / "backup.key").write_text("what opens it")
    made = shell.json("backup", str(backups), "--key-file", key)
    assert made["left_out"] == [
        str(home / "certs/../own.pem"),
        str(home / "gone.key"),
        str(home / "backup.key"),
    ]


def logged(home, numbers):
    """The day's log has their acceptance; returns its file."""
    spool = Spool(SqliteBackend(home.spool_db(0)))
    told = [
        OutboxRow(e.seq, e.message_id, e.n, e.kind, e.at, e.data)
        for e in spool.store.events(0, 100)
    ]
    spool.store.close()
    log = LogWriter(write_partitions(home.log_dir), keep_days=90)
    log.open()
    log.write(0, read(0, told, log.today)[0])
    log.close()
    return home.log_dir / f"{clock.aware(ids.time_of(numbers[0])):%Y-%m-%d}.db"


def overwritten(path):
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))


def cut(path):
    path.write_bytes(b"")


def no_database(path):
    path.write_bytes(b"not a database at all" * 1000)


@pytest.mark.parametrize("damaged", [overwritten, cut, no_database])
def test_a_damaged_day_of_the_log_is_left_out_and_told_and_the_rest_is_backed_up(
    shell, numbers, backups, key, tmp_path, damaged
):
    day = logged(shell.home, numbers)
    old, aside = day.with_name("2026-01-01.db"), day.with_name("2026-01-02.db.1.damaged")
    for path in (old, aside):
        shutil.copy(day, path)
    damaged(old)
    made = shell.json("backup", str(backups), "--key-file", key)
    assert (made["verified"], made["left_out"]) == (True, [f"{old} (damaged)", str(aside)])
    new = new_shell(tmp_path)
    assert new.json("restore", made["path"], "--key-file", key)["waiting"] == 10
    standing = {one.name for one in new.home.log_dir.iterdir()}
    assert standing - {f"{day.name}-wal", f"{day.name}-shm"} == {day.name}


def test_damaged_statistics_are_left_out_because_they_can_be_counted_again(shell, backups, key):
    counts = shell.home.path / "statistics.db"
    no_database(counts)
    made = shell.json("backup", str(backups), "--key-file", key)
    assert (made["verified"], made["left_out"]) == (True, [f"{counts} (damaged)"])


def test_a_damaged_control_db_is_no_backup(shell, backups, key):
    cut(shell.home.control_db)
    assert "is empty" in shell.error("backup", str(backups), "--key-file", key, expect=74)
    assert list(backups.iterdir()) == []


def test_a_day_that_is_damaged_in_the_backup_does_not_keep_the_box_from_coming_back(
    shell, numbers, backups, key, tmp_path, monkeypatch
):
    logged(shell.home, numbers)
    day = shell.home.log_dir / "2026-01-01.db"
    no_database(day)
    Store(shell.home.path / "statistics.db").open()
    monkeypatch.setattr(
        databases, "_vacuum_into", shutil.copy
    )  # as an older program may have made it
    made = shell.json("backup", str(backups), "--key-file", key, "--no-verify")
    assert made["left_out"] == []
    new = new_shell(tmp_path)
    assert new.json("restore", made["path"], "--key-file", key)["waiting"] == 10
    assert damaged_in(new.home.log_dir) == ["2026-01-01.db.1.damaged"]


def test_with_postgres_it_says_how(shell, backups, key):
    config = shell.home.config_file.read_text()
    shell.home.config_file.write_text(
        config.replace('#url = ""', 'url = "postgresql://x:secret@h/d"')
    )
    said = shell.error("backup", str(backups), "--key-file", key, expect=64)
    assert "pg_dump --format=custom" in said
    assert "secrets/" in said
    assert "secret@" not in said
    assert not backups.exists()


def test_a_damaged_backup_hides_no_other_from_the_list(shell, numbers, backups, key):
    made = shell.json("backup", str(backups), "--key-file", key)
    damaged = backups / "pillarbox-20200102T030405Z"
    shutil.copytree(made["path"], damaged)
    (damaged / "backup.json").write_bytes(b"\xff{")
    sound, unsound = shell.json("backup", "list", str(backups))
    assert (sound["path"], sound["sealed_with"]) == (made["path"], "key-file")
    assert unsound["path"] == str(damaged)
    assert "damaged" in unsound["error"]
    assert "cannot be read" in shell("backup", "list", str(backups)).out
