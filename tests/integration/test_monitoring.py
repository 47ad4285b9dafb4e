"""The example dashboard and alert rules ask only for what a box tells, and promtool finds nothing wrong with them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from appliance.core.metrics import Metrics, render, watch_process
from tests.support.third_party import require_command

CONFIG = Path(__file__).parents[2] / "config"
RULES = CONFIG / "prometheus"
OF_PROMETHEUS = {"up"}
OF_THE_WEB_PROCESS = {"pillarbox_up"}  # appliance/run/web.py adds it for each process


@pytest.fixture(scope="module")
def told() -> dict[str, set[str]]:
    """Every sample that a process of the box can tell, with the labels it declares."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    watch_process(registry)
    declared = {"pillarbox_up": {"process"}}
    for family in vars(metrics).values():
        metric = getattr(family, "_metric", None)
        for end in ("", "_total", "_bucket", "_sum", "_count") if metric is not None else ():
            declared[f"{metric._name}{end}"] = {*metric._labelnames, "process", "le"}
    for found in text_string_to_metric_families(render(registry).decode()):
        declared.setdefault(found.name, {"process"})
        for sample in found.samples:
            declared.setdefault(sample.name, {"process"})
    return declared


@pytest.fixture(scope="module")
def dashboard():
    return json.loads((CONFIG / "grafana" / "pillarbox.json").read_text())


@pytest.fixture(scope="module")
def rules():
    groups = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard):
    return [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]


def names_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:pillarbox|process)_[a-z_]+\b(?=[{\[\s)]|$)", query))


def test_every_metric_of_the_dashboard_and_the_rules_is_one_that_the_box_tells(
    told, dashboard, rules
):
    asked = [*queries(dashboard), *(rule["expr"] for rule in rules)]
    for query in asked:
        names = names_in(query)
        assert names or "up{" in query, query
        assert names <= told.keys(), query


def test_every_label_that_they_ask_for_is_one_of_that_metric(told, dashboard, rules):
    of_prometheus = {"instance", "job"}
    for query in [*queries(dashboard), *(rule["expr"] for rule in rules)]:
        for name, selectors in re.findall(r"\b((?:pillarbox|process)_[a-z_]+)\{([^}]*)\}", query):
            labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", selectors))
            assert labels <= told[name] | of_prometheus, query


def test_counters_are_asked_by_their_samples_and_not_by_their_family(told):
    assert "pillarbox_delivered_total" in told
    assert "pillarbox_commit_seconds_bucket" in told


def test_each_panel_has_its_own_number_a_unit_and_words(dashboard):
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    assert dashboard["uid"] == "pillarbox"
    for panel in panels(dashboard):
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"


def test_panels_do_not_cover_each_other(dashboard):
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_each_alert_says_how_urgent_it_is_and_what_to_do(rules):
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]
        words = rule["annotations"]
        assert words["summary"]
        assert words["description"].endswith("."), rule["alert"]


def test_alerts_name_only_kinds_of_notices_that_the_box_raises(rules):
    sources = [
        path.read_text()
        for room in ("run", "webhooks")
        for path in (CONFIG.parent / "appliance" / room).rglob("*.py")
    ]
    raised = set(re.findall(r'^[A-Z_]+(?:: Final)? = "([a-z-]+)"', "\n".join(sources), re.M))
    for rule in rules:
        for kinds in re.findall(r'kind!?[=~]+"([^"]+)"', rule["expr"]):
            if "pillarbox_notices" in rule["expr"]:
                assert set(kinds.split("|")) <= raised, rule["alert"]


@pytest.mark.parametrize(
    "command",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml", "alerts_days_test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(command):
    promtool = require_command("promtool", "prometheus")
    done = subprocess.run(
        [promtool, *command], cwd=RULES, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
