"""The ledger as people read it, and as a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.torture.run import Outcome

_LINES = (
    ("letters", "letters begun"),
    ("acknowledged", "acknowledged"),
    ("recipients acknowledged", "  their recipients"),
    ("taken", "taken by receivers"),
    ("delivered", "ended delivered"),
    ("bounced", "ended bounced"),
    ("expired", "ended expired"),
    ("cancelled", "ended cancelled"),
    ("deaths of an mta process", "deaths of an mta process"),
    ("doubled: outcome not durable", "doubled, outcome not durable"),
    ("most doubles of a death", "  at most by one death"),
    ("doubled: no answer was given", "doubled, receiver gave no answer"),
    ("refused for now, yet stored", "refused for now, yet stored"),
)
_FAULTS = ("lost", "doubled", "early", "damaged", "unfinished", "untrue")


def table(outcome: Outcome) -> str:
    verdict = outcome.verdict
    lines = [f"torture: seed {outcome.seed}, {outcome.seconds:.0f} s", ""]
    for name, words in sorted(outcome.happened.items()):
        lines.append(f"  {name:<34}{len(words):>8}  {words[-1]}")
    lines.append("")
    lines += [f"  {text:<34}{verdict.counts[name]:>8}" for name, text in _LINES]
    lines.append("")
    names = {"doubled": "doubled without excuse"}
    lines += [f"  {names.get(n, n):<34}{len(verdict.faults.get(n, [])):>8}" for n in _FAULTS]
    return "\n".join(lines)


def write(outcome: Outcome, path: Path) -> None:
    """Everything, as JSON."""
    verdict = outcome.verdict
    found = {
        "seed": outcome.seed,
        "seconds": round(outcome.seconds, 1),
        "faults": outcome.happened,
        "counts": dict(verdict.counts),
        "wrong": verdict.faults,
        "ends_of_processes": outcome.ends,
        "answers_to_clients": outcome.answers,
        "misdeeds_of_receivers": outcome.misdeeds,
    }
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
