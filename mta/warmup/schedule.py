"""Schedule: config/warmup/*.toml as checked values; how much may be sent on each day of a warmup.

A schedule says volumes (of all providers, or by provider) or percentages of a target that is named when
a warmup is started; percentages between two given days lie on a line between them. A file is taken whole
or not at all: what is unknown, does not grow or cannot be raises ConfigError with file and line.
Files of <home>/warmup add to the shipped ones, and take the place of one of the same name.

`course` makes of it what one warmup of one provider keeps: a warmup that runs does not change when a
file is changed or removed, nor differ between nodes whose files differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from appliance.core.errors import ConfigError, UsageError
from appliance.core.settings_lines import line_of, lines_of
from appliance.core.shipped import FOLDER
from appliance.core.toml_text import tables_of, text_of
from mta.warmup.model import OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

SHIPPED: Final = FOLDER / "warmup"

_STEP: Final = re.compile(r"\[(\d+)\]|\.(\w+)")
_NAME: Final = r"^[a-z0-9][a-z0-9_.-]{0,60}$"

_Name = Annotated[str, msgspec.Meta(pattern=_NAME)]
_Volume = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
_Volumes = Annotated[tuple[_Volume, ...], msgspec.Meta(min_length=1, max_length=400)]
_Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Words = Annotated[str, msgspec.Meta(min_length=1)]


class Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which share on a stage is held, goes a step back, or pauses."""

    hold: _Share
    step_back: _Share
    pause: _Share


