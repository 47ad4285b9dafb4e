"""Rules of shaping, pure: a throttle as a row and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mta.shaping.model import Rate
from mta.shaping.throttle import Change, ChangeKind, Fault, Subject, Throttle

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEPT_AS_THEY_ARE = (
    "connections",
    "suspended_until",
    "heard_at",
    "quiet",
    "steps",
    "slowed_at",
    "raised_at",
    "changed_at",
)


def to_row(throttle: Throttle) -> dict[str, Any]:
    """A throttle as it is stored."""
    fault, rate = throttle.fault, throttle.rate
    history = [[each.at, each.kind, each.words] for each in throttle.history]
    return {
        **throttle.subject._asdict(),
        **{name: getattr(throttle, name) for name in _KEPT_AS_THEY_ARE},
        "rate_count": rate.count if rate else 0,
        "rate_seconds": rate.seconds if rate else 0.0,
        "rule": fault.rule,
        "reply": fault.reply,
        "host": fault.host,
        "fault_at": fault.at,
        "history": json.dumps(history, ensure_ascii=False),
    }


def to_throttle(row: Mapping[str, Any]) -> Throttle:
    """A throttle as it was stored. Raises ValueError when the row is not one of ours."""
    subject = Subject(*(row[name] for name in Subject._fields))
    try:
        history = tuple(
            Change(subject, at, ChangeKind(kind), words)
            for at, kind, words in json.loads(row["history"])
        )
    except TypeError as error:
        raise ValueError(f"its history is no list of changes: {error}") from error
    return Throttle(
        subject=subject,
        rate=Rate(row["rate_count"], row["rate_seconds"]) if row["rate_count"] else None,
        fault=Fault(row["rule"], row["reply"], row["host"], row["fault_at"]),
        history=history,
        **{name: row[name] for name in _KEPT_AS_THEY_ARE},
    )
