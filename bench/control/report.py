"""Report: what was measured, as tables in Markdown. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from relay.tables import markdown

if TYPE_CHECKING:
    from relay.tables import Row

_LATE: Final = ("ms", "cpu_ms", "turn_cpu_ms", "loop_late_ms", "loop_late_max_ms")


def text(result: dict[str, Any]) -> str:
    """All tables that there is something for."""
    makers = {
        "rate": rate_rows,
        "statements": statement_rows,
        "effect": effect_rows,
        "rebuild": rebuild_rows,
    }
    return "\n\n".join(
        markdown(make(result[name])) for name, make in makers.items() if name in result
    )


def rate_rows(found: dict[str, Any]) -> list[Row]:
    """One beside many, and many while changes are made."""
    head = (
        "tenants / credentials / domains",
        "accepted/s",
        "end to end/s",
        "CPU ms a message",
        "memory MB (PSS)",
        "CPU ms by process",
    )
    rows = [
        (
            one["crowd"],
            f"{one['accepted_per_s']:,.0f}",
            f"{one['delivered_per_s']:,.0f}",
            f"{one['cpu_ms']:.2f}",
            f"{one['pss_mb']:.0f}",
            ", ".join(f"{name} {ms:.2f}" for name, ms in one["parts_ms"].items()),
        )
        for one in (found["one"], found["many"], found["changing"])
    ]
    names = ("accepted_per_s", "delivered_per_s", "cpu_ms")
    ratios = [
        (f"{of} / one", *(f"{ratio.get(name, 0):.2f}" for name in names), "", "")
        for of, ratio in found["ratios"].items()
    ]
    return [head, *rows, *ratios]


def statement_rows(found: dict[str, Any]) -> list[Row]:
    """What was asked, by what it is."""
    stretches = ("first", "steady", "idle")
    names = sorted({name for stretch in stretches for name in found[stretch]})
    rows = [(name, *(str(found[s].get(name, 0)) for s in stretches)) for name in names]
    a_message = (f"{found['first_per_message']}", f"**{found['per_message']}**", "")
    return [
        (f"on control.db in {found['seconds']} s", *stretches),
        *rows,
        (f"beyond idle, a message (of {found['messages']:,})", *a_message),
    ]


def effect_rows(found: dict[str, Any]) -> list[Row]:
    """From the commit to who sees it."""
    return [
        ("change", "p50 ms", "max ms", "of"),
        *(
            (what, f"{one['p50_ms']:.0f}", f"{one['max_ms']:.0f}", str(one["repetitions"]))
            for what, one in found.items()
        ),
    ]


def rebuild_rows(found: dict[str, Any]) -> list[Row]:
    """By the number of domains and what changed."""
    return [
        (
            "domains",
            "after a change of",
            "rebuilt in ms",
            "CPU ms",
            "longest turn, CPU ms",
            "loop late ms",
            "at most",
        ),
        *(
            (f"{int(domains):,}", what, *(f"{one[name]:.0f}" for name in _LATE))
            for domains, changes in found.items()
            for what, one in changes.items()
        ),
    ]
