"""Metrics: what is counted is what is shown, with bounded labels, for all processes in one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families

from appliance.core.metrics import OTHER, Bounded, Metrics, merge, render, watch_process


def samples(exposition: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels, as a real parser reads them."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition.decode())
        for sample in family.samples
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_a_count_is_shown_with_its_labels(metrics: Metrics) -> None:
    metrics.delivered.inc("gmail", "default")
    metrics.delivered.inc("gmail", "default", by=2)
    metrics.expired.inc()
    shown = samples(render(metrics.registry))
    labels = (("egress", "default"), ("provider", "gmail"))
    assert shown["pillarbox_delivered_total", labels] == 3
    assert shown["pillarbox_expired_total", ()] == 1


def test_a_level_goes_up_and_down_or_is_asked_for(metrics: Metrics) -> None:
    metrics.open_in.add(3, "submission")
    metrics.open_in.add(-1, "submission")
    metrics.queue_depth.set(7, "queued")
    metrics.queue_oldest.follow(lambda: 42.0)
    shown = samples(render(metrics.registry))
    assert shown["pillarbox_open_connections_in", (("listener", "submission"),)] == 2
    assert shown["pillarbox_queue_recipients", (("status", "queued"),)] == 7
    assert shown["pillarbox_queue_oldest_seconds", ()] == 42


def test_a_spread_is_shown_in_buckets(metrics: Metrics) -> None:
    metrics.commit_seconds.observe(0.003)
    metrics.attempt_seconds.observe(0.2, "gmail")
    shown = samples(render(metrics.registry))
    assert shown["pillarbox_commit_seconds_bucket", (("le", "0.005"),)] == 1
    assert shown["pillarbox_commit_seconds_bucket", (("le", "0.002"),)] == 0
    assert shown["pillarbox_attempt_seconds_count", (("provider", "gmail"),)] == 1


def test_every_metric_is_named_described_and_without_birthdays(metrics: Metrics) -> None:
    families = list(text_string_to_metric_families(render(metrics.registry).decode()))
    assert len(families) > 25
    for family in families:
        assert family.name.startswith("pillarbox_")
        assert not family.name.endswith("_created")
        assert family.documentation.endswith("."), family.name


def test_labels_must_be_as_many_as_declared(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="argument"):
        metrics.delivered.inc("gmail")


def test_the_first_values_stand_for_themselves_and_the_rest_are_other() -> None:
    bounded = Bounded(2)
    assert [bounded(value) for value in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


def test_strangers_fill_neither_the_exposition_nor_the_memory(metrics: Metrics) -> None:
    for number in range(5000):
        metrics.accepted_recipients.inc(f"tenant-{number}")
    shown = samples(render(metrics.registry))
    tenants = {labels for name, labels in shown if name == "pillarbox_accepted_recipients_total"}
    assert len(tenants) == 201
    assert shown["pillarbox_accepted_recipients_total", (("tenant", OTHER),)] == 4800
    assert len(metrics.accepted_recipients._children) == 201


def test_other_means_the_same_in_every_metric(metrics: Metrics) -> None:
    for number in range(200):
        metrics.accepted_recipients.inc(f"tenant-{number}")
    metrics.tenant_outcomes.inc("late", "delivered")
    labels = (("outcome", "delivered"), ("tenant", OTHER))
    assert samples(render(metrics.registry))["pillarbox_tenant_outcomes_total", labels] == 1


def test_merged_samples_carry_their_process_and_families_stay_whole() -> None:
    boxes = {"mta-0": Metrics(), "mta-1": Metrics(), "web": Metrics(CollectorRegistry())}
    boxes["mta-0"].expired.inc()
    boxes["mta-1"].expired.inc(by=2)
    boxes["mta-1"].delivered.inc("gmail", "default")
    text = merge({name: render(metrics.registry) for name, metrics in boxes.items()})
    shown = samples(text)
    assert shown["pillarbox_expired_total", (("process", "mta-0"),)] == 1
    assert shown["pillarbox_expired_total", (("process", "mta-1"),)] == 2
    labels = (("egress", "default"), ("process", "mta-1"), ("provider", "gmail"))
    assert shown["pillarbox_delivered_total", labels] == 1
    assert text.count(b"# TYPE pillarbox_expired_total ") == 1
    assert text.count(b"# HELP pillarbox_expired_total ") == 1
    families = [family.name for family in text_string_to_metric_families(text.decode())]
    assert len(families) == len(set(families)), "a family comes once, with all its samples"


def test_a_process_tells_its_memory_and_cpu() -> None:
    registry = CollectorRegistry()
    watch_process(registry)
    shown = samples(merge({"web": render(registry)}))
    assert shown["process_resident_memory_bytes", (("process", "web"),)] > 0


def test_nothing_merges_to_nothing() -> None:
    assert merge({}) == b""
    assert merge({"mta-0": b""}) == b""


@given(
    st.dictionaries(st.text(min_size=1), st.text(), min_size=1, max_size=3),
    st.floats(),
    st.text(max_size=30),
)
def test_any_label_and_value_survive_the_merge(
    processes: dict[str, str], value: float, text: str
) -> None:
    expositions = {}
    for process, label in processes.items():
        registry = CollectorRegistry()
        Gauge("sample", text, ["label"], registry=registry).labels(label).set(value)
        expositions[process] = render(registry)
    shown = samples(merge(expositions))
    assert len(shown) == len(processes)
    for process, label in processes.items():
        found = shown["sample", (("label", label), ("process", process))]
        assert found == value or (math.isnan(found) and math.isnan(value))
