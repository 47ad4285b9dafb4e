"""Merge: the metrics of all processes as one exposition, each sample with a `process` label.

Works on the text itself (format 0.0.4): parsing into objects and printing them again costs ten
times more (measured) and could only lose something. One HELP and TYPE a family, all its samples under it, as the
format demands. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class _Family:
    comments: dict[str, str] = field(default_factory=dict)  # HELP and TYPE, the first process's
    samples: list[str] = field(default_factory=list)


def merge(expositions: Mapping[str, bytes]) -> bytes:
    """One exposition of the expositions by process name."""
    families: dict[str, _Family] = {}
    for process, exposition in expositions.items():
        _add(families, process, exposition.decode("utf-8", "replace"))
    lines: list[str] = []
    for family in families.values():
        lines += [*family.comments.values(), *family.samples]
    return "".join(f"{line}\n" for line in lines).encode()


def _add(families: dict[str, _Family], process: str, text: str) -> None:
    label = f'process="{_escaped(process)}"'
    family = _Family()
    for line in text.split("\n"):
        if line.startswith(("# HELP ", "# TYPE ")):
            _, kind, name, *_ = line.split(" ", 3)
            family = families.setdefault(name, _Family())
            family.comments.setdefault(kind, line)
        elif line and not line.startswith("#"):
            family.samples.append(_labelled(line, label))


def _labelled(sample: str, label: str) -> str:
    """The sample with one more label. A metric's name holds neither brace nor blank."""
    name, brace, rest = sample.partition("{")
    if brace and " " not in name:
        separator = "" if rest.startswith("}") else ","
        return f"{name}{{{label}{separator}{rest}"
    name, _, value = sample.partition(" ")
    return f"{name}{{{label}}} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
