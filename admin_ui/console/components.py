"""Components: the page that shows them all, layer by layer, in both themes and in every state; for who looks after the box.

What stands on it is made up here: nothing is asked of the box, and nothing on the page does anything.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get

from admin_ui.api.guard import RIGHT
from admin_ui.console.charts import Chart, Kind, Mark, Plot, Series, Tone, draw
from admin_ui.console.records import Seen, Shown
from admin_ui.console.visit import Problem, Toast, WhoVisits
from appliance.rights import Right
from mta.signing.dns_records import DnsRecord, RecordKind

TOKENS: Final = (
    "bg-primary", "bg-card", "bg-hover", "bg-sunken", "text-primary", "text-secondary", "text-muted",
    "border", "border-strong", "accent", "accent-strong", "accent-text", "accent-soft",
    "success", "success-text", "success-soft", "warning", "warning-text", "warning-soft",
    "danger", "danger-text", "danger-soft", "danger-strong",
    "accent-purple", "purple-text", "purple-soft",
)  # fmt: skip
CONTENTS: Final = (
    ("Tokens", (("colours", "Colours"), ("type", "Type"))),
    ("Atoms", (("buttons", "Buttons"), ("badges", "Badges, dots, tags"), ("meters", "Meters"))),
    (
        "Molecules",
        (
            ("fields", "Fields"),
            ("notes", "Notes"),
            ("stats", "Stat cards, strips"),
            ("copies", "Things to copy"),
            ("navigation", "Chips, tabs, steps, menus"),
            ("feedback", "Toasts, progress, empty states"),
            ("dialogs", "Dialogs"),
        ),
    ),
    (
        "Organisms",
        (
            ("tables", "Tables"),
            ("lists", "To-do list, rows, time line"),
            ("dns-records", "Records to publish"),
            ("charts", "Charts"),
            ("palette-rows", "Command palette"),
            ("shell", "Shell"),
        ),
    ),
)
_HOURS: Final = tuple(f"{hour:02}" for hour in range(8, 20))
_SENT: Final = (210, 340, 420, 510, 480, 610, 570, 640, 520, 300, None, None)
_USUAL: Final = (200, 310, 400, 450, 500, 520, 560, 540, 500, 420, 380, 300)
_PLAN: Final = (50, 100, 200, 400, 800, 1_200, 1_600, 2_000)


def charts() -> tuple[tuple[str, Chart], ...]:
    """One of each kind, and one without a number."""
    return (
        ("Bars, a comparison, an hour that is not over", draw(_bars())),
        ("Lines", draw(_lines())),
        ("A plan, held and stepped back", draw(_days())),
        (
            "Nothing yet",
            draw(Plot(finding="", labels=(), series=(), empty="No mail in this time.")),
        ),
    )


def _bars() -> Plot:
    waiting = tuple(one and one // 12 for one in _SENT)
    return Plot(
        finding="Mail rose until 15:00, as usual; 25 wait in this hour.",
        labels=_HOURS,
        names=tuple(f"{hour}:00" for hour in _HOURS),
        now=9,
        so_far="This hour so far",
        series=(
            Series(name="Delivered", tone=Tone.DONE, values=_SENT),
            Series(name="Waiting", tone=Tone.WAITING, values=waiting),
            Series(name="Usual", tone=Tone.COMPARISON, kind=Kind.DASHED, values=_USUAL),
        ),
    )


def _lines() -> Plot:
    deferred = (20, 22, 24, 23, 30, 44, 60, 92, 110, 96, 80, 74)
    return Plot(
        finding="Deferrals rose at 14:00 and fall again.",
        labels=_HOURS,
        names=tuple(f"{hour}:00" for hour in _HOURS),
        series=(
            Series(name="Delivered", tone=Tone.DONE, kind=Kind.LINE, values=_USUAL),
            Series(name="Deferred", tone=Tone.WAITING, kind=Kind.LINE, values=deferred),
        ),
    )


def _days() -> Plot:
    marks = (None, None, None, Mark.STEPPED_BACK, Mark.HELD, Mark.HELD, None, None)
    budget = (None, None, None, None, None, 400, None, None)
    return Plot(
        finding="Stepped back on day 4, held since.",
        labels=tuple(str(day) for day in range(1, 9)),
        names=tuple(f"Day {day}" for day in range(1, 9)),
        column="Day",
        now=5,
        now_word="today",
        series=(
            Series(name="Plan", tone=Tone.PLAN, kind=Kind.STEP, values=_PLAN),
            Series(
                name="Sent",
                tone=Tone.DONE,
                values=(48, 96, 190, 380, 400, 240, None, None),
                marks=marks,
            ),
            Series(name="Today's budget", tone=Tone.DONE, kind=Kind.OUTLINE, values=budget),
        ),
    )


def records(theme: str) -> tuple[Shown, ...]:
    """One that is wrong, one that is on its way, one that is right; ids are a theme's own."""
    asked = "v=spf1 include:_spf.relay.example -all"
    found = Seen(same="v=spf1 include:_spf.relay.example", rest=" include:crm.example a mx -all")
    name = "mail.acme.example"
    spf = DnsRecord(
        kind=RecordKind.SPF, name=name, type="TXT", value=asked, purpose="Names who may send."
    )
    dkim = DnsRecord(
        kind=RecordKind.DKIM,
        name=f"pb1e._domainkey.{name}",
        type="TXT",
        value="v=DKIM1; k=ed25519; p=Yb4cUoZ5N1nqHk8s0kq3pQGmX1m2wE7c9TzqKk2f6aU=",
        purpose="Receivers check signatures with it.",
    )
    dmarc = DnsRecord(
        kind=RecordKind.DMARC,
        name=f"_dmarc.{name}",
        type="TXT",
        value="v=DMARC1; p=none",
        purpose="Says what to do with mail that fails.",
    )
    says = ("11 look-ups; receivers stop at 10", "Drop a mx (2 look-ups): this name sends nothing.")
    return (
        _shown(theme, spf, "SPF", ("Too many look-ups", "look"), *says, found=(found,)),
        _shown(
            theme, dkim, "DKIM, Ed25519 key", ("1 of 3 servers", "way"), "On its way", "Soon done."
        ),
        _shown(theme, dmarc, "DMARC", ("Found", "good")),
    )


def _shown(  # noqa: PLR0913 - a row of the page
    theme: str,
    record: DnsRecord,
    title: str,
    badge: tuple[str, str],
    says: str = "",
    problem: str = "",
    found: tuple[Seen, ...] = (),
) -> Shown:
    word, kind = badge
    return Shown(
        id=f"{record.kind}-{theme}",
        title=title,
        record=record,
        word=word,
        kind=kind,
        says=says,
        problem=problem,
        found=found,
        nothing_at="",
    )


@get("/components", opt={RIGHT: Right.BOX_READ})
async def components(visit: WhoVisits) -> Response[bytes]:
    """All of them."""
    return await visit.page(
        "components.html",
        tokens=TOKENS,
        contents=CONTENTS,
        wrong=Problem(words="The prefix is 0 to 32. Did you mean /32?", field="network"),
        shown=(
            Toast(kind="success", title="28,116 messages are tried now", text="See the queue."),
            Toast(kind="error", title="Not saved: the name is taken", text="Choose another."),
        ),
        charts=charts(),
        records={theme: records(theme) for theme in ("dark", "light")},
    )


HANDLERS: Final[list[Any]] = [components]
