"""Gauges of warmup and throttles show what stands now, and nothing that has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from appliance.core.metrics import Metrics, render
from appliance.run.gauges import show_regulation
from mta.scheduling.regulator import Regulator
from mta.shaping.book import shipped_book
from mta.shaping.throttle import Fault, Subject, Throttle
from mta.shaping.throttles import Throttles
from mta.warmup.model import WarmupState
from tests.support.warmup import MemoryStore, Process, World, plan

NOW = 1_800_000_000_000
BOOK = shipped_book()
FAULT = Fault("a-rule", "421 4.7.28 too fast", "mx.google.com", NOW)


def throttle(subject: Subject, **given: Any) -> Throttle:
    return Throttle(subject=subject, fault=FAULT, connections=1, changed_at=NOW, **given)


@dataclass
class Box:
    metrics: Metrics = field(default_factory=Metrics)
    world: World = field(default_factory=lambda: World(NOW, plan(limit=200)))

    def __post_init__(self) -> None:
        self.process = Process(self.world, MemoryStore())
        self.regulator = Regulator(
            book=lambda: BOOK, throttles=Throttles(lambda: BOOK), ledger=self.process.ledger
        )

    def shown(self, name: str) -> dict[tuple[str, ...], float]:
        show_regulation(self.metrics, self.regulator, NOW)
        text = render(self.metrics.registry).decode()
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"pillarbox_{name}"
        }


async def test_budgets_are_shown_until_the_address_is_warm():
    box = Box()
    await box.process.reserve(5)
    await box.process.step()
    assert box.shown("warmup_limit") == {("a", "google"): 200}
    assert box.shown("warmup_used")["a", "google"] >= 5
    box.world.set_plan(plan(state=WarmupState.WARM))
    assert box.shown("warmup_limit") == box.shown("warmup_used") == {}


def test_throttles_are_counted_by_provider_and_kind():
    box = Box()
    rows = [
        throttle(Subject("a", "google")),
        throttle(Subject("b", "google"), suspended_until=NOW + 60_000),
        throttle(Subject("a", "mx.one.example")),
        throttle(Subject("a", "mx.two.example")),
    ]
    box.regulator.throttles.load(rows, NOW)
    assert box.shown("throttles") == {
        ("slowed", "google"): 1,
        ("suspended", "google"): 1,
        ("slowed", "other"): 2,
    }
    box.regulator.throttles.lift(Subject("a", "google"), NOW, by="me", reason="all is well")
    assert ("slowed", "google") not in box.shown("throttles")
