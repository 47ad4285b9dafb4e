"""The relay job, small: it runs by itself, and its report has what is asked of it."""

from __future__ import annotations

import json
import shutil
import sys

import dns.message
import dns.rcode
import pytest

from tests.support.bench import BENCH, run_script

sys.path.append(str(BENCH))

from relay import resolver, speed, tables
from relay.clients import Kind, Load

needs_postfix = pytest.mark.skipif(
    shutil.which("smtp-sink", path="/usr/sbin:/usr/bin") is None,
    reason="the clients and receivers are Debian's postfix package",
)


@needs_postfix
def test_ours_alone_is_measured_in_every_scenario(tmp_path):
    files = {name: tmp_path / f"report.{name}" for name in ("json", "markdown", "plot")}
    small = ["--sizes", "4096", "--sessions", "2", "--modes", "one", "--reps", "1"]
    less = ["--scale", "0.004", "--latency", "3", "--no-flushes"]
    written = [word for name, path in files.items() for word in (f"--{name}", path)]
    run_script("relay_job", "--only", "pillarbox", "--work", tmp_path, *small, *less, *written)
    told = json.loads(files["json"].read_text())
    cells = {cell["mode"]: cell for cell in told["cells"]}
    assert set(cells) == {"one", "cold", "warm", "tls", "resumed"}
    for cell in cells.values():
        assert cell["errors"] == []
        assert min(cell["accepted_per_s"], cell["delivered_per_s"], cell["pss_mb"]) > 0
        assert "mta-0" in cell["parts_ms"]
    assert min(told["speed_us"].values()) > 0
    assert cells["cold"]["messages"] == cells["warm"]["messages"] == 40
    assert cells["tls"]["resumed_percent"] == 0.0
    assert told["latency"][0]["count"] == 3
    assert len(told["latency"][0]["signatures"]) == 2
    assert "40 domains, cold DNS cache" in files["markdown"].read_text()
    assert "cold DNS" in files["plot"].read_text()
    assert not list(tmp_path.glob("relay-job-*"))


def test_a_python_that_is_much_slower_than_the_systems_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "_SYSTEM", tmp_path / "none")
    assert speed.slow_python() == ""
    monkeypatch.setattr(speed, "_SYSTEM", tmp_path)
    seconds = {sys.executable: 2.0, str(tmp_path): 1.0}
    monkeypatch.setattr(speed, "_loop", seconds.get)
    assert "2.0 times as long" in speed.slow_python()
    seconds[sys.executable] = 1.2
    assert speed.slow_python() == ""
    seconds[str(tmp_path)] = 0.0  # it does not run
    assert speed.slow_python() == ""


@pytest.mark.parametrize(
    ("name", "kind", "code", "values"),
    [
        ("d17.a.test", "MX", dns.rcode.NOERROR, ["10 mx.d17.a.test."]),
        ("MX.d17.a.test", "A", dns.rcode.NOERROR, ["127.0.0.1"]),
        ("mx.d17.a.test", "AAAA", dns.rcode.NOERROR, []),
        ("d17.a.test", "TXT", dns.rcode.NOERROR, []),
        ("_mta-sts.d17.a.test", "TXT", dns.rcode.NXDOMAIN, []),
    ],
)
def test_the_ten_thousand_domains_answer_as_dns_should(name, kind, code, values):
    query = dns.message.make_query(name, kind, use_edns=0)
    wire = resolver.reply_to(query.to_wire())
    assert wire is not None
    reply = dns.message.from_wire(wire)
    assert query.is_response(reply)
    assert reply.rcode() == code
    assert [str(record) for rrset in reply.answer for record in rrset] == values
    assert values or reply.authority[0].to_rdataset().ttl == 3600


def test_other_names_are_left_to_the_zone():
    assert resolver.reply_to(dns.message.make_query("dst.example", "MX").to_wire()) is None
    assert resolver.reply_to(b"short") is None


def test_loads_are_told_apart_in_words():
    load = Load(size=4096, sessions=20, kept=False, messages=10_000)
    words = {
        tables.in_words(
            Load(size=4096, sessions=20, kept=False, messages=10_000, kind=kind, names="r0")
        )
        for kind in Kind
    }
    assert len(words) == len(Kind)
    assert tables.in_words(load) == "4 KB, 20 sessions, a connection each"
    assert "4 KB, 20 sessions, 10,000 domains, warm DNS cache" in words
