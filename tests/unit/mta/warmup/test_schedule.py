"""Schedules are checked whole, with file and line; the shipped ones say what was published."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import ConfigError, UsageError
from mta.shaping.book import shipped_book
from mta.warmup.model import OTHER
from mta.warmup.schedule import (
    SHIPPED,
    Health,
    Rates,
    load_schedule,
    load_schedules,
    parse_schedule,
)

ALL = load_schedules([SHIPPED])
HEAD = 'description = "d"\nsource = "s"\n'


def parsed(body: str):
    return parse_schedule("mine", HEAD + body, "mine.toml")


def volumes(name: str, provider: str = "google", target: int = 0) -> tuple[int, ...]:
    return ALL[name].course(provider, target).volumes


# -- what is shipped -----------------------------------------------------------


def test_the_schedules_that_are_shipped():
    assert set(ALL) == {"aggressive", "by-provider", "conservative", "hourly", "standard"}
    assert all(one.description and one.source for one in ALL.values())
    assert [name for name, one in ALL.items() if one.is_hourly] == ["hourly"]
    assert [name for name, one in ALL.items() if one.needs_target] == ["by-provider"]


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_provider_of_a_schedule_is_one_of_the_shaping_rules(name):
    known = {*shipped_book().providers, OTHER}
    assert set(ALL[name].providers) <= known
    assert ALL[name].providers[-1] == OTHER


def test_the_bold_send_at_least_as_much_every_day():
    days = zip(volumes("conservative"), volumes("standard"), volumes("aggressive"), strict=False)
    assert all(careful <= usual <= bold for careful, usual, bold in days)


def test_published_figures_are_kept():
    assert volumes("aggressive")[:7] == (200, 500, 1000, 2000, 5000, 10_000, 20_000)
    assert (len(volumes("aggressive")), volumes("aggressive")[-1]) == (29, 10_000_000)
    assert volumes("hourly")[:12] == (20, 28, 39, 55, 77, 108, 151, 211, 295, 413, 579, 810)
    assert (len(volumes("conservative")), volumes("conservative")[-1]) == (45, 50_000)
    assert volumes("standard")[2:9] == (1000, 1500, 2000, 3000, 5000, 7000, 10_000)


@pytest.mark.parametrize(
    ("provider", "by_day"),
    [
        ("google", {1: 5000, 3: 15_000, 7: 40_000, 14: 75_000, 21: 100_000}),
        ("microsoft", {1: 1000, 3: 3000, 7: 10_000, 14: 30_000, 30: 90_000, 45: 100_000}),
        ("apple", {1: 500, 2: 750, 3: 1000, 21: 20_000, 45: 100_000}),
        ("whoever", {1: 1000, 3: 2000, 7: 5000, 45: 100_000}),
    ],
)
def test_percentages_are_met_on_their_days(provider, by_day):
    found = volumes("by-provider", provider, 100_000)
    assert {day: found[day - 1] for day in by_day} == by_day
    assert len(found) == max(by_day)


@given(st.integers(1, 10**9), st.sampled_from([*ALL["by-provider"].providers]))
def test_a_target_of_any_size_is_reached_without_a_step_down(target, provider):
    found = volumes("by-provider", provider, target)
    assert found[-1] == target
    assert all(1 <= before <= after for before, after in pairwise(found))


def test_a_target_is_named_where_it_is_needed_and_nowhere_else():
    with pytest.raises(UsageError, match="--target"):
        ALL["by-provider"].course("google")
    with pytest.raises(UsageError, match="no target"):
        ALL["standard"].course("google", 5)


# -- what is refused -----------------------------------------------------------

FAULTS = {
    "nothing to send": ("", "mine.toml: give it either volumes or"),
    "both kinds": ("volumes = [1]\n[percent]\ndays = [1]\nof = {other = [100]}", "either"),
    "not TOML": ("volumes = [", "mine.toml:3: not TOML"),
    "an unknown key": ("volumes = [1]\nvolume = 3", "mine.toml: Object contains unknown field"),
    "a text for a number": ('volumes = [\n1,\n"x"]', "mine.toml:5: volumes.1: Expected `int`"),
    "no growth": ("volumes = [\n1,\n3,\n3]", "mine.toml:6: volumes.2: 3 does not come after 3"),
    "nothing on a day": ("volumes = [0]", "mine.toml:3: volumes.0"),
    "a strange period": ('period = "week"\nvolumes = [1]', "mine.toml:3: period"),
    "twice": ('providers = ["a", "a"]\nvolumes = [1]', "mine.toml:3: providers: a provider is"),
    "a stranger": ("volumes = [1]\n[volumes_of]\nx = [2]", "mine.toml:5: volumes_of.x: name it"),
    "its own do not grow": (
        'providers = ["x"]\nvolumes = [1]\n[volumes_of]\nx = [2, 1]',
        "mine.toml:6: volumes_of.x.1: 1 does not come after 2",
    ),
    "rates that fall": (
        "volumes = [1]\n[health]\nblocked = {hold = 0.2, step_back = 0.1, pause = 0.3}",
        "mine.toml:5: health.blocked: hold, step_back and pause must rise",
    ),
    "a share above all": (
        "volumes = [1]\n[health]\nmin_used = 1.5",
        "mine.toml:5: health.min_used",
    ),
    "days out of order": (
        "[percent]\ndays = [1, 1]\nof = {other = [5, 100]}",
        "mine.toml:4: percent.days.1",
    ),
    "no first day": ("[percent]\ndays = [2]\nof = {other = [100]}", "the first day is 1"),
    "nothing for others": ("[percent]\ndays = [1]\nof = {google = [100]}", "'other'"),
    "a share missing": ("[percent]\ndays = [1, 2]\nof = {other = [100]}", "1 shares for 2 days"),
    "shares that fall": (
        "[percent]\ndays = [1, 2, 3]\n[percent.of]\nother = [9, 5, 100]",
        "mine.toml:6: percent.of.other: shares rise",
    ),
    "no end": ("[percent]\ndays = [1]\nof = {other = [99]}", "end with 100"),
    "two lists": (
        'providers = ["x"]\n[percent]\ndays = [1]\nof = {other = [100]}',
        "leave out providers",
    ),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_is_refused_with_its_line(fault):
    body, words = FAULTS[fault]
    with pytest.raises(ConfigError) as caught:
        parsed(body)
    assert words in str(caught.value)
    assert str(caught.value).startswith("mine.toml:")


def test_a_name_that_no_command_line_would_like_is_refused():
    with pytest.raises(ConfigError, match="small letters"):
        parse_schedule("My Plan", f"{HEAD}volumes = [1]", "My Plan.toml")


def test_a_provider_may_have_volumes_of_its_own_and_health_its_thresholds():
    found = parsed(
        'providers = ["x", "y"]\nvolumes = [1, 2]\nvolumes_of = {x = [5, 6, 7]}\n'
        "[health]\nmin_used = 0.5\nblocked = {hold = 0.1, step_back = 0.2, pause = 0.3}"
    )
    assert found.course("x").volumes == (5, 6, 7)
    assert found.course("y").volumes == found.course("z").volumes == (1, 2)
    assert found.providers == ("x", "y", OTHER)
    assert found.course("x").health == Health(
        min_used=0.5, blocked=Rates(hold=0.1, step_back=0.2, pause=0.3)
    )


def test_own_files_add_to_the_shipped_ones_and_take_their_place(tmp_path):
    (tmp_path / "standard.toml").write_text(f"{HEAD}volumes = [7]")
    (tmp_path / "ours.toml").write_text(f"{HEAD}volumes = [8]")
    found = load_schedules([SHIPPED, tmp_path, tmp_path / "none"])
    assert found.keys() == {*ALL, "ours"}
    assert found["standard"].course("google").volumes == (7,)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.toml: the schedule cannot be read"):
        load_schedule(tmp_path / "gone.toml")
