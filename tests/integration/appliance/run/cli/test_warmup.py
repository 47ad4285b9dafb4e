"""`pillarbox warmup`, on a box that does not run."""

from __future__ import annotations

import asyncio

import pytest

from appliance.core import clock
from appliance.core.database import open_engine
from appliance.limits import Budgets
from mta.warmup.model import budget_key

OWN = 'description = "ours"\nsource = "us"\nproviders = ["google"]\nvolumes = [10, 20]\n'


@pytest.fixture
def box(shell):
    (shell.home.path / "warmup").mkdir()
    (shell.home.path / "warmup" / "small.toml").write_text(OWN)
    return shell


def use(shell, number, provider="google"):
    """As if so many had been sent today."""
    now = clock.now_ms()
    key = budget_key("default", provider, is_hourly=False)

    async def work():
        engine = open_engine(shell.home.control_db)
        await Budgets(engine).lease(key, now - now % clock.DAY, number, 10**6)
        await engine.dispose()

    asyncio.run(work())


def test_nothing_is_warmed_up_at_first(box):
    assert "nothing is warmed up" in box("warmup", "list").out
    assert box.json("warmup", "list") == []


def test_a_warmup_is_started_and_shown_with_what_was_used(box):
    made = box.json("warmup", "start", "default")
    assert {one["provider"] for one in made} >= {"google", "other"}
    assert {(one["stage"], one["limit"], one["schedule"]) for one in made} == {(1, 200, "standard")}
    use(box, 120)
    [google] = [one for one in box.json("warmup", "list") if one["provider"] == "google"]
    assert (google["used"], google["period"], google["state"]) == (120, "day", "warming")
    assert google["started_at"].endswith("Z")
    assert google["resumes_at"] is None
    said = box("warmup", "list", "default").out
    assert "██████░░░░ 120 / 200 today" in said
    assert "1 of 27" in said
    shown = box.json("warmup", "show", "default")
    assert shown["warmups"][1]["volumes"][:3] == [200, 500, 1000]
    shown = box("warmup", "show", "default").out
    assert "\napple, google, microsoft, microsoft365, other, yahoo: [200] 500 1,000" in shown
    assert "stage 1 of 27 already" in box.error("warmup", "start", "default", expect=65)


def test_a_schedule_of_ones_own_and_a_target(box):
    words = ("warmup", "start", "default", "--schedule")
    made = box.json(*words, "small", "--provider", "google")
    assert [(one["provider"], one["limit"], one["stages"]) for one in made] == [("google", 10, 2)]
    assert "no schedule is named 'big'" in box.error(*words, "big", expect=66)
    assert "--target" in box.error(*words, "by-provider", expect=64)
    made = box.json(*words, "by-provider", "--provider", "apple", "--target", "10000")
    assert (made[0]["limit"], made[0]["target"]) == (50, 10_000)


def test_only_an_egress_that_is_there_is_warmed_up(box):
    assert "no egress is named 'typo'" in box.error("warmup", "list", "typo", expect=66)
    assert "no egress is named 'typo'" in box.error("warmup", "start", "typo", expect=66)
    assert "typo has no warmup" in box.error("warmup", "show", "typo", expect=66)


def test_only_for_a_provider_that_mail_can_count_for(box):
    words = "no section of shaping.toml is named 'goggle'; there are apple, "
    start = ("warmup", "start", "default", "--provider", "goggle")
    assert words in box.error(*start, expect=66)
    assert words in box.error("warmup", "eta", "goggle", "100", expect=66)
    assert box.json("warmup", "start", "default", "--provider", "other")[0]["limit"] == 200


def test_it_is_paused_resumed_skipped_finished_and_restarted(box):
    box("warmup", "start", "default", "--schedule", "small")
    target = ("default", "--provider", "google")
    assert "--reason" in box.error("warmup", "pause", *target, expect=2)
    paused = box.json("warmup", "pause", *target, "--reason", "listed", "--hours", "2")
    assert paused[0]["state"] == "paused"
    assert paused[0]["resumes_at"] is not None
    assert "paused, goes on in 1 h 59 min" in box("warmup", "list").out
    box("warmup", "resume", *target)
    said = box("warmup", "pause", *target, "--reason", "listed").out
    assert said == (
        "warmup of default for google is paused until it is resumed: stage 1 of 2, 10 a day\n"
    )
    box("warmup", "resume", *target)
    assert box.json("warmup", "skip", *target)[0]["limit"] == 20
    assert "--reason" in box.error("warmup", "step-back", *target, expect=2)
    said = box("warmup", "step-back", *target, "--reason", "deferrals").out
    assert said == "warmup of default for google is a stage back: stage 1 of 2, 10 a day\n"
    assert "stepped back by hand: deferrals" in box("warmup", "show", "default").out
    said = box("warmup", "finish", *target).out
    assert said == "default is warm for google: no budget any more\n"
    assert "google: 10 20\n" in box("warmup", "show", "default").out
    assert "is warm already" in box.error("warmup", "finish", *target, expect=65)
    said = box("warmup", "restart", *target).out
    assert said == "warmup of default for google begins anew: stage 1 of 2, 10 a day\n"
    assert "a number above 0" in box.error(
        "warmup", "pause", *target, "--reason", "x", "--hours", "-1", expect=64
    )


def test_what_concerns_several_providers_is_asked_first(box):
    box("warmup", "start", "default", "--schedule", "small")
    assert "--yes" in box.error("warmup", "finish", "default", expect=64)
    assert len(box.json("warmup", "finish", "default", "--yes")) == 2


def test_history_and_schedules_are_shown(box):
    assert box.json("warmup", "history", "default") == []
    assert "no day of it is over yet" in box("warmup", "history", "default").out
    assert "no egress is named 'typo'" in box.error("warmup", "history", "typo", expect=66)
    sound = box.json("warmup", "check")
    assert sound["ok"] is True
    assert {one["name"] for one in sound["schedules"]} >= {"standard", "small", "hourly"}
    assert "0.5 %" in box("warmup", "check").out


def test_a_fault_in_a_schedule_is_told_with_its_line(box):
    path = box.home.path / "warmup" / "small.toml"
    path.write_text(OWN.replace("20", "5"))
    found = box.json("warmup", "check", expect=78)
    assert found["ok"] is False
    assert found["errors"] == [
        f"{path}:4: volumes.1: 5 does not come after 10: each must be larger"
    ]
    path.write_text(OWN.replace('["google"]', '["goggle"]'))
    [error] = box.json("warmup", "check", str(path), expect=78)["errors"]
    assert error == "schedule small: no section of shaping.toml is named 'goggle'"


def test_the_time_a_backlog_takes_is_told_by_the_plan(box):
    words = ("warmup", "eta", "google", "1000")
    assert "from one address" in box(*words).out  # warm: at once
    box("warmup", "start", "default", "--schedule", "small", "--provider", "google")
    found = box.json(*words)
    assert found["best_at"] < found["held_at"]
    box("warmup", "pause", "default", "--reason", "x")
    assert box.json(*words)["best_at"] is None
    assert "not within a year" in box(*words).out
    assert "no egress" in box.error(*words, "--egress", "typo", expect=66)
