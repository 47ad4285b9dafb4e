"""The simulation of warmups, small: budgets hold, and who listens is refused less than who does not."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from mta.outcome.category import Category
from mta.outcome.classify import classify
from mta.shaping.book import shipped_book
from mta.warmup.schedule import SHIPPED

sys.path.append(str(Path(__file__).parents[3] / "bench"))

from warmup import trial
from warmup.figures import FILE, Figures, drawn, load
from warmup.tally import Audit
from warmup.world import World

DAYS = 6  # the table of the other one grows past what receivers take on the fifth
STANDARD = SHIPPED / "standard.toml"


@pytest.fixture(scope="module")
def figures() -> Figures:
    return load()


@pytest.fixture
def small(figures):
    run = msgspec.structs.replace(figures.run, addresses=2, backlog=1_000_000)
    return msgspec.structs.replace(figures, run=run)


async def test_who_listens_delivers_more_is_refused_less_and_keeps_to_its_budgets(small):
    ours = await trial.ours(small, 1, DAYS, "standard")
    naive = trial.naive(small, 1, DAYS, "standard")
    assert ours.audit["checked"] > 5_000
    assert ours.audit["exceeded"] == 0
    assert all(
        used <= budget
        for provider, days in ours.used.items()
        for used, budget in zip(days, ours.budget[provider], strict=True)
    )
    assert ours.totals["delivered"] > naive.totals["delivered"]
    assert 0 < ours.totals["deferred"] < naive.totals["deferred"] / 5
    assert ours.blocks == 0


async def test_the_same_seed_gives_the_same_days(small):
    first, second = [await trial.ours(small, 2, 2, "standard") for _ in range(2)]
    assert first.plain() == second.plain()


def test_one_recipient_too_many_is_found(figures):
    world = World(figures, 1)
    audit = Audit(world, STANDARD)
    world.rcpts[7] = Counter({("egress-1", "google"): 200, ("egress-1", "comcast"): 200})
    audit.look({("egress-1", "google"): 0, ("egress-1", "other"): 0}, 7)
    assert (audit.checked, audit.exceeded, audit.filled()) == (400, 0, 2)
    world.rcpts[7]["egress-1", "small"] += 1
    audit.look({("egress-1", "google"): 0, ("egress-1", "other"): 0}, 7)
    assert (audit.checked, audit.exceeded) == (401, 1)


def test_receivers_of_the_world_are_who_they_say(figures):
    book = shipped_book()
    found = {one.name: book.provider_of([one.host]).name for one in figures.receiver}
    assert {name: provider for name, provider in found.items() if provider not in ("", name)} == {}


def test_what_receivers_of_the_world_say_is_about_who_sends(figures):
    about = {
        Category.RATE_LIMITED,
        Category.BLOCKED,
        Category.SPAM,
        Category.POLICY,
        Category.OTHER,
    }
    for one in figures.receiver:
        for said in (one.slow, one.shut, one.block):
            verdict = classify(said.answer, phase=said.phase, provider=one.host)
            assert verdict.category in about, said
            assert verdict.is_permanent is (said is one.block), said


def test_a_world_with_an_unknown_key_is_refused(tmp_path):
    path = tmp_path / "world.toml"
    path.write_text(FILE.read_text("utf-8").replace("[run]", "[run]\nlike = 1"), "utf-8")
    with pytest.raises(msgspec.ValidationError, match="like"):
        load(path)


def test_a_draw_depends_on_the_seed_alone(figures):
    assert drawn(figures, 3) == drawn(figures, 3) != drawn(figures, 4)
