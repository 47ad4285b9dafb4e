"""Bounces, complaints and other mail made by others, with what each of them is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"


@dataclass(frozen=True, slots=True)
class Label:
    """One recipient of a labelled file. None: not labelled."""

    accept: frozenset[str]
    hard: bool | None
    certain: bool
    optional: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """A file: what it is (bounce, feedback, autoreply, delivered, not-bounce) and in which form."""

    file: str
    kind: str
    form: str
    labels: tuple[Label, ...]

    def read(self) -> bytes:
        """Its bytes, exactly; it lies in one of two folders."""
        own = DATA / self.file
        return (own if own.exists() else DATA / "mail" / self.file).read_bytes()

    def __str__(self) -> str:
        return self.file


def samples(*, form: str = "", kind: str = "") -> list[Sample]:
    """The samples of a form or kind."""
    lines = (DATA / "bounces" / "expected.jsonl").read_text("utf-8").splitlines()
    found = [_sample(json.loads(line)) for line in lines]
    return [s for s in found if form in ("", s.form) and kind in ("", s.kind)]


def _sample(row: dict[str, object]) -> Sample:
    labels = tuple(
        Label(
            frozenset(record["accept"]),
            record["hard"],
            record["confidence"] == "high",
            record.get("recipient_optional", False),
        )
        for record in row["records"]
    )
    return Sample(row["file"], row["kind"], row["form"], labels)