class Health(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides at the end of a day whether the next stage may begin."""

    min_used: _Share = 0.9  # of the stage's budget; less proves nothing
    deferred: Rates = Rates(hold=0.10, step_back=0.25, pause=0.50)  # of attempts
    blocked: Rates = Rates(hold=0.02, step_back=0.05, pause=0.20)  # of attempts
    complained: Rates = Rates(hold=0.001, step_back=0.003, pause=0.005)  # of deliveries
    min_attempts: _Count = 20  # below that deferrals and blocks are no rates
    min_delivered: _Count = 500  # below that complaints are no rate
    min_signals: _Count = 3  # so many bad answers must there be: one of three is chance
    pause_hours: Annotated[float, msgspec.Meta(ge=1, le=720)] = 24.0


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """The way of one warmup, stage by stage; kept with it."""

    volumes: tuple[int, ...]  # recipients in one window of each stage
    is_hourly: bool = False
    reserve: float = 0.2
    health: Health = Health()


class _Percent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    days: _Volumes
    of: dict[_Name, tuple[Annotated[float, msgspec.Meta(gt=0, le=100)], ...]]


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule as it stands in the file."""

    description: _Words
    source: _Words
    period: Literal["day", "hour"] = "day"
    reserve: Annotated[float, msgspec.Meta(ge=0, le=0.9)] = 0.2
    providers: tuple[_Name, ...] = ()
    volumes: _Volumes | None = None
    volumes_of: dict[_Name, _Volumes] = {}
    percent: _Percent | None = None
    health: Health = Health()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A checked schedule."""

    name: str
    description: str
    source: str  # where its figures come from
    is_hourly: bool
    reserve: float
    providers: tuple[str, ...]  # those it is made for; OTHER is always the last
    health: Health
    volumes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    percents: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def needs_target(self) -> bool:
        """Whether it says shares of a volume that whoever starts it must name."""
        return bool(self.percents)

    def course(self, provider: str, target: int = 0) -> Course:
        """The way for one provider; one that is not named goes the way of OTHER."""
        return Course(
            volumes=self._volumes(provider, target),
            is_hourly=self.is_hourly,
            reserve=self.reserve,
            health=self.health,
        )

    def _volumes(self, provider: str, target: int) -> tuple[int, ...]:
        if not self.needs_target:
            if target:
                raise UsageError(f"schedule {self.name} has volumes of its own: give no target")
            return self.volumes.get(provider, self.volumes[OTHER])
        if target < 1:
            raise UsageError(
                f"schedule {self.name} is in percent: give the volume to reach with --target"
            )
        percents = self.percents.get(provider, self.percents[OTHER])
        return tuple(max(1, round(target * percent / 100)) for percent in percents)


def load_schedules(folders: Iterable[Path]) -> dict[str, Schedule]:
    """All schedules of the folders by name, later folders first choice. Raises ConfigError."""
    found: dict[str, Schedule] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            found[path.stem] = load_schedule(path)
    return found


def load_schedule(path: Path) -> Schedule:
    """Read one file; its name is the schedule's. Raises ConfigError."""
    return parse_schedule(path.stem, text_of(path, "the schedule"), str(path))


def parse_schedule(name: str, text: str, source: str) -> Schedule:
    """Check a schedule. Raises ConfigError naming the line."""
    if not re.match(_NAME, name):
        raise ConfigError(f"{source}: name the file with small letters, digits and hyphens")
    tables = tables_of(text, source)
    try:
        file = msgspec.convert(tables, _File)
        _check(file)
    except _FaultError as fault:
        raise _wrong(source, text, fault.path, str(fault)) from fault
    except msgspec.ValidationError as error:
        words, _, place = str(error).partition(" - at `$")
        path = tuple(int(index) if index else key for index, key in _STEP.findall(place))
        raise _wrong(source, text, path, words) from error
    return _schedule(name, file)


class _FaultError(ValueError):
    """What types cannot say is wrong at `path`."""

    def __init__(self, words: str, *path: str | int) -> None:
        super().__init__(words)
        self.path = path


def _wrong(source: str, text: str, path: tuple[str | int, ...], words: str) -> ConfigError:
    line = line_of(lines_of(text), path)
    at = source if line is None else f"{source}:{line}"
    where = ".".join(map(str, path))
    return ConfigError(f"{at}: {where}: {words}" if where else f"{at}: {words}")


def _check(file: _File) -> None:
    if (file.volumes is None) == (file.percent is None):
        raise _FaultError("give it either volumes or [percent]")
    for rates in ("deferred", "blocked", "complained"):
        _check_rates(getattr(file.health, rates), rates)
    if len(set(file.providers)) < len(file.providers):
        raise _FaultError("a provider is named twice", "providers")
    if file.percent is not None:
        if file.volumes_of or file.providers:
            raise _FaultError("[percent] names its providers: leave out providers and volumes_of")
        _check_percent(file.percent)
        return
    _check_growth(file.volumes or (), "volumes")
    for provider, volumes in file.volumes_of.items():
        _check_growth(volumes, "volumes_of", provider)
        if provider not in (*file.providers, OTHER):
            raise _FaultError("name it in providers too", "volumes_of", provider)


def _check_rates(rates: Rates, name: str) -> None:
    if not rates.hold <= rates.step_back <= rates.pause:
        raise _FaultError("hold, step_back and pause must rise", "health", name)


def _check_growth(volumes: Sequence[int], *path: str) -> None:
    for place, (before, after) in enumerate(pairwise(volumes), 1):
        if after <= before:
            raise _FaultError(
                f"{after} does not come after {before}: each must be larger", *path, place
            )


def _check_percent(percent: _Percent) -> None:
    _check_growth(percent.days, "percent", "days")
    if percent.days[0] != 1:
        raise _FaultError("the first day is 1", "percent", "days")
    if OTHER not in percent.of:
        raise _FaultError(
            f"say what holds for {OTHER!r}, the receivers without a name", "percent", "of"
        )
    for provider, shares in percent.of.items():
        path = ("percent", "of", provider)
        if len(shares) != len(percent.days):
            raise _FaultError(f"{len(shares)} shares for {len(percent.days)} days", *path)
        if any(after < before for before, after in pairwise(shares)) or shares[-1] != 100:
            raise _FaultError("shares rise, and end with 100", *path)


def _schedule(name: str, file: _File) -> Schedule:
    percent, volumes = file.percent, file.volumes
    named = percent.of if percent is not None else file.providers
    providers = (*(one for one in named if one != OTHER), OTHER)
    return Schedule(
        name=name,
        description=file.description,
        source=file.source,
        is_hourly=file.period == "hour",
        reserve=file.reserve,
        providers=providers,
        health=file.health,
        volumes={one: file.volumes_of.get(one, volumes) for one in providers} if volumes else {},
        percents={one: _daily(percent.days, percent.of[one]) for one in providers}
        if percent is not None
        else {},
    )


def _daily(days: Sequence[int], shares: Sequence[float]) -> tuple[float, ...]:
    """The share of every day up to the first with 100: in between, on the line."""
    daily = [shares[0]]
    for (day, share), (next_day, next_share) in pairwise(zip(days, shares, strict=True)):
        rise = (next_share - share) / (next_day - day)
        daily += [share + rise * step for step in range(1, next_day - day)] + [next_share]
    return tuple(daily[: daily.index(100) + 1])
